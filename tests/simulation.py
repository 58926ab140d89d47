"""A quota server and K workers on virtual time: one thread, exact, and minutes of quota in milliseconds.

The limiter's decisions are the real ones (Admission); the line in front of it, the workers, the server and time
are simulated. Equal seeds give equal runs.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from core.limits import Limits
from optimizers.admission import Admission
from optimizers.limits import CallEnd, CallResult

__all__ = [
    "FixedWindowServer",
    "Latency",
    "Reply",
    "Run",
    "SlidingLogServer",
    "TokenBucketServer",
    "UnlimitedServer",
    "constant",
    "lognormal",
    "simulate",
]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server decides about a call as it arrives."""

    end: CallEnd
    retry_after: float | None = None


class Server(Protocol):
    def arrive(self, now: float) -> Reply: ...


_ANSWER = Reply(CallEnd.ANSWERED)


class UnlimitedServer:
    def arrive(self, now: float) -> Reply:
        return _ANSWER


@dataclass
class TokenBucketServer:
    """rate(t) tokens a second; tells the time to the next token unless told not to."""

    rate: Callable[[float], float]
    burst: float
    tells: bool = True
    level: float = field(init=False)
    at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.level = self.burst

    def arrive(self, now: float) -> Reply:
        rate = self.rate(now)
        self.level = min(self.burst, self.level + (now - self.at) * rate)
        self.at = now
        if self.level >= 1 - 1e-9:
            self.level -= 1
            return _ANSWER
        return Reply(CallEnd.REFUSED, (1 - self.level) / rate if self.tells else None)


@dataclass
class FixedWindowServer:
    """limit calls in every window of span seconds; the first one ends at phase (0: a whole span)."""

    limit: int
    span: float
    tells: bool = True
    phase: float = 0.0
    window: int = field(init=False, default=-(10**9))
    used: int = field(init=False, default=0)

    def arrive(self, now: float) -> Reply:
        window = math.floor((now - self.phase) / self.span + 1e-9)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used < self.limit:
            self.used += 1
            return _ANSWER
        left = self.phase + (window + 1) * self.span - now
        return Reply(CallEnd.REFUSED, left if self.tells else None)


@dataclass
class SlidingLogServer:
    """limit calls in any span seconds."""

    limit: int
    span: float
    tells: bool = True
    log: deque[float] = field(init=False, default_factory=deque)

    def arrive(self, now: float) -> Reply:
        while self.log and self.log[0] <= now - self.span + 1e-9:
            self.log.popleft()
        if len(self.log) < self.limit:
            self.log.append(now)
            return _ANSWER
        return Reply(CallEnd.REFUSED, self.log[0] + self.span - now if self.tells else None)


Latency = Callable[[random.Random], float]


def constant(seconds: float) -> Latency:
    return lambda _: seconds


def lognormal(median: float, sigma: float) -> Latency:
    return lambda dice: median * math.exp(dice.gauss(0.0, sigma))


@dataclass
class Run:
    """What happened. Instants are virtual seconds from the start of the run."""

    questions: int
    answered: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    ends: list[tuple[float, CallEnd]] = field(default_factory=list)
    paces: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.answered[-1]

    @property
    def calls_per_answer(self) -> float:
        return len(self.sent) / len(self.answered)

    def answers_between(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.answered)


def simulate(
    server: Server,
    *,
    questions: int,
    workers: int,
    latency: Latency,
    refusal_latency: Latency | None = None,
    failure_latency: Latency | None = None,
    way_out: Latency | None = None,
    fails: Callable[[float, random.Random], bool] = lambda _, __: False,
    limits: Limits | None = None,
    limited: bool = True,
    until: float = math.inf,
    seed: int = 0,
) -> Run:
    """Let the workers ask all questions through the limiter; refused ones join the line again, failed ones back off.

    way_out: seconds from the client to the server's decision, part of the latency. limited=False: without a limiter.
    """
    world = _World(server, limits or Limits(), limited, random.Random(seed), Run(questions))
    world.latency = latency
    world.refusal_latency = refusal_latency or constant(0.0)
    world.failure_latency = failure_latency or latency
    world.way_out = way_out or constant(0.0)
    world.fails = fails
    world.go(questions, workers, until)
    return world.run


class _World:
    latency: Latency
    refusal_latency: Latency
    failure_latency: Latency
    way_out: Latency
    fails: Callable[[float, random.Random], bool]

    def __init__(self, server: Server, limits: Limits, limited: bool, dice: random.Random, run: Run) -> None:
        self.server = server
        self.admission = Admission(limits, 0.0)
        self.limited = limited
        self.dice = dice
        self.run = run
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._line: deque[int] = deque()  # failures so far of each question that waits
        self._left = 0
        self._wake_at = math.inf

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def go(self, questions: int, workers: int, until: float) -> None:
        self._left = questions
        for _ in range(min(workers, questions)):
            self._next_question()
        self._serve_line()
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
            self._serve_line()

    def _next_question(self) -> None:
        if self._left > 0:
            self._left -= 1
            self._line.append(0)

    def _serve_line(self) -> None:
        while self._line:
            if self.limited:
                wait = self.admission.wait(self.now, 10)
                if wait.until > self.now:
                    self._wake(wait.until)
                    return
            self._send(self._line.popleft())

    def _wake(self, when: float) -> None:
        if when < math.inf and not (self.now < self._wake_at <= when):
            self._wake_at = when
            self.at(when, lambda: None)

    def _send(self, failures: int) -> None:
        permit = self.admission.start(self.now, 10)
        self.run.sent.append(self.now)
        self.run.paces.append((self.now, self.admission.pace(), self.admission.in_flight))
        way = self.way_out(self.dice)
        self.at(self.now + way, lambda: self._arrive(way, permit, failures))

    def _arrive(self, way: float, permit: object, failures: int) -> None:
        reply, latency = self.server.arrive(self.now), self.latency
        if reply.end is CallEnd.REFUSED:
            latency = self.refusal_latency
        elif self.fails(self.now, self.dice):
            reply, latency = Reply(CallEnd.OVERLOADED), self.failure_latency
        rest = max(latency(self.dice) - way, 0.0)
        self.at(self.now + rest, lambda: self._end(permit, reply, failures))

    def _end(self, permit: object, reply: Reply, failures: int) -> None:
        result = CallResult(reply.end, retry_after=reply.retry_after)
        self.admission.finish(permit, self.now, result, wanted=bool(self._line))  # type: ignore[arg-type]
        self.run.ends.append((self.now, reply.end))
        if reply.end is CallEnd.ANSWERED:
            self.run.answered.append(self.now)
            self._next_question()
        elif reply.end is CallEnd.REFUSED:
            self.run.refused.append(self.now)
            self._line.append(failures)
        else:
            self.run.failed.append(self.now)
            backoff = self.dice.random() * min(2.0, 0.5 * 2.0 ** min(failures, 5))
            self.at(self.now + backoff, lambda: self._line.append(failures + 1))
