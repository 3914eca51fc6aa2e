"""``palate prepare`` on the command line: tables by name, columns per table, forms of values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from palate.cli import app
from palate.cli.application import listed
from palate.data.dataset import Dataset
from palate.errors import ConfigError, DataError

EVENTS = "".join(f"b{n % 4};p{n // 4 % 5};0{1 + n // 9}/0{1 + n % 9}/2023\n" for n in range(40))
ITEMS = "".join(f"p{n},Thing {n},1.29{n}\n" for n in range(5))


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "orders_export.csv").write_text("Buyer;Thing;When\n" + EVENTS)
    (folder / "products_export.csv").write_text("Code,Title,Price\n" + ITEMS)
    return folder


MAPPED = (
    *("--column", "events.user_id=Buyer", "--column", "events.item_id=Thing"),
    *("--column", "timestamp=When", "--column", "items.item_id=Code"),
)


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.mark.parametrize("inside", [True, False])
def test_tables_under_other_names_with_columns_per_table(exports: Path, inside: bool) -> None:
    target = exports.parent / "shop"
    if inside:
        places = (
            exports,
            target,
            "--events",
            "orders_export.csv",
            "--items",
            "products_export.csv",
        )
    else:
        tables = (exports / "orders_export.csv", exports / "products_export.csv")
        places = (target, "--events", tables[0], "--items", tables[1])
    said = run("prepare", *places, *MAPPED, "--decimal", ",", "--time-format", "%m/%d/%Y")
    assert f"Dataset written to {target}" in said.replace("\n", "")
    shop = Dataset.load(target)
    assert sorted(shop.catalog.table["price"]) == [1290, 1291, 1292, 1293, 1294]
    assert shop.interactions.timestamps is not None
    assert shop.interactions.timestamps.min() == 1_672_531_200


def test_a_file_without_a_header_and_words_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    rows = "".join(f"u{n % 4},i{n // 4 % 5}\n" for n in range(40)) + "nobody,i1\n,i2\n"
    path.write_bytes(("\u00fc,i0\n" + rows).encode("cp1252"))
    options = ("--header", "user_id,item_id", "--null", "nobody", "--encoding", "cp1252")
    with pytest.raises(DataError, match="line 43: no user_id"):
        run("prepare", path, tmp_path / "out", *options)
    run("prepare", path, tmp_path / "out", *options, "--drop-incomplete")
    users = Dataset.load(tmp_path / "out").interactions.users.ids
    assert sorted(users) == ["u0", "u1", "u2", "u3", "\u00fc"]


def test_what_is_missing_is_asked_for(exports: Path) -> None:
    with pytest.raises(ConfigError, match="dataset folder to write is missing"):
        run("prepare", exports)
    with pytest.raises(ConfigError, match="need --events"):
        run("prepare", exports.parent / "shop", "--items", exports / "products_export.csv")
    with pytest.raises(DataError, match="There is no file"):
        run("prepare", exports.parent / "shop", "--events", exports / "clicks.csv")
    assert [path.name for path in exports.parent.iterdir()] == ["exports"]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a,b", ["a", "b"]),
        (" a , b,", ["a", "b"]),
        ('"a,b",c', ["a,b", "c"]),
        ('c, "a,b"', ["c", "a,b"]),
        ('12" disc,b', ['12" disc', "b"]),
        ('"say ""hi"", you"', ['say "hi", you']),
        ("", []),
    ],
)
def test_ids_with_commas_stand_in_quotes(text: str, ids: list[str]) -> None:
    assert listed(text) == ids


def test_a_terminal_without_the_letters_is_no_reason_to_stop(exports: Path) -> None:
    path = exports / "events.csv"
    rows = "".join(f"\u00fc{n % 3},i{n // 3 % 3}\n" for n in range(30))
    path.write_text(f"user,item\n{rows}", encoding="utf-8")
    program = "from palate.cli import main; main()"
    command = [sys.executable, "-c", program, "prepare", str(path), str(exports / "out")]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Dataset written to" in done.stdout


def test_a_name_beyond_ascii_is_written_in_any_locale(exports: Path, tmp_path: Path) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = ["prepare", "--events", str(exports / "orders_export.csv"), *MAPPED[:4]]
    program = "from palate.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        *arguments,
        *MAPPED[4:6],
        str(tmp_path / "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
    ]
    done = subprocess.run(command, env=os.environ | locale, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Dataset.load(tmp_path / "caf\N{LATIN SMALL LETTER E WITH ACUTE}").report
