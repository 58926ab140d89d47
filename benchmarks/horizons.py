"""The limiter over long times and many calls, on virtual time, and what it costs itself."""

from __future__ import annotations

import math
import random
import time
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.figures import Bar, Result, Row, Table, spread
from core.clock import SYSTEM_CLOCK
from core.limits import Limits
from core.scope import Scope
from optimizers.limits import CallEnd, CallResult
from optimizers.rate_limiter import RateLimiter
from tests.simulation import (
    FixedWindowServer,
    Run,
    SlidingLogServer,
    TokenBucketServer,
    UnlimitedServer,
    constant,
    lognormal,
    simulate,
)

__all__ = ["horizons"]

_LATENCY: Final = 0.2  # seconds
_SEEDS: Final = 30
_BACK: Final = 70.0  # when the service is back that was down from second 10 on
_ANSWERED: Final = CallResult(CallEnd.ANSWERED, tokens=10)
_RECOVERIES: Final = tuple(
    f"503 from 10 s to 70 s, {workers} workers (s until the full rate)" for workers in (20, 200)
)
_COLUMNS: Final = (("figure", ".3f"), ("refused", ".0f"), ("calls / answer", ".3f"))
_NOTES: Final = (
    "Virtual time: the limiter's decisions are the real ones; line, workers, server and network are simulated, exact",
    "and seeded. The figure is time / ideal time unless the line says what it is. Whoever failed backs off for 2 s at",
    "most; the retry budget and the questions' own deadlines are not in it, but in `quota`, over real sockets.",
)


def horizons(bench: Bench) -> Result:
    """Quotas of minutes, limits that move, outages: in a second or two."""
    found = _simulated()
    rows = tuple(
        Row(label, tuple(spread([value]) for value in (figure, float(len(run.refused)), run.calls_per_answer)))
        for label, (figure, run) in found.items()
    )
    cost = [_own_cost(bench.sizes.hits) for _ in range(bench.sizes.repeat)]
    raw: dict[str, Any] = {label: figure for label, (figure, _) in found.items()} | {"own cost us": cost}
    tables = (
        Table("the limiter on virtual time", _COLUMNS, rows, _NOTES),
        Table(
            "the limiter's own cost, uncontended",
            (("us per call", ".1f"),),
            (Row("acquire() and finish()", (spread(cost),)),),
        ),
    )
    return Result("horizons", tables, _bars(found, spread(cost).median), raw)


def _simulated() -> dict[str, tuple[float, Run]]:
    ten = 29 * 60
    moving = _doubled_and_halved()
    return {
        "200 calls, 20/s unknown": _time(_two_hundred(), 9.0),
        "200 calls, 20/s configured": _time(_two_hundred(Limits(requests_per_minute=1200)), 9.0),
        f"200 calls, 20/s unknown, all times by chance (worst of {_SEEDS} runs)": _jittery(),
        "200 calls, 20/s unknown, refusals after 200 ms": _time(_two_hundred(refusal=0.2), 9.0),
        "200 calls, 20 in each second by the clock": _time(_two_hundred(server=FixedWindowServer(20, 1.0)), 9.0),
        "2,000 calls, 20/s doubles and halves (share used)": moving,
        "300 calls, 10/min in fixed windows": _time(_ten(FixedWindowServer(10, 60.0)), ten),
        "300 calls, 10/min from a bucket": _time(_ten(TokenBucketServer(lambda _: 1 / 6, burst=10)), ten),
        "300 calls, 10/min in a sliding log": _time(_ten(SlidingLogServer(10, 60.0)), ten),
        "1,000 calls, 30 % fail by chance": _failing(),
        "500 calls, 503 for the first 60 s": _outage(),
        _RECOVERIES[0]: _recovery(20),
        _RECOVERIES[1]: _recovery(200),
        "no limit, 200 workers (rate without / with)": _free(),
    }


def _time(run: Run, ideal: float) -> tuple[float, Run]:
    return run.seconds / ideal, run


def _two_hundred(
    limits: Limits | None = None, *, refusal: float = 0.02, server: TokenBucketServer | FixedWindowServer | None = None
) -> Run:
    server = server or TokenBucketServer(lambda _: 20.0, burst=20)
    return simulate(
        server, questions=200, workers=50, latency=constant(0.2), refusal_latency=constant(refusal), limits=limits
    )


def _jittery() -> tuple[float, Run]:
    """Times and order of arrival vary as they do on networks. Both figures are the worst, not of the same run maybe."""
    runs = [
        simulate(
            TokenBucketServer(lambda _: 20.0, burst=20), questions=200, workers=50, latency=lognormal(_LATENCY, 0.4),
            refusal_latency=lognormal(0.05, 0.3), way_out=lognormal(0.02, 0.5), seed=seed,
        )
        for seed in range(_SEEDS)
    ]  # fmt: skip
    return max(run.seconds for run in runs) / 9.0, max(runs, key=lambda run: len(run.refused))


def _doubled_and_halved() -> tuple[float, Run]:
    server = TokenBucketServer(lambda t: 40.0 if 20 <= t < 50 else 20.0, burst=20)
    run = simulate(server, questions=2000, workers=50, latency=lognormal(0.2, 0.2), refusal_latency=constant(0.02))
    available = 20 + 20 * run.seconds + 20 * (min(run.seconds, 50.0) - 20.0)
    return 2000 / available, run


def _ten(server: FixedWindowServer | TokenBucketServer | SlidingLogServer) -> Run:
    return simulate(server, questions=300, workers=20, latency=lognormal(0.2, 0.3), refusal_latency=constant(0.02))


def _failing() -> tuple[float, Run]:
    def fails(_: float, dice: random.Random) -> bool:
        return dice.random() < 0.3

    runs = [
        simulate(
            UnlimitedServer(), questions=1000, workers=50, latency=lognormal(0.2, 0.3), fails=fails, limited=limited
        )
        for limited in (True, False)
    ]
    return runs[0].seconds / runs[1].seconds, runs[0]


def _outage() -> tuple[float, Run]:
    run = simulate(
        UnlimitedServer(), questions=500, workers=20, latency=constant(0.2), failure_latency=constant(0.05),
        fails=lambda now, _: now < 60.0,
    )  # fmt: skip
    return run.seconds / (60.0 + 500 / 20 * 0.2), run


def _recovery(workers: int) -> tuple[float, Run]:
    """Seconds from the end of an outage until a second in which all workers are busy."""
    run = simulate(
        UnlimitedServer(), questions=10**6, workers=workers, latency=constant(_LATENCY),
        failure_latency=constant(0.05), fails=lambda now, _: 10.0 <= now < _BACK, until=_BACK + 40,
    )  # fmt: skip
    full = 0.98 * workers / _LATENCY
    starts = (_BACK + step / 10 for step in range(390))
    back = next((at for at in starts if run.answers_between(at, at + 1) >= full), math.inf)
    return back - _BACK, run


def _failures_until_pause(run: Run) -> int:
    """After how many failures no call started for a second, which is the breaker's first pause."""
    for count, at in enumerate(sorted(run.failed), 1):
        if min((sent for sent in run.sent if sent > at), default=math.inf) >= at + 0.99:
            return count
    return len(run.failed)


def _free() -> tuple[float, Run]:
    limited, free = (
        simulate(
            UnlimitedServer(), questions=10**6, workers=200, latency=constant(0.2), limited=with_limiter, until=12.0
        )
        for with_limiter in (True, False)
    )
    return free.answers_between(2.0, 12.0) / limited.answers_between(2.0, 12.0), limited


def _bars(found: dict[str, tuple[float, Run]], cost: float) -> tuple[Bar, ...]:
    figures = {label: figure for label, (figure, _) in found.items()}
    runs = {label: run for label, (_, run) in found.items()}
    moving = "2,000 calls, 20/s doubles and halves (share used)"
    tens = [label for label in figures if label.startswith("300 calls")]
    failing, outage = "1,000 calls, 30 % fail by chance", "500 calls, 503 for the first 60 s"
    return (
        Bar("the limit doubles and halves: quota left unused", 0.10, 1 - figures[moving]),
        Bar("the limit doubles and halves: share refused", 0.03, len(runs[moving].refused) / len(runs[moving].sent)),
        *(Bar(f"{label}: time / ideal", 1.05, figures[label]) for label in tens),
        Bar("300 calls, 10/min: calls per answer, the most", 1.3, max(runs[label].calls_per_answer for label in tens)),
        Bar("30 % fail by chance: calls per answer", 1.5, runs[failing].calls_per_answer),
        Bar("503 for 60 s: questions lost", 0, 500 - len(runs[outage].answered), exact=True),
        Bar("503 for 60 s: failures until calls stop", 10, _failures_until_pause(runs[outage])),
        Bar("503 for 60 s: until the full rate, 20 workers", 30, figures[_RECOVERIES[0]], "s"),
        Bar("503 for 60 s: until the full rate, 200 workers", 30, figures[_RECOVERIES[1]], "s"),
        Bar("no limit, 200 workers: rate without / with the limiter", 1.05, figures[_label("no limit", figures)]),
        Bar("the limiter's own cost", 20, cost, "us"),
    )


def _label(begin: str, labels: dict[str, float]) -> str:
    return next(label for label in labels if label.startswith(begin))


def _own_cost(calls: int) -> float:
    """Microseconds of acquire() and finish() where nothing holds a call back."""
    limiter, scope = RateLimiter(clock=SYSTEM_CLOCK), Scope()
    for _ in range(200):
        limiter.finish(limiter.acquire(scope, 10), _ANSWERED)
    started = time.perf_counter()
    for _ in range(calls):
        limiter.finish(limiter.acquire(scope, 10), _ANSWERED)
    return (time.perf_counter() - started) / calls * 1e6
