"""Rules of the source that no linter here knows: each test names the places that break one."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "palate"
EMPTY_NAMES = {"utils", "util", "common", "misc", "helper", "helpers", "manager", "handler", "base"}
RUNS_DATA = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
SEEDS_ALL = {"np.random.seed", "numpy.random.seed", "random.seed"}
PACKERS = {"gzip", "bz2", "lzma"}
"""Whose ``open`` means bytes unless told otherwise."""
LEFT_OVER = re.compile(r"/(?:work|home|root|Users)/|\bshared/|\b(?:TODO|FIXME|XXX)\b")


@dataclass(frozen=True)
class Source:
    """One file of the package, read once for all rules."""

    name: str
    text: str

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @property
    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.nodes if isinstance(node, ast.Call))

    @cached_property
    def called(self) -> set[str]:
        return {ast.unparse(call.func) for call in self.calls}

    @cached_property
    def imported(self) -> set[str]:
        names: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
        return names


SOURCES = [
    Source(str(path.relative_to(PACKAGE)), path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
]


def test_every_file_has_a_module_docstring() -> None:
    assert _breaking(lambda source: not ast.get_docstring(ast.parse(source.text))) == []


def test_no_file_has_a_name_without_meaning() -> None:
    assert _breaking(lambda s: EMPTY_NAMES & set(Path(s.name).with_suffix("").parts)) == []


def test_no_data_is_run_as_code() -> None:
    assert _breaking(lambda source: RUNS_DATA & source.called) == []


def test_nothing_is_unpickled() -> None:
    assert _breaking(lambda source: UNPICKLES & source.imported) == []
    assert _breaking(lambda source: any(map(_may_unpickle, source.calls))) == []


def test_everything_printed_goes_through_one_file() -> None:
    """There, what is printed is made harmless first."""
    printing = {"print", "typer.echo", "typer.secho", "Console", "sys.stdout.write"}
    assert _breaking(lambda source: printing & source.called) == []


def test_a_name_of_a_file_is_no_pattern() -> None:
    """``shop [1].csv`` is one file: polars must not look for ``shop 1.csv``."""
    readers = {"pl.read_parquet", "pl.scan_parquet", "pl.read_csv", "pl.scan_csv"}

    def looks_for_more(call: ast.Call) -> bool:
        in_memory = bool(call.args) and ast.unparse(call.args[0]).startswith("io.BytesIO(")
        exact = any(word.arg == "glob" for word in call.keywords)
        return ast.unparse(call.func) in readers and not exact and not in_memory

    assert _breaking(lambda source: any(map(looks_for_more, source.calls))) == []


def test_no_code_seeds_global_generators() -> None:
    assert _breaking(lambda source: SEEDS_ALL & source.called) == []


def test_annotations_can_be_checked_at_run_time() -> None:
    assert _breaking(lambda source: "__future__" in source.imported) == []


def test_text_is_utf_8_whatever_the_locale() -> None:
    assert _breaking(lambda source: any(map(_leaves_the_encoding_open, source.calls))) == []


@pytest.mark.parametrize(
    ("call", "is_open"),
    [
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("open(path)", True),
        ("path.open()", True),
        ("path.open('w')", True),
        ("os.fdopen(number, mode='w')", True),
        ("gzip.open(path, 'rt')", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text, 'utf-8')", False),
        ("open(path, encoding='utf-8')", False),
        ("open(path, 'rb')", False),
        ("path.open('wb')", False),
        ("gzip.open(path)", False),
        ("Image.open(content, formats=known)", False),
        ("Store.open(address)", False),
        ("os.open(path, os.O_WRONLY)", False),
    ],
)
def test_an_encoding_left_open_is_found(call: str, is_open: bool) -> None:
    found = ast.parse(call, mode="eval").body
    assert isinstance(found, ast.Call)
    assert _leaves_the_encoding_open(found) == is_open


def test_no_error_is_swallowed() -> None:
    inside = [source for source in SOURCES if not source.name.startswith("cli/")]
    assert [s.name for s in inside if any(map(_swallows_everything, s.nodes))] == []


def test_nothing_is_left_over_or_of_one_machine() -> None:
    assert _breaking(lambda source: LEFT_OVER.search(source.text)) == []


def _breaking(rule: Callable[[Source], object]) -> list[str]:
    return [source.name for source in SOURCES if rule(source)]


def _may_unpickle(call: ast.Call) -> bool:
    options = {word.arg: ast.unparse(word.value) for word in call.keywords}
    unsafe_load = (
        ast.unparse(call.func) == "torch.load" and options.get("weights_only", "") != "True"
    )
    return unsafe_load or options.get("allow_pickle", "False") != "False"


def _leaves_the_encoding_open(call: ast.Call) -> bool:
    """Tell whether a call reads or writes text in whatever encoding the machine prefers."""
    named = {word.arg: word.value for word in call.keywords}
    if "encoding" in named:
        return False
    owner, _, method = ast.unparse(call.func).rpartition(".")
    if method in {"read_text", "write_text"}:
        # The encoding is the first argument of the one, the second of the other.
        return bool(owner) and len(call.args) < (1 if method == "read_text" else 2)
    # A file descriptor of `os.open` has no encoding: it moves bytes.
    if method not in {"open", "fdopen"} or (owner, method) == ("os", "open"):
        return False
    if owner in {"", "io", "os", "codecs", *PACKERS}:
        mode = call.args[1] if len(call.args) > 1 else named.get("mode")
        said = mode.value if isinstance(mode, ast.Constant) else "r"
        return "t" in str(said) if owner in PACKERS else "b" not in str(said)
    # Of a path, the first argument is the mode; other things to open take something else there.
    mode = call.args[0] if call.args else named.get("mode", ast.Constant("r"))
    return isinstance(mode, ast.Constant) and "b" not in str(mode.value)


def _swallows_everything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
    return broad and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
