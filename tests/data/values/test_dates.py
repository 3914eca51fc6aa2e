"""Dates in text: every form that programs print, and which of two numbers is the day."""

from datetime import datetime

import polars as pl
import pytest

from palate.data.values.dates import read_dates

MARCH = datetime(2023, 3, 7, 14, 6, 13)


def read(*texts: str | None) -> list[datetime | None]:
    return read_dates(pl.Series("t", texts)).micros.cast(pl.Datetime("us")).to_list()


@pytest.mark.parametrize(
    "text",
    [
        *("2023-03-07 14:06:13", "2023-03-07T14:06:13", "2023-3-7 14:06:13", "2023/03/07 14:06:13"),
        *("2023.03.07 14:06:13", "20230307T140613Z", "20230307 140613", "2023-03-07T14:06:13Z"),
        *("2023-03-07 14:06:13 UTC", "2023-03-07T16:06:13+02:00", "2023-03-07 16:06:13 +0200"),
        *("2023-03-07 16:06:13+02", "2023-03-07 16:06:13 +0200 CEST", "2023-03-07T10:36:13-0330"),
        "2023-03-07 16:06:13 +0200 +0200 m=+0.013",
        *(
            "07.03.2023 14:06:13",
            "7.3.2023 14:06:13",
            "07.03.23 14:06:13",
            "7.3.2023, 14:06:13 Uhr",
        ),
        *("Tue, 07 Mar 2023 14:06:13 GMT", "Tue, 7 Mar 2023 16:06:13 +0200"),
        *("Tue, 07 Mar 2023 09:06:13 EST", "7 Mar 23 14:06:13", "07-Mar-2023 14:06:13"),
        *("Tue Mar  7 14:06:13 2023", "Tue Mar 07 14:06:13 +0000 2023"),
        *("Tue Mar  7 14:06:13 UTC 2023", "07/Mar/2023:14:06:13 +0000"),
        "Tue Mar 07 2023 16:06:13 GMT+0200 (Central European Summer Time)",
        *("March 7, 2023 2:06:13 PM", "Mar 7, 2023, 2:06:13 pm", "March 7th, 2023 at 2:06:13 p.m."),
        *("Tuesday, March 7, 2023 2:06:13 PM", "3/7/2023 2:06:13 PM", "7. M\u00e4rz 2023 14:06:13"),
        *("7 mars 2023 14:06:13", "7 marzo 2023 14:06:13", "2023\u5e743\u67087\u65e5 14:06:13"),
    ],
)
def test_forms_of_one_moment(text: str) -> None:
    assert read(text, None) == [MARCH, None]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2023-03-07T14:06:13,123", MARCH.replace(microsecond=123_000)),
        ("2023-03-07 14:06:13.123456789 +0000 UTC", MARCH.replace(microsecond=123_456)),
        ("2023-03-07", datetime(2023, 3, 7)),
        ("3/7/2023 12:06 AM", datetime(2023, 3, 7, 0, 6)),
        ("3/7/2023 12:06 PM", datetime(2023, 3, 7, 12, 6)),
        ("07-Mar-99", datetime(1999, 3, 7)),
        ("7 juillet 2023", datetime(2023, 7, 7)),
        ("7 juin 2023", datetime(2023, 6, 7)),
    ],
)
def test_parts_of_a_moment(text: str, wanted: datetime) -> None:
    assert read(text) == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        *("noon", "14:06", "2023-02-31", "2023-13-01", "2023-03-07 25:00", "2023-03-07 14:61"),
        *(
            "2023-03-07 14:06 XYZ",
            "31.02.2023",
            "13/13/2023",
            "3/7/2023 13:06 PM",
            "7 Brumaire 2023",
        ),
        "",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert read(text) == [None]


def test_a_thirteen_tells_which_number_is_the_day() -> None:
    assert read("03/07/2023", "13/07/2023")[0] == datetime(2023, 7, 3)
    assert read("03/07/2023", "07/13/2023")[0] == datetime(2023, 3, 7)
    assert read("03.07.2023", "07.13.2023")[0] == datetime(2023, 3, 7)
    said = read_dates(pl.Series(["03/07/2023", "13/07/2023"])).notes
    assert said.read == ("Dates: day first, as '13/07/2023' shows.",)
    assert not said.warnings


def test_points_mean_day_first() -> None:
    found = read_dates(pl.Series(["03.07.2023", "04.07.2023 10:00"]))
    assert found.micros.cast(pl.Datetime("us"))[0] == datetime(2023, 7, 3)
    assert "day first" in found.notes.read[0]


def test_where_nothing_tells_dates_lie_close_together_and_that_is_warned_of() -> None:
    assert read("03/07/2023", "03/08/2023", "03/09/2023")[1] == datetime(2023, 3, 8)
    assert read("03/07/2023", "04/07/2023", "05/07/2023")[1] == datetime(2023, 7, 4)
    (warning,) = read_dates(pl.Series(["03/07/2023", "03/08/2023"])).notes.warnings
    assert "'03/07/2023' may have the day or the month first; month first was taken" in warning
    assert "--time-format" in warning


def test_two_orders_in_one_column_are_not_both_believed() -> None:
    assert read("13/07/2023", "07/13/2023", "14/07/2023")[1] is None
