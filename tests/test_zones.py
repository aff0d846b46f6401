"""Times come back as the same moment, in the same zone and with the same fold, at whatever hour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import dateutil.tz
import pytest
import pytz

from s3dictionary import NotStorableError
from s3dictionary._format import codec, zones

ZONES = [  # with changes of an hour, of half an hour and of two, before midnight, in Ramadan, and with none
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
]
START = datetime(2025, 1, 1, tzinfo=timezone.utc)
HOURS = [START + timedelta(hours=n) for n in range(3 * 365 * 24)]
HALF = timedelta(minutes=30)

BERLIN = ZoneInfo("Europe/Berlin")
TWICE = datetime(2026, 10, 25, 2, 30)
NEVER = datetime(2026, 3, 29, 2, 30)


def through(value: Any) -> Any:
    return codec.decode(codec.encode(value))


def facts(moment: datetime) -> tuple[Any, ...]:
    """Everything that must be preserved. `==` doesn't show it for hours that occur twice."""
    return moment.replace(tzinfo=None), moment.tzinfo, moment.fold, moment.utcoffset()


def text_of(value: Any) -> str:
    text: str = codec.encode(value).decode().split('"')[3]
    return text


def days_of_change(zone: tzinfo) -> list[datetime]:
    """The days, counted in UTC, in which a zone's offset changes."""
    offsets = [day.astimezone(zone).utcoffset() for day in HOURS[::24]]
    return [HOURS[24 * n] for n in range(len(offsets) - 1) if offsets[n] != offsets[n + 1]]


@pytest.mark.parametrize("name", ZONES)
def test_every_hour_of_three_years_comes_back(name: str) -> None:
    """The test calls the two functions for named zones directly, because there are 26,280 hours."""
    zone = ZoneInfo(name)
    moments = [moment.astimezone(zone) for moment in HOURS]
    written = [f"{text}{zones.marks(text, zone, m.fold)}" for m in moments for text in [m.isoformat()]]
    found = [zones.read(datetime, text) for text in written]
    assert found == moments  # in one zone, this compares local times
    assert [moment.fold for moment in found] == [moment.fold for moment in moments]
    assert {moment.tzinfo for moment in found} == {zone}


@pytest.mark.parametrize("name", ZONES)
def test_every_half_hour_of_a_day_of_change_comes_back(name: str) -> None:
    """This includes hours that occur twice or never, and a fold without meaning."""
    zone = ZoneInfo(name)
    moments = [
        (day.astimezone(zone) + n * HALF).replace(fold=fold)
        for day in days_of_change(zone)
        for n in range(48)
        for fold in (0, 1)
    ]
    assert list(map(facts, through(moments))) == list(map(facts, moments))


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York"])
@pytest.mark.parametrize("library", ["pytz", "dateutil"])
def test_zones_of_other_libraries_keep_moment_and_name(library: str, name: str) -> None:
    """They come back as zoneinfo's, which may treat a moment as the other one of two equal local times."""
    zone: Any = pytz.timezone(name) if library == "pytz" else dateutil.tz.gettz(name)
    moments = [hour.astimezone(zone) for day in days_of_change(zone) for hour in (day + n * HALF for n in range(48))]
    found = through(moments)
    assert [moment.astimezone(timezone.utc) for moment in found] == [m.astimezone(timezone.utc) for m in moments]
    assert {moment.tzinfo for moment in found} == {ZoneInfo(name)}


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (TWICE.replace(tzinfo=BERLIN), "2026-10-25T02:30:00+02:00[Europe/Berlin]"),
        (TWICE.replace(tzinfo=BERLIN, fold=1), "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
        (NEVER.replace(tzinfo=BERLIN), "2026-03-29T02:30:00+01:00[Europe/Berlin]"),
        (NEVER.replace(tzinfo=BERLIN, fold=1), "2026-03-29T02:30:00+02:00[Europe/Berlin]"),
        (datetime(2026, 7, 1, tzinfo=BERLIN, fold=1), "2026-07-01T00:00:00+02:00[Europe/Berlin][_fold=1]"),
        (datetime(2026, 7, 1, tzinfo=ZoneInfo("UTC")), "2026-07-01T00:00:00+00:00[UTC]"),
        (datetime(2026, 7, 1, tzinfo=ZoneInfo("Etc/GMT+5")), "2026-07-01T00:00:00-05:00[Etc/GMT+5]"),
        (datetime(2026, 7, 1, tzinfo=timezone.utc, fold=1), "2026-07-01T00:00:00+00:00[_fold=1]"),
        (datetime(1, 1, 1, tzinfo=BERLIN), "0001-01-01T00:00:00+00:53:28[Europe/Berlin]"),
        (datetime.max.replace(tzinfo=ZoneInfo("America/New_York")), None),
    ],
)
def test_how_a_moment_is_written(moment: datetime, text: str | None) -> None:
    assert text in (None, text_of(moment))
    assert facts(through(moment)) == facts(moment)


@pytest.mark.parametrize(
    ("text", "moment", "offset"),
    [
        ("2026-07-01T12:00:00Z[Europe/Berlin]", datetime(2026, 7, 1, 14, tzinfo=BERLIN), 2),
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=timezone.utc), 0),
        ("2026-07-01T12:00:00+02:00[!Europe/Berlin]", datetime(2026, 7, 1, 12, tzinfo=BERLIN), 2),
        ("2026-07-01T12:00:00+05:00[Europe/Berlin]", datetime(2026, 7, 1, 9, tzinfo=BERLIN), 2),
        ("9999-12-31T23:59:59-12:00[Europe/Berlin]", datetime.max.replace(microsecond=0), -12),
        ("2026-10-25T02:30:00+02:00[Europe/Berlin][_fold=1]", TWICE.replace(tzinfo=BERLIN), 2),
        ("2026-07-01T12:00:00+05:00[Not/There]", datetime(2026, 7, 1, 12), 5),
    ],
)
def test_the_offset_tells_the_moment_whatever_else_is_written(text: str, moment: datetime, offset: int) -> None:
    """The text may come from other programs, from people, or from other rules for the zone."""
    found = codec.decode(b'{"py/datetime":"%s"}' % text.encode())
    fixed = timezone(timedelta(hours=offset))
    assert facts(found)[0::3] == facts(moment.replace(tzinfo=moment.tzinfo or fixed))[0::3]
    assert through([found]) == [found]


@pytest.mark.parametrize(
    "content",
    [
        '{"py/datetime":"2026-07-01T12:00:00[Europe/Berlin]"}',
        '{"py/datetime":"2026-07-01T12:00:00+02:00[../../etc/passwd]"}',
        '{"py/datetime":"2026-07-01T12:00:00+02:00[/etc/passwd]"}',
        '{"py/datetime":"2026-07-01T12:00:00+02:00[]"}',
        '{"py/datetime":"2026-07-01T12:00:00+02:00[Europe/Berlin"}',
        '{"py/datetime":"2026-07-01T12:00:00+02:00[Europe/Berlin][u-ca=hebrew]"}',
        '{"py/datetime":"2026-07-01T12:00:00+02:00[_fold=1][Europe/Berlin]"}',
        '{"py/time":"12:00:00+02:00[Europe/Berlin]"}',
    ],
)
def test_marks_that_do_not_fit_leave_the_dict_that_it_is(content: str) -> None:
    """They are like any other content that doesn't fit."""
    assert codec.decode(content.encode()) == json.loads(content)


@pytest.mark.parametrize("name", ["Europe", "tzdata.zi", "zone.tab", "a" * 5000, "nul", "x/y/z"])
def test_what_is_no_zone_is_a_fixed_offset(name: str) -> None:
    """Examples are folders, other files, and names that the system refuses."""
    found = codec.decode(f'{{"py/datetime":"2026-07-01T12:00:00+02:00[{name}]"}}'.encode())
    assert found == datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))


WITHOUT_ZONES = """
import sys
sys.modules["tzdata"] = None
from s3dictionary._format import codec
text = sys.argv[1].encode()
moment = codec.decode(text)
assert codec.encode(moment) == text
print(moment.isoformat(), type(moment.tzinfo).__name__, moment.tzname())
"""


def test_where_there_is_no_such_zone_the_moment_comes_with_a_fixed_offset() -> None:
    """The name is kept, so a reader that has the zone gets it back."""
    text = '{"py/datetime":"2026-10-25T02:30:00+01:00[Europe/Berlin]"}'
    command = [sys.executable, "-c", WITHOUT_ZONES, text]
    printed = subprocess.check_output(command, env={**os.environ, "PYTHONTZPATH": ""}, text=True)
    assert printed.split() == ["2026-10-25T02:30:00+01:00", "timezone", "Europe/Berlin"]


class Keyed(tzinfo):
    """As a zone of another library, with a name of its own."""

    def __init__(self, key: str) -> None:
        self.key = key

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        return self.key


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        (timezone(timedelta(hours=1), "CET"), 1),
        (timezone(timedelta(hours=1), "no zone/of anybody"), 1),
        (Keyed("no zone/of anybody"), 1),
        (Keyed("Nobodys"), 1),
        (dateutil.tz.tzoffset("CET", 3600), 1),
        (dateutil.tz.tzutc(), 0),
        (pytz.FixedOffset(60), 1),
    ],
)
def test_a_zone_that_tells_no_name_becomes_its_offset(zone: tzinfo, offset: int) -> None:
    """The offset is stored, without a name that can't be written, or may be no zone's."""
    moment = datetime(2026, 1, 1, tzinfo=zone)
    assert through(moment).tzinfo == timezone(timedelta(hours=offset))
    assert "[" not in text_of(moment)


def test_a_zone_that_differs_from_the_one_of_its_name_becomes_its_offset() -> None:
    """An example is a pytz zone that isn't localized: the local mean time of 1893."""
    found = through(datetime(2026, 1, 1, tzinfo=pytz.timezone("Europe/Berlin")))
    assert found.tzinfo == timezone(timedelta(minutes=53))


def test_a_time_of_day_keeps_a_fixed_offset_and_its_fold() -> None:
    for zone in (timezone(timedelta(hours=2)), ZoneInfo("Etc/GMT-2"), dateutil.tz.tzoffset(None, 7200)):
        found = through(time(7, 30, tzinfo=zone, fold=1))
        assert (found, found.fold) == (time(7, 30, tzinfo=timezone(timedelta(hours=2))), 1)


@pytest.mark.parametrize("zone", [BERLIN, pytz.timezone("Europe/Berlin"), dateutil.tz.gettz("Europe/Berlin")])
def test_a_time_of_day_whose_zone_depends_on_the_date_is_refused(zone: Any) -> None:
    with pytest.raises(NotStorableError, match="whose time zone has no offset without a date"):
        codec.encode(time(7, 30, tzinfo=zone))


class Moment(datetime):
    """A subclass, as other libraries have."""


def test_a_subclass_in_an_hour_that_comes_twice_keeps_the_moment() -> None:
    """Such a moment equals none in another zone, so equality can't show whether it is written exactly."""
    for fold in (0, 1):
        moment = Moment(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold)
        assert facts(through(moment)) == facts(moment)
        assert type(through(moment)) is datetime


@pytest.mark.parametrize("key", [TWICE.replace(tzinfo=BERLIN, fold=1), date(2026, 1, 1)])
def test_a_moment_may_be_a_key(key: Any) -> None:
    assert through({key: 1}) == {key: 1}


@pytest.mark.parametrize("microseconds", [-999_999, -1, 1, 999_999])
def test_an_offset_of_less_than_a_second_is_refused(microseconds: int) -> None:
    """Before 3.14, Python's own reader takes it for UTC."""
    zone = timezone(timedelta(microseconds=microseconds))
    for value in (datetime(2026, 1, 1, tzinfo=zone), time(1, tzinfo=zone)):
        with pytest.raises(NotStorableError, match="ISO 8601 can't represent"):
            codec.encode(value)
