"""Reads the rows of a Parquet file in another process (:mod:`palate.serving.parquet_child`)."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson
from pydantic import BaseModel

import palate
from palate.serving.json_rows import RawBytes
from palate.serving.objects import measure
from palate.serving.problems import Invalid, TooLarge
from palate.serving.schemas import MAX_BULK_ROWS

_MEMORY = 768 * 2**20
"""Memory of the reading process in bytes, including its libraries."""
_MOST_BYTES = 128 * 2**20
"""Maximum bytes of all rows as JSON."""
_SECONDS = 60.0
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT", "PYTHONHOME")
"""Environment variables of the reading process: it gets no keys and no passwords."""


def parquet_rows(
    body: RawBytes, kind: type[BaseModel], longest: int
) -> Iterator[tuple[str, bytes]]:
    """Return the rows of a Parquet file one by one as JSON objects without nulls.

    A row that is longer than ``longest`` bytes is cut.

    Raises:
        Invalid: when the file cannot be read.
        TooLarge: when it holds too much.
    """
    with _child(sorted(kind.model_fields)) as (process, into, out_of):
        with contextlib.suppress(BrokenPipeError):  # the reason is read below
            into.write(body)
            into.close()
        _check(out_of.readline(2**16))
        number = 0
        while line := out_of.readline(longest + 2):
            number += 1
            row = line.rstrip(b"\n")
            yield f"row {number}", row if len(row) > longest else _plain(row, kind)
        if process.wait():
            raise TooLarge(
                f"The Parquet file unpacks to more than {_MOST_BYTES:,} bytes.",
                hint="Send it in parts.",
            )


def _check(first: bytes) -> None:
    if not first.endswith(b"\n"):
        raise Invalid(
            "The Parquet file cannot be read: it is damaged, or unpacks to too much.",
            hint="Write it again, or in parts.",
        )
    refused = orjson.loads(first)
    if refused:
        error = TooLarge if refused["status"] == 413 else Invalid
        raise error(refused["message"], hint=refused["hint"])


def _plain(line: bytes, kind: type[BaseModel]) -> bytes:
    """Remove nulls, since a table has every column in every row; parse attributes from JSON."""
    measure(line, kind)
    row = {name: value for name, value in orjson.loads(line).items() if value is not None}
    attributes = row.get("attributes")
    if isinstance(attributes, str):
        text = attributes.encode()
        measure(text, kind)
        with contextlib.suppress(orjson.JSONDecodeError):  # validation of the row refuses it
            row["attributes"] = orjson.loads(text)
    return orjson.dumps(row)


@contextmanager
def _child(columns: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
    """Run the reading process during a block; give it with its input and output."""
    numbers = [str(number) for number in (MAX_BULK_ROWS, _MOST_BYTES, _MEMORY)]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"PYTHONPATH": str(Path(palate.__file__).parents[1]), "POLARS_MAX_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "palate.serving.parquet_child", *numbers, *columns],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    into, out_of = process.stdin, process.stdout
    assert into is not None
    assert out_of is not None
    clock = threading.Timer(_SECONDS, process.kill)
    clock.start()
    try:
        yield process, into, out_of
    finally:
        clock.cancel()
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            into.close()
        out_of.close()
        process.wait()
