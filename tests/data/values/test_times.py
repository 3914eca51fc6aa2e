"""Points in time: units, dates, mixtures, and what stands where there is none."""

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from palate.data.sources.read import SourceFile
from palate.data.values.cells import Forms
from palate.data.values.epochs import Times
from palate.data.values.times import clock, holds_times, times
from palate.errors import ConfigError, DataError

NOON = 1_704_110_400
"""2024-01-01 12:00 UTC."""
MIDNIGHT = NOON - 43_200


def file(cells: list[object]) -> SourceFile:
    return SourceFile(Path("x.csv"), pl.DataFrame({"c": cells}, strict=False))


def seconds(found: Times) -> list[int | None]:
    return (found.values // found.per_second).to_list()


def told(found: Times) -> str:
    return " ".join(found.notes.read + found.notes.warnings)


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        (NOON, NOON),
        (str(NOON), NOON),
        (f" {NOON}\u00a0", NOON),
        (f"{NOON}.5", NOON),
        (f"{NOON},5", NOON),
        (float(NOON), NOON),
        (f"{NOON}.0", NOON),
        (str(NOON * 1000 + 7), NOON),
        (NOON * 1_000_000, NOON),
        (NOON * 1_000_000_000 + 1, NOON),
        ("2024-01-01T12:00:00", NOON),
        ("2024-01-01T12:00:00Z", NOON),
        ("2024-01-01T14:00:00+02:00", NOON),
        ("2024-01-01 12:00:00.250", NOON),
        ("2024-01-01 12:00", NOON),
        ("2024-01-01", MIDNIGHT),
        ("2024/01/01", MIDNIGHT),
        ("20240101", MIDNIGHT),
        (20240101, MIDNIGHT),
        ("01.01.2024", MIDNIGHT),
        (20240101120000, NOON),
        ("20240101120000", NOON),
        (20240101120000000, NOON),
        (202401011200, NOON),
        ("240101120000", NOON),
        (2024010112, NOON),
        ("45292.5", NOON),
        ("45292,5", NOON),
        (datetime(2024, 1, 1, 12), NOON),
        (date(2024, 1, 1), MIDNIGHT),
    ],
)
def test_times(cell: object, wanted: int) -> None:
    assert seconds(times(file([cell, cell]), "c")) == [wanted, wanted]


def test_dates_of_several_forms_may_mix() -> None:
    found = times(file(["2024-01-01", "2024-01-01T12:00:00Z", "Jan 1, 2024 12:00 PM"]), "c")
    assert seconds(found) == [MIDNIGHT, NOON, NOON]


def test_milliseconds_keep_their_order() -> None:
    found = times(file([NOON * 1000 + 2, NOON * 1000 + 1]), "c")
    assert found.values[0] > found.values[1]


def test_units_may_mix_and_that_is_told_with_the_share_of_each() -> None:
    found = times(file([NOON * 1000 + 1, NOON, NOON + 1, NOON * 1000 + 500]), "c")
    assert seconds(found) == [NOON, NOON, NOON + 1, NOON]
    assert found.values.rank("ordinal").to_list() == [2, 1, 4, 3]
    assert "2 of 4 (50%) Unix milliseconds, such as 1704110400001" in found.notes.warnings[0]


def test_every_unit_in_one_column() -> None:
    cells = [NOON, NOON * 1_000, NOON * 1_000_000, NOON * 1_000_000_000, 20240101120000]
    assert seconds(times(file([*cells, "20240101"]), "c")) == [NOON] * 5 + [MIDNIGHT]


def test_numbers_among_dates_are_told() -> None:
    found = times(file(["2024-01-01", str(NOON), str(NOON * 1000)]), "c")
    assert seconds(found) == [MIDNIGHT, NOON, NOON]
    assert "2 of 3 (67%) times" in told(found)


@pytest.mark.parametrize(
    "filler",
    [
        *("9999-12-31", "9999-12-31 23:59:59", "1970-01-01", "1900-01-01", "0001-01-01"),
        *("0000-00-00", "0000-00-00 00:00:00", "2999-12-31", "1970-01-01T01:00:00", "NA", ""),
    ],
)
def test_a_date_that_is_made_up_is_none(filler: str) -> None:
    found = times(file(["2024-01-01", filler, "2024-01-01"]), "c")
    assert seconds(found) == [MIDNIGHT, None, MIDNIGHT]
    assert (filler or "empty") in found.missing


@pytest.mark.parametrize(
    "filler",
    [
        *(0, -1, -62_135_596_800, 1, 3_600, 253_402_214_400, 253_402_300_799, 253_402_300_799_000),
        *(2**31 - 1, 2**32 - 1, 2**63 - 1, 99_991_231, 99_991_231_235_959, 9_999_999_999),
    ],
)
@pytest.mark.parametrize("unit", [1, 1_000])
def test_a_number_that_is_made_up_is_none(filler: int, unit: int) -> None:
    found = times(file([NOON * unit, filler, NOON * unit]), "c")
    assert seconds(found) == [NOON, None, NOON]
    assert str(filler) in found.missing
    assert "made up" in found.missing


def test_fillers_may_be_most_of_a_column() -> None:
    assert seconds(times(file([0, 0, 0, NOON]), "c")) == [None, None, None, NOON]
    assert seconds(times(file(["99991231", "20240101", "20240101"]), "c"))[0] is None


def test_small_numbers_are_an_order_zero_included() -> None:
    found = times(file([0, 2, 1, 86_500]), "c")
    assert found.is_order
    assert found.values.to_list() == [0, 2, 1, 86_500]
    assert found.missing == ""


def test_an_order_of_hundreds_of_millions_is_left_alone() -> None:
    found = times(file([300_000_000, 1, 150_000_000, 20240101]), "c")
    assert found.values.to_list() == [300_000_000, 1, 150_000_000, 20240101]


def test_words_for_nothing_and_nan_are_no_times() -> None:
    assert seconds(times(file(["NA", str(NOON), "\\N"]), "c")) == [None, NOON, None]
    assert seconds(times(file([float("nan"), float(NOON)]), "c")) == [None, NOON]
    found = times(file(["NA", str(NOON), "", "NA"]), "c")
    assert found.missing == "'NA' (2), empty (1)"


def test_times_before_1975_are_warned_of() -> None:
    assert '1 of 2 (50%) times in "c" are before 1975' in told(times(file([NOON, 9_000_000]), "c"))


def test_numbers_that_a_spreadsheet_shortened_are_warned_of() -> None:
    assert "'1.6E+09'" in told(times(file(["1.6E+09", "1.7E+09"]), "c"))


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["5", "noon", "6"], "row 2: the time in 'c' cannot be read: 'noon'"),
        (["2024-01-01", "2024-13-01"], "row 2: the time in 'c' cannot be read: '2024-13-01'"),
        (["20240101", "20240231"], "row 2: the time in 'c' cannot be read: '20240231'"),
        (["5", "-5"], "row 2: the time in 'c' is before 1970"),
        (["5", "9" * 22], "row 2: the time in 'c' cannot be read: '9999"),
        (["5", "2024-01-01"], "row 1: the time in 'c' cannot be read: '5'"),
        ([True, False], "holds Boolean, not times"),
        ([[1], [2]], "holds lists, not times"),
    ],
)
def test_bad_times(cells: list[object], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        times(file(cells), "c")
    assert "--time-format" in caught.value.hint


@pytest.mark.parametrize(
    ("cell", "form", "wanted"),
    [
        ("1/2/2024", "%d/%m/%Y", MIDNIGHT + 31 * 86_400),
        ("1/2/2024", "%m/%d/%Y", MIDNIGHT + 86_400),
        ("12h00 01-01-24", "%Hh%M %d-%m-%y", NOON),
        ("2024-01-01 12:00 +0000", "%Y-%m-%d %H:%M %z", NOON),
        (NOON, "seconds", NOON),
        (500_000 * 1_000, "milliseconds", 500_000),
        ("25000.5", "excel", -569 * 86_400 + 43_200),
    ],
)
def test_a_time_format_decides(cell: object, form: str, wanted: int) -> None:
    found = times(file([cell]), "c", Forms(time_format=form))
    assert seconds(found) == [wanted if wanted > 86_400 else None]


def test_a_time_format_that_does_not_fit_names_the_row() -> None:
    with pytest.raises(DataError, match="row 2: the time in 'c' is not written as '%d/%m/%Y': '5'"):
        times(file(["1/2/2024", "5"]), "c", Forms(time_format="%d/%m/%Y"))


@pytest.mark.parametrize("form", ["fortnights", "%H"])
def test_a_time_format_that_is_none_is_refused(form: str) -> None:
    with pytest.raises(ConfigError, match="--time-format"):
        times(file(["1/2/2024"]), "c", Forms(time_format=form))


@pytest.mark.parametrize(
    ("cells", "holds"),
    [
        (["2024-01-01", None], True),
        ([NOON, NOON], True),
        ([datetime(2024, 1, 1)], True),
        (["noon", "night"], False),
        (["14:06", "15:00"], False),
        ([1, 2, 3], False),
        ([None, None], False),
        ([True], False),
        ([[NOON]], False),
    ],
)
def test_columns_of_times_are_recognised(cells: list[object], holds: bool) -> None:
    assert holds_times(pl.Series("c", cells)) == holds


def test_a_clock_is_seconds_of_the_day() -> None:
    found = clock(pl.Series(["14:06", "0:00:07", None]))
    assert found is not None
    assert found.to_list() == [50_760, 7, 0]
    assert clock(pl.Series(["14:06", "later"])) is None
    assert clock(pl.Series(["25:06"])) is None
    assert clock(pl.Series([1])) is None


@pytest.mark.parametrize("cells", [["31012024", "1022024"], [31012024, 1022024]])
def test_numbers_with_the_year_last_are_dates(cells: list[object]) -> None:
    found = times(file(cells), "c")
    assert seconds(found) == [MIDNIGHT + 30 * 86_400, MIDNIGHT + 31 * 86_400]
    assert "day first" in told(found)


def test_times_still_to_come_are_warned_of() -> None:
    found = times(file([NOON, "2099-12-31"]), "c")
    (warning,) = [each for each in found.notes.warnings if "future" in each]
    assert "1 of 2 (50%)" in warning
    assert "--null '2099-12-31'" in warning


@pytest.mark.parametrize(
    "cell", ["2024-01-01T13:00:00+01:00[Europe/Berlin]", "1 de enero de 2024 12:00"]
)
def test_dates_of_java_and_of_spain(cell: str) -> None:
    assert seconds(times(file([cell]), "c")) == [NOON]


def test_a_zone_that_is_only_named_is_not_passed_over() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        times(file(["2024-01-01T13:00:00[Europe/Berlin]"]), "c")


@pytest.mark.parametrize("cell", ["03/07/2023 10:15:00 PM", "03-07-23 22:15", "03/07/2023"])
def test_the_time_format_of_a_hint_reads_the_dates(cell: str) -> None:
    (warning,) = times(file([cell]), "c").notes.warnings
    pattern = warning.split("for instance '")[1].split("'")[0]
    assert times(file([cell]), "c", Forms(time_format=pattern)).values.count() == 1
