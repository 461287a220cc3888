"""Cron schedules: which are understood, how the others are refused, and when the next one is due."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from labkit.glassbox import cron

UTC, NEW_YORK = ZoneInfo("UTC"), ZoneInfo("America/New_York")


def following(schedule, after, zone=UTC, times=1):
    """The next times of a schedule after a local one, as local times."""
    at = datetime.fromisoformat(after).replace(tzinfo=zone).timestamp()
    found = []
    for _ in range(times):
        at = cron.parse(schedule).next(at, zone)
        found.append(at and datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S"))
    return found[0] if times == 1 else found


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2026-01-01 12:00:00", "2026-01-01 12:01:00"),
        ("* * * * *", "2026-01-01 12:00:59", "2026-01-01 12:01:00"),
        ("*/15 * * * *", "2026-01-01 12:45:00", "2026-01-01 13:00:00"),
        ("5/20 * * * *", "2026-01-01 12:26:00", "2026-01-01 12:45:00"),
        ("0 9-17/4 * * ?", "2026-01-01 13:00:00", "2026-01-01 17:00:00"),
        ("0 0 31 * *", "2026-02-01 00:00:00", "2026-03-31 00:00:00"),
        ("0 0 29 feb *", "2026-03-01 00:00:00", "2028-02-29 00:00:00"),
        ("30 8 * * MON-FRI", "2026-01-02 09:00:00", "2026-01-05 08:30:00"),
        ("0 0 13 * fri", "2026-01-01 00:00:00", "2026-01-02 00:00:00"),  # either day will do
        ("0 0 */2 * fri", "2026-01-01 00:00:00", "2026-01-02 00:00:00"),
        ("0 0 31 2 *", "2026-01-01 00:00:00", None),
        ("@hourly", "2026-01-01 12:30:00", "2026-01-01 13:00:00"),
        ("@weekly", "2026-01-01 00:00:00", "2026-01-04 00:00:00"),
        ("@every 1h30m", "2026-01-01 12:00:05", "2026-01-01 13:30:05"),
    ],
)
def test_the_next_time(schedule, after, expected):
    assert following(schedule, after) == expected


def test_an_hour_that_the_clocks_skip_is_skipped():
    assert following("30 2 * * *", "2026-03-07 12:00:00", NEW_YORK) == "2026-03-09 02:30:00"


def test_an_hour_that_comes_twice_counts_twice():
    found = following("30 1 * * *", "2026-11-01 00:00:00", NEW_YORK, times=3)
    assert found == ["2026-11-01 01:30:00", "2026-11-01 01:30:00", "2026-11-02 01:30:00"]


def test_a_zone_of_half_hours():
    assert following("0 9 * * *", "2026-01-01 08:59:00", ZoneInfo("Asia/Kolkata")) == "2026-01-01 09:00:00"


@pytest.mark.parametrize(
    ("schedule", "refusal"),
    [
        ("", "empty spec string"),
        ("bad", "expected exactly 5 fields, found 1: [bad]"),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("30-10 * * * *", "beginning of range (30) beyond end of range (10): 30-10"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("@reboot", "unrecognized descriptor: @reboot"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ],
)
def test_a_schedule_that_is_refused(schedule, refusal):
    with pytest.raises(ValueError, match="^") as refused:
        cron.parse(schedule)
    assert str(refused.value) == refusal
