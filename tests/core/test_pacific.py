"""When daily quotas return."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfoNotFoundError

import pytest
from pytest_mock import MockerFixture

from core import pacific
from core.pacific import next_pacific_midnight


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        (datetime(2026, 7, 1, 20, tzinfo=UTC), datetime(2026, 7, 2, 7, tzinfo=UTC)),
        (datetime(2026, 1, 1, 7, 59, tzinfo=UTC), datetime(2026, 1, 1, 8, tzinfo=UTC)),
        (datetime(2026, 1, 1, 8, tzinfo=UTC), datetime(2026, 1, 2, 8, tzinfo=UTC)),
        (datetime(2026, 3, 8, 20, tzinfo=UTC), datetime(2026, 3, 9, 7, tzinfo=UTC)),
    ],
)
def test_the_next_midnight_of_the_coast(now: datetime, midnight: datetime) -> None:
    """In summer, in winter, at midnight itself, and on the day the clocks change."""
    assert next_pacific_midnight(now.timestamp()) == midnight.timestamp()


def test_without_time_zone_data_it_is_the_winter_time(mocker: MockerFixture) -> None:
    """A machine without time zone data is at most an hour off."""
    mocker.patch.object(pacific, "ZoneInfo", side_effect=ZoneInfoNotFoundError)
    now = datetime(2026, 7, 1, 20, tzinfo=UTC)
    assert next_pacific_midnight(now.timestamp()) == datetime(2026, 7, 2, 8, tzinfo=UTC).timestamp()
