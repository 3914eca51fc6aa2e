"""The verbs and options of the command line are frozen: scripts of users rely on them.

``VERBS`` is written by hand. Adding an option means adding it here; removing or renaming one means
a deprecation first.
"""

from collections.abc import Iterator

import typer.main
from click import Command
from typer.core import TyperGroup

from palate.cli import app
from palate.data.prepare import PrepareOptions

WHERE = {"--device", "--precision"}
VERBS: dict[str, set[str]] = {
    "prepare": {
        *("source", "dataset", "--name", "--column", "--seed"),
        *("--events", "--items", "--users", "--header", "--encoding"),
        *("--decimal", "--time-format", "--null"),
        *("--drop-incomplete", "--no-drop-incomplete"),
        *("--k-core", "--min-rating", "--duplicates"),
        *("--allow-missing-items", "--no-allow-missing-items"),
        *("--keep-untouched-items", "--no-keep-untouched-items"),
        *("--split", "--valid-fraction", "--test-fraction"),
    },
    "join": {"datasets", "--out", "--name", "--seed"},
    "train": {
        *("dataset", "model", "--recipe", "--seed", "--fit", "--start", "--prompts", "--set"),
        *("--llm", "--llm-model"),
        *WHERE,
    },
    "tune-text": {"dataset", "folder", "--start", "--loss", "--set", "--seed"},
    "evaluate": {"model", "--task", "--split", "--protocol", "--users", "--json", *WHERE},
    "compare": {"models", "--split", *WHERE},
    "recommend": {
        *("model", "--user", "-n", "--prompt", "--history", "--form", "--json"),
        *("--task", "--slot", "--filter", "--exclude", "--candidates", "--include-seen"),
        *("--diversity", "--all-users", "--users", "--out"),
        *WHERE,
    },
    "search": {"model", "words", "-n", "--user", "--json", *WHERE},
    "rate": {"model", "--item", "--user", "--history", "--json", *WHERE},
    "explain": {
        *("model", "--item", "--user", "--history", "--aspect", "--llm", "--llm-model", "--json"),
        *WHERE,
    },
    "summarise": {"model", "--text", "--json", *WHERE},
    "rank": {"model", "--items", "--user", "--history", "--json", *WHERE},
    "prompts": {"model", "--family", "--user", "--file", "--json"},
    "sensitivity": {"model", "--split", "--plot", "--search", "--json", *WHERE},
    "report": {"models", "--out", "--split", *WHERE},
    "index": {"source", "--kind", "--set", "--vectors", "--seed", "--out", "--json"},
    "recipes": {"name", "--json"},
    "backbone list": {"--json"},
    "backbone get": {"source", "folder", "--from"},
    "serve": {"model", "--db", "--port", "--host", "--model", "--keep-days", *WHERE},
    "mcp": {"model", "--db", *WHERE},
    "demo": {"--folder", "--users", "--seed"},
}


def test_verbs_are_frozen() -> None:
    assert set(_offered()) == set(VERBS)


def test_options_are_frozen() -> None:
    assert _offered() == VERBS


def test_prepare_offers_every_option_that_there_is_in_python() -> None:
    offered = {
        spelling.removeprefix("--").replace("-", "_")
        for spelling in VERBS["prepare"]
        if spelling.startswith("--") and not spelling.startswith("--no-")
    }
    files = {"events", "items", "users"}
    assert offered - {"column", *files} == set(PrepareOptions.model_fields) - {"columns"}


def _offered() -> dict[str, set[str]]:
    """Return each verb's positional names and option spellings, ``--help`` left out."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        verb: {
            item_format
            for parameter in command.params
            for item_format in [*parameter.opts, *parameter.secondary_opts]
            if item_format != "--help"
        }
        for verb, command in _commands(group)
    }


def _commands(group: TyperGroup, before: str = "") -> Iterator[tuple[str, Command]]:
    """Return every command with its name, such as ``backbone get``."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command
