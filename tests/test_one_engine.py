"""One question has one answer, in Python, on the command line, over HTTP and over MCP.

The four doors get the same requests about the same model folders: a counting baseline, and language
models that answer by vectors, by codes, by titles and in words; and prompted models, whose speakers
have no opinion, or draw one.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi.testclient import TestClient
from mcp import Client

from palate import Dataset, Recommender, cli
from palate.errors import ConfigError
from palate.inference.filters import ItemFilter
from palate.inference.request import Request
from palate.inference.text_answers import EXPLANATION_SAMPLING
from palate.serving.app import ServeSettings, create_app
from palate.serving.mcp import mcp_server
from palate.serving.startup import open_service
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.types import History

TINY = (
    *("items.text.dim=16", "model.decoder.width=16"),
    *("model.decoder.layers=1", "tasks.max_history=8", "training.epochs=1"),
    "training.tokens_per_batch=2048",
)
RECIPES: Mapping[str, tuple[str, ...]] = {
    "itemknn": (),
    "urm-small": (*TINY, 'prior.baseline={kind="itemknn", decay=0.5}'),
    "urm-codes": (
        *TINY,
        "codes.index={kind='residual-kmeans', levels=2, size=4, unique='own-token'}",
        "codes.beams=12",
    ),
    "palate": (*TINY, "tasks.candidates=5"),
    "llmrank": (),
    "zero-shot": (),
}
SPEAKERS = {"llmrank": "identity", "zero-shot": "shuffle"}
MODELS = tuple(RECIPES)
LANGUAGE_MODELS = MODELS[1:-2]
SAME = 2e-4
"""The command line rounds scores to four places."""


@dataclass(frozen=True)
class Question:
    """A request to every door, in the ids and words of users."""

    user: str | None = None
    history: tuple[str, ...] | None = None
    n: int = 6
    task: str | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    form: str | None = None
    filters: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    exclude_seen: bool = True
    diversity: float = 0.0


@dataclass(frozen=True)
class Answers:
    """What a door answers."""

    ids: list[str]
    scores: list[float]
    fallback: str | None
    why: list[list[tuple[str, float]]] | None = None
    """For each item the events that weighed most, and how much."""
    missing: list[str] = field(default_factory=list)
    """Items of the history that are not in the catalogue."""
    understood: dict[str, Any] | None = None
    """What was read in a prompt in free words."""


class Python:
    """``Recommender`` and the engine below it."""

    def __init__(self, folder: Path) -> None:
        self.recommender = Recommender.load(folder)
        self._vocabulary = self.recommender.dataset.catalog.vocabulary

    def history(self, question: Question) -> History:
        ids = list(question.history or ())
        if question.user is None:
            return self.recommender.history_of(ids)
        return self.recommender.history_of(ids, after=self.recommender.history(question.user))

    def recommend(self, question: Question) -> Answers:
        history = question.history
        if question.user is None and history is None:
            history = ()
        request = Request(
            family=question.task or "next-item",
            prompt=question.prompt,
            slots=question.slots,
            form=question.form,
        )
        found = self.recommender.asking(request).recommend(
            question.user,
            question.n,
            history=history,
            candidates=question.candidates,
            exclude=question.exclude,
            exclude_seen=question.exclude_seen,
            filters=question.filters,
            diversity=question.diversity,
            reasons=3,
        )
        why = [[(one.item_id, one.weight) for one in item.reasons] for item in found]
        scores, missing = [item.score for item in found], list(found.missing_ids)
        read = None if found.understood is None else found.understood.to_json()
        return Answers(found.item_ids, scores, found.fallback, why, missing, read)

    def search(self, words: str, user: str | None) -> Answers:
        found = self.recommender.search(words, 6, user=user)
        return Answers(found.item_ids, [item.score for item in found], found.fallback)

    def _id(self, row: int) -> str:
        return str(self._vocabulary.ids[row])


class CommandLine:
    """``palate VERB MODEL ... --json``."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys

    def run(self, verb: str, *words: object) -> tuple[Any, str]:
        """Return what is printed as JSON, and what is said beside it."""
        with pytest.MonkeyPatch.context() as patch:
            words = (verb, self._folder, *words, "--json")
            patch.setattr(sys, "argv", ["palate", *map(str, words)])
            self._capsys.readouterr()
            with pytest.raises(SystemExit) as stopped:
                cli.main()
        out, err = self._capsys.readouterr()
        assert not stopped.value.code, err
        return json.loads(out), err

    def recommend(self, question: Question) -> Answers:
        words = [*self.somebody(question.user, question.history), "-n", question.n]
        for option, value in (
            ("--prompt", question.prompt),
            ("--form", question.form),
            ("--task", question.task),
            ("--diversity", question.diversity or None),
            ("--exclude", ",".join(question.exclude) or None),
            (
                "--candidates",
                None if question.candidates is None else ",".join(question.candidates),
            ),
        ):
            words += [] if value is None else [option, value]
        for wanted in question.filters:
            words += ["--filter", wanted]
        for slot, value in question.slots.items():
            words += ["--slot", f"{slot}={value}"]
        words += [] if question.exclude_seen else ["--include-seen"]
        rows, said = self.run("recommend", *words)
        answers = _answers(rows, why="because")
        notes = [line for line in said.splitlines() if line.startswith("fallback ")]
        assert len(notes) == (answers.fallback is not None), said
        notes = [line for line in said.splitlines() if "not in the catalogue" in line]
        missing = [x for line in notes for x in re.findall("'(.*?)'", line)]
        read = next((row["understood"] for row in rows if "understood" in row), None)
        return replace(answers, missing=missing, understood=read)

    @staticmethod
    def somebody(user: str | None, history: Sequence[str] | None) -> list[object]:
        if user is None and history is None:
            history = ()
        return [
            *([] if user is None else ["--user", user]),
            *([] if history is None else ["--history", ",".join(history)]),
        ]

    def search(self, words: str, user: str | None) -> Answers:
        rows, _ = self.run("search", words, "-n", 6, *([] if user is None else ["--user", user]))
        return _answers(rows, why=None)


class Http:
    """The service, through its whole stack."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def post(self, route: str, **body: object) -> dict[str, Any]:
        response = self._client.post(f"/v1/{route}", json=body)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def recommend(self, question: Question) -> Answers:
        body: dict[str, Any] = {"user_id": question.user, "n": question.n, "explain": True}
        body |= {"slots": dict(question.slots), "task": question.task}
        body |= {"prompt": question.prompt, "form": question.form}
        if question.history is not None:
            body["history"] = list(question.history)
        if question.candidates is not None:
            assert not question.exclude_seen, "who ranks wants all of them"
            # Without a task the model ranks in its own way, which may be by yes or no.
            body["task"] = question.task or "next-item"
            found = self.post("rank", **body, candidates=list(question.candidates))
        else:
            body |= {"exclude_seen": question.exclude_seen, "diversity": question.diversity}
            body |= {"filter": _filter_body(question.filters), "exclude": list(question.exclude)}
            found = self.post("recommend", **body)
        answers = _answers(found["items"], why="why", fallback=found["fallback"])
        return replace(answers, missing=found["missing_ids"], understood=found["understood"])

    def search(self, words: str, user: str | None) -> Answers:
        found = self.post("search", query=words, n=6, user_id=user)
        return _answers(found["items"], why=None, fallback=found["fallback"])


class Mcp:
    """The tools of an assistant."""

    def __init__(self, client: Client, portal: BlockingPortal) -> None:
        self._client, self._portal = client, portal

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        result = self._portal.call(self._client.call_tool, tool, arguments)
        assert not result.is_error, result.content
        found: dict[str, Any] = json.loads(result.content[0].text)
        return found

    def recommend(self, question: Question) -> Answers:
        history = None if question.history is None else list(question.history)
        arguments: dict[str, Any] = {"user_id": question.user, "history": history, "explain": True}
        arguments |= {"prompt": question.prompt, "task": question.task, "form": question.form}
        arguments |= {"slots": dict(question.slots)}
        if question.candidates is not None:
            arguments |= {"task": question.task or "next-item"}
            found = self.call("rank", **arguments, candidates=list(question.candidates))
        else:
            arguments |= {"n": question.n, "exclude_seen": question.exclude_seen}
            arguments |= {"filter": _filter_body(question.filters)}
            arguments |= {"exclude": list(question.exclude), "diversity": question.diversity}
            found = self.call("recommend", **arguments)
        answers = _answers(found["items"], why="why", fallback=found["fallback"])
        return replace(answers, missing=found["missing_ids"], understood=found["understood"])

    def search(self, words: str, user: str | None) -> Answers:
        found = self.call("search", query=words, user_id=user, n=6)
        return _answers(found["items"], why=None, fallback=found["fallback"])


def _answers(rows: list[Any], *, why: str | None, fallback: str | None = None) -> Answers:
    return Answers(
        [row["item_id"] for row in rows],
        [row["score"] for row in rows],
        fallback or next((row["fallback"] for row in rows if "fallback" in row), None),
        None
        if why is None
        else [[(one["item_id"], one["weight"]) for one in row[why]] for row in rows],
    )


def _filter_body(filters: Sequence[str]) -> dict[str, object]:
    """Return the few filters of these tests as the body of a request has them."""
    body: dict[str, Any] = {}
    for wanted in filters:
        name, _, value = wanted.partition("=")
        if name in ("brand", "category"):
            body.setdefault({"brand": "brands", "category": "categories"}[name], []).append(value)
        elif name == "price<":
            body["price_max"] = float(value)
        elif name == "in_stock":
            body["in_stock"] = value == "true"
    return body


@dataclass(frozen=True)
class Doors:
    """All doors of one model."""

    python: Python
    command_line: CommandLine
    http: Http
    mcp: Mcp


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=60, num_items=30, events_per_user=8, seed=2, pictures=False).dataset()


@pytest.fixture(scope="module")
def folders(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each model."""
    at = tmp_path_factory.mktemp("one-engine")
    for name, settings in RECIPES.items():
        recipe, llm = load_recipe(name, settings), SPEAKERS.get(name)
        Recommender.train(shop, recipe, seed=1, llm=llm).save(at / name)
    return at


@pytest.fixture(scope="module")
def opened(
    folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, tuple[Python, Http, Mcp]]]:
    """The doors that stay open: one Python object, one service, one assistant for each model."""
    at = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def open_doors(name: str) -> tuple[Python, Http, Mcp]:
            folder = folders / name
            settings = ServeSettings({folder: 1.0}, f"sqlite:///{at}/{name}.db", first_key="k")
            client = TestClient(
                create_app(settings), base_url="http://localhost", headers={"X-API-Key": "k"}
            )
            service = open_service({folder: 1.0}, f"sqlite:///{at}/{name}-mcp.db")
            assistant = stack.enter_context(
                portal.wrap_async_context_manager(Client(mcp_server(service)))
            )
            stack.enter_context(client)
            return Python(folder), Http(client), Mcp(assistant, portal)

        yield {name: open_doors(name) for name in MODELS}


@pytest.fixture
def doors(
    request: pytest.FixtureRequest,
    opened: Mapping[str, tuple[Python, Http, Mcp]],
    folders: Path,
    capsys: pytest.CaptureFixture[str],
) -> Doors:
    """The doors of the model that the test is given."""
    name = request.param
    python, http, mcp = opened[name]
    return Doors(python, CommandLine(folders / name, capsys), http, mcp)


def same(one: Answers, other: Answers) -> None:
    """Both are the same list, for the same reasons."""
    assert one.ids == other.ids
    assert one.scores == pytest.approx(other.scores, abs=SAME, rel=SAME)
    if one.why is None or other.why is None:
        return
    for first, second in zip(one.why, other.why, strict=True):
        assert [item for item, _ in first] == [item for item, _ in second]
        assert [weight for _, weight in first] == pytest.approx(
            [weight for _, weight in second], abs=SAME, rel=SAME
        )


def answered_everywhere(doors: Doors, question: Question) -> Answers:
    """Ask at every door; return the answer that they share."""
    expected = doors.python.recommend(question)
    others = [doors.command_line.recommend(question), doors.http.recommend(question)]
    for answers in [*others, doors.mcp.recommend(question)]:
        same(answers, expected)
        assert answers.fallback == expected.fallback
        assert answers.missing == expected.missing == []
        assert answers.understood == expected.understood
    return expected


def answered_with_unknown(doors: Doors, question: Question, missing: list[str]) -> Answers:
    """Ask at every door with unknown items; each names them, and all answer alike."""
    with pytest.warns(UserWarning, match=missing[0]):
        expected = doors.python.recommend(question)
    assert expected.missing == missing
    for answers in (
        doors.command_line.recommend(question),
        doors.http.recommend(question),
        doors.mcp.recommend(question),
    ):
        same(answers, expected)
        assert answers.fallback == expected.fallback
        assert answers.missing == missing
    return expected


def ids_of(doors: Doors, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(str(x) for x in doors.python.recommender.dataset.catalog.vocabulary.ids[[*rows]])


def brand_of(doors: Doors) -> str:
    brands = [view.brand for view in doors.python.recommender.engine.catalogue.views(range(30))]
    return str(max(set(brands), key=brands.count))


every_model = pytest.mark.parametrize("doors", MODELS[:-1], indirect=True)
"""But the one whose answers are drawn anew where anything else is asked."""
language_models = pytest.mark.parametrize("doors", LANGUAGE_MODELS, indirect=True)


@every_model
def test_a_known_user(doors: Doors) -> None:
    answers = answered_everywhere(doors, Question(user="u1"))
    assert len(answers.ids) == 6
    assert answers.fallback is None
    assert any(answers.why or [])


@pytest.mark.parametrize("doors", ["zero-shot"], indirect=True)
@pytest.mark.parametrize(
    "question",
    [
        Question(user="u1"),
        Question(user="u2", n=12, exclude_seen=False, diversity=0.5),
        Question(user="u3", prompt="something for a rainy day"),
        Question(prompt="something for a rainy day", history=()),
        Question(user="u4", filters=("price<=60",)),
    ],
)
def test_a_prompted_model_is_asked_alike(doors: Doors, question: Question) -> None:
    answers = answered_everywhere(doors, question)
    engine = doors.python.recommender.engine
    assert answers.fallback is None
    assert engine.prompting is not None
    assert engine.prompting.tally.counts["questions read by letters"]


@every_model
def test_a_session(doors: Doors) -> None:
    answers = answered_everywhere(doors, Question(history=ids_of(doors, [3, 7, 11])))
    assert not set(answers.ids) & set(ids_of(doors, [3, 7, 11]))
    assert answers.fallback is None


@every_model
def test_a_known_user_with_a_session(doors: Doors) -> None:
    answered_everywhere(doors, Question(user="u2", history=ids_of(doors, [3, 7])))


@pytest.mark.parametrize(
    ("doors", "fallback"),
    [
        ("itemknn", "popular"),
        ("urm-small", "cold-start"),
        ("urm-codes", "cold-start"),
        ("palate", "cold-start"),
    ],
    indirect=["doors"],
)
def test_an_empty_history_is_answered_alike_with_the_same_fallback(
    doors: Doors, fallback: str
) -> None:
    answers = answered_everywhere(doors, Question())
    assert answers.fallback == fallback
    assert answers.why == [[]] * 6
    found = doors.http.post("recommend", n=6, user_id="somebody new")
    assert [item["item_id"] for item in found["items"]] == answers.ids
    assert found["fallback"] == fallback
    unknown = Question(history=("no such item", "nor this one"))
    same(answered_with_unknown(doors, unknown, list(unknown.history or ())), answers)


@every_model
@pytest.mark.parametrize("user", ["u2", None])
def test_unknown_items_of_a_session_are_named_and_left_out(doors: Doors, user: str | None) -> None:
    first, second = ids_of(doors, [3, 7])
    question = Question(user=user, history=(first, "no such item", second))
    answers = answered_with_unknown(doors, question, ["no such item"])
    same(answers, doors.python.recommend(replace(question, history=(first, second))))


@pytest.mark.parametrize(
    ("doors", "form"),
    [
        ("itemknn", "set"),
        ("urm-small", "set"),
        *(("urm-codes", form) for form in ("set", "codes", "hybrid")),
        ("palate", "set"),
    ],
    indirect=["doors"],
)
def test_each_form(doors: Doors, form: str) -> None:
    answered_everywhere(doors, Question(user="u3", form=form))


@pytest.mark.parametrize("doors", ["palate"], indirect=True)
def test_titles_are_not_served_but_answered_elsewhere(doors: Doors) -> None:
    question = Question(user="u3", form="titles", n=3)
    expected = doors.python.recommend(question)
    assert len(expected.ids) == 3
    same(doors.command_line.recommend(question), expected)
    with pytest.raises(AssertionError, match="titles"):
        doors.http.recommend(question)


@every_model
@pytest.mark.parametrize("form", [None, "hybrid"])
def test_candidates(doors: Doors, form: str | None) -> None:
    if form is not None and form not in doors.python.recommender.engine.forms:
        return
    candidates = ids_of(doors, [1, 4, 9, 16, 25])
    question = Question(user="u4", candidates=candidates, exclude_seen=False, form=form)
    answers = answered_everywhere(doors, question)
    assert sorted(answers.ids) == sorted(candidates)


@every_model
def test_filters(doors: Doors) -> None:
    brand = brand_of(doors)
    question = Question(user="u5", n=30, filters=(f"brand={brand}",))
    answers = answered_everywhere(doors, question)
    engine = doors.python.recommender.engine
    assert answers.ids
    assert {engine.catalogue.item(item_id).brand for item_id in answers.ids} == {brand}
    cheap = answered_everywhere(doors, Question(user="u5", filters=("price<=40",)))
    assert all((engine.catalogue.item(item_id).price or 0) <= 40 for item_id in cheap.ids)
    assert engine.catalogue.filter([f"brand={brand}"]) == ItemFilter(brands=(brand,))


@every_model
def test_seen_items_are_left_out_or_kept(doors: Doors) -> None:
    question = Question(user="u6", n=30, exclude_seen=False)
    whole = answered_everywhere(doors, question)
    assert len(whole.ids) == 30
    left_out = tuple(whole.ids[:2])
    answers = answered_everywhere(
        doors, Question(user="u6", n=30, exclude_seen=False, exclude=left_out)
    )
    assert answers.ids == whole.ids[2:]


@every_model
def test_diversity(doors: Doors) -> None:
    plain, spread = (
        answered_everywhere(doors, Question(user="u7", diversity=diversity))
        for diversity in (0.0, 0.9)
    )
    assert plain.ids[0] == spread.ids[0]
    assert plain.ids != spread.ids


@pytest.mark.parametrize("doors", ["urm-small", "palate"], indirect=True)
def test_an_objective(doors: Doors) -> None:
    question = Question(user="u8", task="objective", slots={"event": "purchase"})
    answered_everywhere(doors, question)


@every_model
@pytest.mark.parametrize("user", ["u9", None])
def test_free_text_requests(doors: Doors, user: str | None) -> None:
    item = doors.python.recommender.engine.catalogue.view(4)
    prompt = f"something from {item.categories[-1]}, under {item.price:g}, but not qwrtz"
    answers = answered_everywhere(doors, Question(user=user, prompt=prompt))
    assert answers.understood is not None
    parts = [(part["kind"], part["name"]) for part in answers.understood["parts"]]
    assert sorted(parts) == [
        ("category", item.categories[-1]),
        ("price", f"at most {item.price:g}"),
    ]
    assert answers.understood["unknown"] == ["qwrtz"]
    nonsense = answered_everywhere(doors, Question(user=user, prompt="zzyzx flurbo"))
    assert nonsense.understood == {"parts": [], "unknown": ["zzyzx", "flurbo"], "fitting": None}
    assert nonsense.ids == answered_everywhere(doors, Question(user=user)).ids


@every_model
@pytest.mark.parametrize("user", ["u10", None])
def test_search(doors: Doors, user: str | None) -> None:
    title = doors.python.recommender.dataset.catalog.titles()[5]
    expected = doors.python.search(title.split()[-1], user)
    assert expected.ids
    for door in (doors.command_line, doors.http, doors.mcp):
        same(door.search(title.split()[-1], user), expected)


@every_model
@pytest.mark.parametrize("user", ["u11", None])
def test_rank(doors: Doors, user: str | None) -> None:
    # An item that is given twice is ranked once.
    items = [*ids_of(doors, [12, 3, 25, 7]), *ids_of(doors, [3])]
    history = None if user is not None else ids_of(doors, [1, 2])
    found = doors.python.recommender.rank(user, items, history=history)
    expected = Answers(found.item_ids, [item.score for item in found], found.fallback)
    who = doors.command_line.somebody(user, history)
    rows, _ = doors.command_line.run("rank", *who, "--items", ",".join(items))
    same(_answers(rows, why=None), expected)
    body: dict[str, Any] = {"user_id": user, "candidates": items}
    body |= {} if history is None else {"history": history}
    same(_answers(doors.http.post("rank", **body)["items"], why=None), expected)
    assert len(expected.ids) == 4
    same(_answers(doors.mcp.call("rank", **body)["items"], why=None), expected)
    unknown = doors.http.post("rank", **body | {"candidates": ["no-such-item"]})
    assert (unknown["items"], unknown["missing_ids"]) == ([], ["no-such-item"])
    with pytest.raises(ConfigError, match="nothing to rank"):
        doors.python.recommender.rank(user, [], history=history)


@every_model
@pytest.mark.parametrize("history", [None, (3, 7)])
def test_why(doors: Doors, history: tuple[int, ...] | None) -> None:
    item = ids_of(doors, [12])[0]
    question = Question(
        user="u11" if history is None else None,
        history=None if history is None else ids_of(doors, history),
    )
    python = doors.python
    events = python.history(question)
    expected = [
        (ids_of(doors, [int(events.item_rows[reason.event])])[0], reason.weight)
        for reason in python.recommender.engine.why(events, 12)
    ]
    who: dict[str, Any] = {"user_id": question.user, "item_id": item}
    who |= {} if question.history is None else {"history": list(question.history)}
    for answers in (doors.http.post("explain", **who), doors.mcp.call("explain", **who)):
        why = [(one["item_id"], one["weight"]) for one in answers["why"]]
        assert [name for name, _ in why] == [name for name, _ in expected]
        assert [weight for _, weight in why] == pytest.approx(
            [weight for _, weight in expected], abs=SAME, rel=SAME
        )


@pytest.mark.parametrize("doors", ["palate"], indirect=True)
@pytest.mark.parametrize("user", ["u12", None])
def test_rate_and_explain_in_words(
    doors: Doors, user: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One draft is as good as many for showing that all doors have the same."""
    quick = replace(EXPLANATION_SAMPLING, drafts=1)
    monkeypatch.setattr("palate.inference.text_answers.EXPLANATION_SAMPLING", quick)
    item, python = ids_of(doors, [12])[0], doors.python
    history = python.history(Question(user=user))
    rated = python.recommender.engine.rate(history, 12)
    somebody = CommandLine.somebody(user, None)
    found, _ = doors.command_line.run("rate", "--item", item, *somebody)
    served = doors.http.post("rate", user_id=user, item_id=item)
    by_mcp = doors.mcp.call("rate", user_id=user, item_id=item)
    assert by_mcp["rating"] == served["rating"]
    for rating in (found["rating"], served["rating"]):
        assert rating == pytest.approx(rated.value, abs=SAME)
    assert served["chances"] == pytest.approx(found["chances"], abs=SAME)
    explained = python.recommender.engine.explain(history, 12)
    said, _ = doors.command_line.run("explain", "--item", item, *somebody)
    served = doors.http.post("explain", user_id=user, item_id=item, form="text")
    answers = doors.mcp.call("explain", user_id=user, item_id=item)
    assert {said["explanation"], served["text"], answers["text"]} == {explained.text}
    assert said["quoted"] == served["quoted"] == explained.quoted
    assert said["mended"] == served["mended"] == explained.was_edited
    assert served["why"] == answers["why"]


@pytest.mark.parametrize("doors", ["itemknn", "urm-small"], indirect=True)
def test_similar_items(doors: Doors) -> None:
    (item,) = ids_of(doors, [4])
    similar = doors.python.recommender.similar(item, 5)
    found = doors.http._client.get(f"/v1/items/{item}/similar?n=5").json()
    assert [row["item_id"] for row in found["items"]] == similar.item_ids
    assert [row["score"] for row in found["items"]] == pytest.approx(
        [one.score for one in similar], abs=SAME
    )
