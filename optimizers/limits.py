"""The nouns of the limiter alone: how a call ended, and why the next one waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CallEnd", "CallResult", "Wait", "WaitReason"]


class CallEnd(StrEnum):
    """What a call's end says about the service."""

    ANSWERED = "answered"
    REFUSED = "refused"  # the quota of the minute
    DAY_OVER = "day_over"  # the quota of the day
    OVERLOADED = "overloaded"  # overloaded, failing or unreachable
    REJECTED = "rejected"  # the service works and did not like this call
    UNKNOWN = "unknown"  # says nothing: cancelled, timed out, cut off


@dataclass(frozen=True, slots=True)
class CallResult:
    """A call's end. tokens: of the prompt as the service counted them, None if it did not say.

    retry_after in seconds and resets_at as a Unix time, where the service sent them.
    """

    end: CallEnd
    tokens: int | None = None
    retry_after: float | None = None
    resets_at: float | None = None


class WaitReason(StrEnum):
    """What holds the next call back."""

    NOTHING = "nothing"
    GATE = "gate"  # the service said when to come back
    LIMIT = "limit"  # a configured limit is used up for now
    PACE = "pace"  # the learned rate
    LOAD = "load"  # enough calls have just started
    BREAKER = "breaker"  # the service is down


@dataclass(frozen=True, slots=True)
class Wait:
    """The earliest instant at which the next call may start, as far as is known now, and why not before."""

    until: float
    reason: WaitReason
