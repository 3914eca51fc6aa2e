"""Options as they are written in Python."""

import polars as pl
import pytest

from palate.data.dataset import Dataset
from palate.data.option_names import in_python
from palate.errors import DataError


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("(kept with --keep-untouched-items)", "(kept with keep_untouched_items=True)"),
        ("give --null '' (no words mean nothing).", 'give null=[""] (no words mean nothing).'),
        ("as in --null missing; or", 'as in null=["missing"]; or'),
        ("--time-format '%d.%m.%Y %H:%M'; or", 'time_format="%d.%m.%Y %H:%M"; or'),
        ("--time-format milliseconds (or", 'time_format="milliseconds" (or'),
        ("give another --time-format.", "give another time_format."),
        ("with --decimal , or --decimal .", 'with decimal="," or decimal="."'),
        ("--column timestamp= (nothing)", 'columns={"timestamp": ""} (nothing)'),
        ('Kept as they are: "a--name", "--x-y".', 'Kept as they are: "a--name", "--x-y".'),
    ],
)
def test_options_become_keywords(said: str, meant: str) -> None:
    assert in_python(said) == meant


def test_errors_and_reports_of_frames_speak_python() -> None:
    events = pl.DataFrame({"user": [*"aaaabb"], "item": [1, 2, 3, 1, 2, 3]})
    items = pl.DataFrame({"item_id": [1, 2, 4], "title": ["One", "Two", "Four"]})
    with pytest.raises(DataError) as found:
        Dataset.from_frames(events, items)
    assert found.value.hint.endswith("keep such events with allow_missing_items=True.")
    made = Dataset.from_frames(events, items, allow_missing_items=True)
    assert "keep_untouched_items=True" in made.report
    assert "--" not in made.report.replace("---", "")
