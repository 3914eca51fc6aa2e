"""A separate process that converts a Parquet file to JSON lines; ``python -m`` runs it.

A file of 64 MiB can unpack to hundreds of gigabytes, and a damaged one may crash the compiled code
that reads it. This process has a limit of memory, and if it crashes, the service goes on.

Arguments: maximum number of rows, maximum bytes of output, memory in bytes, then the known columns.
The file comes from standard input. The first line of standard output is ``{}``, or a refusal with
``status``, ``message`` and ``hint``; the rows follow.
"""

import io
import json
import sys
from collections.abc import Mapping

_ROWS_AT_ONCE = 200


def limit_memory(num_bytes: int) -> None:
    """Limit the memory of this process, if the system supports it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (num_bytes, num_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refusal(names: list[str], num_rows: int, known: list[str], most: int) -> Mapping[str, object]:
    """Return the reason why a table is refused, empty if it is not."""
    if unknown := sorted(set(names) - set(known)):
        shown = ", ".join(unknown)[:200]
        return {
            "status": 422,
            "message": f"The Parquet file has columns that mean nothing here: {shown}.",
            "hint": f"The columns may be {', '.join(sorted(known))}.",
        }
    if num_rows > most:
        return {
            "status": 413,
            "message": f"The Parquet file holds {num_rows:,} rows; {most:,} are read at once.",
            "hint": "Send it in parts.",
        }
    return {}


def main(most_rows: int, most_bytes: int, known: list[str]) -> int:
    """Read standard input and write rows; return the exit status."""
    import polars as pl

    out = sys.stdout.buffer
    lazy = pl.scan_parquet(io.BytesIO(sys.stdin.buffer.read()))
    names = lazy.collect_schema().names()
    num_rows = int(lazy.select(pl.len()).collect().item())
    refused = refusal(names, num_rows, known, most_rows)
    out.write(json.dumps(refused).encode() + b"\n")
    if refused:
        return 0
    written = 0
    for part in lazy.collect().iter_slices(_ROWS_AT_ONCE):
        lines = part.write_ndjson().encode()
        written += len(lines)
        if written > most_bytes:
            return 1
        out.write(lines)
    return 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:4]]
    limit_memory(numbers[2])
    sys.exit(main(numbers[0], numbers[1], sys.argv[4:]))
