"""What the limiter must achieve, on virtual time: whole runs against simulated quota servers, exact and seeded."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.limits import Limits
from optimizers.limits import CallEnd
from tests.simulation import (
    FixedWindowServer,
    Latency,
    Reply,
    Run,
    Server,
    SlidingLogServer,
    TokenBucketServer,
    UnlimitedServer,
    constant,
    lognormal,
    simulate,
)

IDEAL = 9.0  # seconds for 200 calls at 20 a second after a burst of 20


def twenty(tells: bool = True) -> TokenBucketServer:
    return TokenBucketServer(lambda _: 20.0, burst=20, tells=tells)


def two_hundred(server: Server, *, refusal: float = 0.0, limits: Limits | None = None) -> Run:
    run = simulate(
        server, questions=200, workers=50, latency=constant(0.2), refusal_latency=constant(refusal), limits=limits
    )
    assert len(run.answered) == 200
    return run


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("refusal", [0.0, 0.05])
def test_an_unknown_limit_costs_six_percent_and_six_refusals_at_most(tells: bool, refusal: float) -> None:
    """200 prompts, 50 workers, 20/s burst 20; refusals at once or late, with or without RetryInfo."""
    run = two_hundred(twenty(tells), refusal=refusal)
    assert run.seconds <= 1.06 * IDEAL
    assert len(run.refused) <= 6


@pytest.mark.parametrize("refusal", [0.0, 0.05])
def test_a_known_limit_costs_three_percent_and_no_refusal(refusal: float) -> None:
    """The same with the limit configured."""
    run = two_hundred(twenty(), refusal=refusal, limits=Limits(requests_per_minute=1200))
    assert run.seconds <= 1.03 * IDEAL
    assert run.refused == []


def test_jitter_costs_little_more() -> None:
    """Latencies and ways out drawn from lognormal distributions, 30 seeds: 1.07 x at worst, 8.5 refusals on average."""
    runs = [jittery(seed) for seed in range(30)]
    assert max(run.seconds for run in runs) <= 1.07 * IDEAL
    assert sum(len(run.refused) for run in runs) <= 8.5 * len(runs)
    assert max(len(run.refused) for run in runs) <= 12


def jittery(seed: int) -> Run:
    return simulate(
        twenty(), questions=200, workers=50, latency=lognormal(0.2, 0.4), refusal_latency=lognormal(0.05, 0.3),
        way_out=lognormal(0.02, 0.5), seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("refusal", [0.0, 0.05])
def test_fixed_windows_are_used_evenly(refusal: float) -> None:
    """20 calls in each second by the clock: an even pace ends one window later than the luckiest burst would."""
    run = two_hundred(FixedWindowServer(20, 1.0), refusal=refusal)
    assert run.seconds <= 1.06 * (IDEAL + 0.95)
    assert len(run.refused) <= 6


@pytest.mark.parametrize("refusal", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(("up", "down"), [(20.0, 50.0), (30.0, 45.0)])
def test_a_limit_that_doubles_and_halves_is_found_and_obeyed(
    up: float, down: float, tells: bool, refusal: float
) -> None:
    """2,000 prompts: 90 % of the available quota used, 3 % refused at most; halved, it is obeyed within 5 seconds."""
    server = TokenBucketServer(lambda t: 40.0 if up <= t < down else 20.0, burst=20, tells=tells)
    run = simulate(server, questions=2000, workers=50, latency=lognormal(0.2, 0.2), refusal_latency=constant(refusal))
    available = 20 + 20 * run.seconds + 20 * (min(run.seconds, down) - up)
    assert 2000 / available >= 0.9
    assert len(run.refused) <= 0.03 * len(run.sent)
    assert sum(down + 5 <= at < down + 15 for at in run.sent) <= 1.1 * 200


@pytest.mark.parametrize("refusal", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("phase", [0.0, 30.0])
def test_ten_a_minute_in_fixed_windows(phase: float, refusal: float) -> None:
    """300 queries, 20 workers: all answered, 1.3 calls per answer and 1.05 x the ideal 29 minutes at most."""
    run = ten_a_minute(FixedWindowServer(10, 60.0, phase=phase), refusal)
    assert run.seconds <= 1.05 * 29 * 60


@pytest.mark.parametrize("refusal", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("tells", [True, False])
def test_ten_a_minute_from_a_bucket(tells: bool, refusal: float) -> None:
    """The same from a token bucket, also where refusals do not say when to come back."""
    run = ten_a_minute(TokenBucketServer(lambda _: 10 / 60, burst=10, tells=tells), refusal)
    assert run.seconds <= 1.05 * 29 * 60


def test_ten_a_minute_where_much_is_left_to_guess() -> None:
    """Sliding windows, and windows that do not say when they end, take longer; all is answered all the same."""
    assert ten_a_minute(SlidingLogServer(10, 60.0), 0.05).seconds <= 1.10 * 29 * 60
    assert ten_a_minute(SlidingLogServer(10, 60.0, tells=False), 0.05).seconds <= 1.35 * 29 * 60
    assert ten_a_minute(FixedWindowServer(10, 60.0, tells=False), 0.05).seconds <= 1.30 * 29 * 60


def ten_a_minute(server: Server, refusal: float) -> Run:
    run = simulate(server, questions=300, workers=20, latency=lognormal(0.2, 0.3), refusal_latency=constant(refusal))
    assert len(run.answered) == 300
    assert run.calls_per_answer <= 1.3
    return run


@pytest.mark.parametrize("server", [FixedWindowServer(10, 60.0), SlidingLogServer(10, 60.0)])
def test_ten_a_minute_that_are_configured_are_never_refused(server: Server) -> None:
    """The whole minute's quota goes at once, and never too much of it, whatever the phase of the server's window."""
    run = simulate(
        server, questions=300, workers=20, latency=constant(0.2), way_out=lognormal(0.02, 0.5),
        limits=Limits(requests_per_minute=10),
    )  # fmt: skip
    assert run.refused == []
    assert run.seconds <= 1.01 * 29 * 60


def test_tokens_a_minute_are_kept() -> None:
    """1,000 tokens a minute at 10 a prompt are 100 prompts a minute."""
    run = simulate(
        UnlimitedServer(), questions=300, workers=50, latency=constant(0.2), limits=Limits(tokens_per_minute=1000)
    )
    assert 120 <= run.seconds <= 123
    assert all(sum(start <= at < start + 60 for at in run.sent) <= 100 for start in run.sent)


def test_the_stated_wait_is_kept_to_the_tick_and_not_overslept() -> None:
    """RetryInfo 5.2 s: no call starts earlier, the first one 0.3 s later at most."""

    class Once(UnlimitedServer):
        def arrive(self, now: float) -> Reply:
            return Reply(CallEnd.REFUSED, 5.2) if now < 1.0 else super().arrive(now)

    run = simulate(Once(), questions=100, workers=20, latency=constant(0.2), refusal_latency=constant(0.03))
    told = max(run.refused)
    later = [at for at in run.sent if at > told]
    assert told + 5.2 <= later[0] + 1e-9 <= told + 5.2 + 0.3
    assert sum(at < later[0] + 0.1 for at in later) <= 6


@pytest.mark.parametrize("workers", [5, 20, 50])
@pytest.mark.parametrize("failure", [0.2, 0.01])
def test_failures_by_chance_do_not_starve_the_run(workers: int, failure: float) -> None:
    """30 % of the calls fail: 70 % of the throughput without a limiter, 1.5 calls per answer."""
    limited, free = Run(0), Run(0)
    for seed in range(4):
        for run, with_limiter in ((limited, True), (free, False)):
            part = simulate(
                UnlimitedServer(), questions=1000, workers=workers, latency=lognormal(0.2, 0.3),
                failure_latency=constant(failure), fails=by_chance, limited=with_limiter, seed=seed,
            )  # fmt: skip
            assert len(part.answered) == 1000
            run.answered.append(part.seconds)
            run.sent.append(len(part.sent))
    assert sum(free.answered) >= 0.7 * sum(limited.answered)
    assert sum(limited.sent) <= 1.5 * 4000


def by_chance(_: float, dice: random.Random) -> bool:
    return dice.random() < 0.3


def test_an_outage_from_the_start_is_probed_by_single_calls() -> None:
    """100 % 503 for 60 s: the breaker opens at the tenth failure, then one call per pause; nothing is lost."""
    run = simulate(
        UnlimitedServer(), questions=500, workers=20, latency=constant(0.2), failure_latency=constant(0.05),
        fails=lambda now, _: now < 60.0,
    )  # fmt: skip
    opened = sorted(run.failed)[9]
    probes = [at for at in run.sent if opened < at < 60.0]
    assert len(probes) <= 10
    assert min(later - earlier for earlier, later in itertools.pairwise(probes)) >= 1.0
    assert len(run.answered) == 500


@pytest.mark.parametrize("workers", [20, 50, 200])
def test_the_full_rate_is_back_half_a_minute_after_an_outage(workers: int) -> None:
    """10 s of service, 60 s of 503, service: 30 s later all workers are busy, mostly sooner."""
    run = simulate(
        UnlimitedServer(), questions=10**6, workers=workers, latency=constant(0.2), failure_latency=constant(0.05),
        fails=lambda now, _: 10.0 <= now < 70.0, until=105.0,
    )  # fmt: skip
    assert run.answers_between(100.0, 105.0) >= 0.98 * 5 * workers / 0.2
    in_outage = [at for at in run.sent if 11.0 <= at < 70.0]
    assert len(in_outage) <= 12


@pytest.mark.parametrize("latency", [constant(0.2), lognormal(0.2, 0.5)])
def test_without_any_limit_two_hundred_workers_run_free_after_two_seconds(latency: Latency) -> None:
    """Within 5 % of the rate without a limiter after the first two seconds."""
    limited, free = (
        simulate(UnlimitedServer(), questions=10**6, workers=200, latency=latency, limited=with_limiter, until=12.0)
        for with_limiter in (True, False)
    )
    assert limited.answers_between(2.0, 12.0) >= 0.95 * free.answers_between(2.0, 12.0)


def test_slow_answers_do_not_slow_the_start() -> None:
    """Answers of 2 s and no refusals: 200 workers are all busy within 3 s, not after five round trips."""
    run = simulate(UnlimitedServer(), questions=10**4, workers=200, latency=constant(2.0), until=3.0)
    assert len(run.sent) - len(run.answered) >= 190


def test_rising_latency_slows_the_start_of_calls() -> None:
    """A service that becomes five times slower is asked less at a time, and as before when it is well again."""

    class Slowing:
        now = 0.0

        def arrive(self, now: float) -> Reply:
            self.now = now
            return Reply(CallEnd.ANSWERED)

    server = Slowing()
    run = simulate(
        server, questions=10**6, workers=100, until=80.0,
        latency=lambda _: 1.0 if 20.0 <= server.now < 40.0 else 0.2,
    )  # fmt: skip
    busy_before = max(in_flight for at, _, in_flight in run.paces if 18.0 < at < 20.0)
    pace_in_trouble = min(pace for at, pace, _ in run.paces if 20.0 < at < 40.0)
    pace_before = min(pace for at, pace, _ in run.paces if 18.0 < at < 20.0)
    assert busy_before == 100
    assert pace_in_trouble <= 0.6 * pace_before
    assert run.answers_between(75.0, 80.0) >= 0.95 * 5 * 500


@settings(max_examples=150)
@given(
    rate=st.floats(0.2, 200.0),
    burst=st.integers(1, 100),
    workers=st.integers(1, 200),
    latency=st.floats(0.05, 3.0),
    refusal=st.sampled_from([0.0, 0.02, 0.1]),
    tells=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_any_bucket_is_used_without_being_run_over(
    rate: float, burst: int, workers: int, latency: float, refusal: float, tells: bool, seed: int
) -> None:
    """Whatever the service: all is answered, never much above the limit for long, not much slower than possible."""
    questions = int(min(400, max(60, 20 * rate)))
    run = simulate(
        TokenBucketServer(lambda _: rate, burst=burst, tells=tells), questions=questions, workers=workers,
        latency=lognormal(latency, 0.3), refusal_latency=constant(refusal), seed=seed,
    )  # fmt: skip
    assert len(run.answered) == questions
    ideal = max((questions - burst) / rate, questions * latency * 1.05 / workers) + 2.5 * latency
    assert run.seconds <= 1.4 * ideal + 3 + 4 / rate
    assert len(run.refused) <= 20 + 0.25 * questions
    settled = [at for at in run.sent if at >= 0.4 * run.seconds]
    if len(settled) > 30:
        assert len(settled) <= 1.25 * rate * (settled[-1] - settled[0]) + burst + 10


@settings(max_examples=60)
@given(
    limit=st.integers(1, 100),
    span=st.sampled_from([1.0, 10.0, 60.0]),
    phase=st.floats(0.0, 60.0),
    workers=st.integers(1, 100),
    tells=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_any_fixed_window_is_got_through(
    limit: int, span: float, phase: float, workers: int, tells: bool, seed: int
) -> None:
    """All is answered, in a bounded number of windows and calls."""
    questions = min(6 * limit, 300)
    run = simulate(
        FixedWindowServer(limit, span, tells=tells, phase=phase), questions=questions, workers=workers,
        latency=lognormal(0.2, 0.3), refusal_latency=constant(0.02), seed=seed,
    )  # fmt: skip
    assert len(run.answered) == questions
    windows = -(-questions // limit) + 1
    assert run.seconds <= (1.2 if tells else 3.0) * windows * span + questions * 0.3 / workers + 5
    assert len(run.refused) <= 12 + (0.3 if tells else 0.7) * questions
