"""When daily quotas return: at midnight on the Pacific coast, as Gemini's rate-limit documentation says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["next_pacific_midnight"]


def next_pacific_midnight(wall: float) -> float:
    """The Unix time of the first midnight in Los Angeles after the Unix time wall."""
    local = datetime.fromtimestamp(wall, UTC).astimezone(_pacific())
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return (midnight + timedelta(days=1)).timestamp()


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a system without time zone data: an hour off in summer is near enough
        return timezone(timedelta(hours=-8))
