"""Ratings and explanations in words over HTTP, and what is said where a model has none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.errors import NotTrainedError
from palate.inference.printed.rewriting import Rewriter
from palate.llm.scripted import Scripted
from palate.recommender.recommender import Recommender
from palate.serving.app import ServeSettings, create_app

NEW = {"title": "A lamp of oak", "brand": "Fjordale", "categories": ["Lighting"], "price": 12.5}


@pytest.fixture
def speaker(make_client: Callable[..., TestClient], speaking: Path) -> TestClient:
    return make_client(models={speaking.name: 1.0})


def _asked(client: TestClient, route: str, **body: object) -> dict:
    response = client.post(f"/v1/{route}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def _refused(client: TestClient, route: str, **body: object) -> dict:
    response = client.post(f"/v1/{route}", json=body)
    assert 400 <= response.status_code < 500, response.text
    return response.json()["error"]


def _item(client: TestClient) -> str:
    return _asked(client, "recommend", user_id="u1", n=1)["items"][0]["item_id"]


def test_a_rating_is_the_expectation_over_the_chances(speaker: TestClient, speaking: Path) -> None:
    item = _item(speaker)
    answer = _asked(speaker, "rate", user_id="u1", item_id=item)
    chances = {float(level): chance for level, chance in answer["chances"].items()}
    assert sum(chances.values()) == pytest.approx(1.0, abs=1e-3)
    expected = sum(level * chance for level, chance in chances.items())
    assert answer["rating"] == pytest.approx(expected, abs=2e-3)
    assert chances[answer["likeliest"]] == max(chances.values())
    assert answer["fallback"] is None
    assert answer["model_version"]
    assert answer["took_ms"] > 0
    model = Recommender.load(speaking)
    row = model.dataset.catalog.vocabulary.row(item)
    assert answer["rating"] == pytest.approx(
        model.engine.rate(model.history("u1"), row).value, abs=1e-3
    )


@pytest.mark.parametrize(
    "who",
    [
        {},
        {"user_id": "nobody-yet"},
        {"history": ["gone", "never-there"]},
        {"user_id": "u1", "history": [{"item_id": "x", "event_type": "adopt", "value": 1e308}]},
    ],
)
def test_somebody_new_is_answered(speaker: TestClient, who: dict) -> None:
    item = _item(speaker)
    body = {**who, "item_id": item}
    if "history" in who and isinstance(who["history"][0], dict):
        body["history"] = [{**who["history"][0], "item_id": item}]
    assert 1 <= _asked(speaker, "rate", **body)["rating"] <= 5
    assert _asked(speaker, "explain", **body, form="text")["text"]


def test_an_event_counts_in_the_next_rating(speaker: TestClient) -> None:
    item = _item(speaker)
    before = _asked(speaker, "rate", user_id="u1", item_id=item)
    event = {"user_id": "u1", "item_id": item, "event_type": "rate", "value": 1.0}
    assert speaker.post("/v1/feedback", json=event).status_code == 200
    assert _asked(speaker, "rate", user_id="u1", item_id=item)["rating"] != before["rating"]


def test_a_rating_in_the_history_counts_and_an_amount_does_not(speaker: TestClient) -> None:
    item, asked = (one["item_id"] for one in _asked(speaker, "recommend", n=2)["items"])

    def told(value: float | None) -> list[float]:
        events = [{"item_id": item, "event_type": "purchase", "value": value}]
        found = _asked(speaker, "recommend", history=events, n=5)
        rated = _asked(speaker, "rate", history=events, item_id=asked)
        return [rated["rating"], *(one["score"] for one in found["items"])]

    assert told(5.0) != told(1.0)
    assert told(49.9) == told(None)


def test_a_text_stands_beside_the_measured_events(speaker: TestClient) -> None:
    item = _item(speaker)
    answer = _asked(speaker, "explain", user_id="u1", item_id=item, form="text", aspect="colour")
    events = _asked(speaker, "explain", user_id="u1", item_id=item)
    assert answer["text"]
    assert isinstance(answer["mended"], bool)
    assert isinstance(answer["quoted"], bool)
    assert answer["why"] == events["why"]
    assert events["text"] is None
    assert events["mended"] is None
    assert events["quoted"] is None
    assert events["statements"] is None


def test_what_a_text_says_is_told_as_data_with_sources(speaker: TestClient) -> None:
    item = _asked(speaker, "recommend", user_id="u1", n=1)["items"][0]
    answer = _asked(speaker, "explain", user_id="u1", item_id=item["item_id"], form="text")
    assert not answer["mended"]
    assert answer["fallback"] is None
    assert item["title"] in answer["text"]
    assert answer["statements"]
    assert all(set(each) == {"kind", "text", "source"} for each in answer["statements"])


def test_words_of_a_language_model_that_say_else_are_not_shown(speaker: TestClient) -> None:
    item = _asked(speaker, "recommend", user_id="u1", n=1)["items"][0]["item_id"]
    body = {"user_id": "u1", "item_id": item, "form": "text"}
    plain = _asked(speaker, "explain", **body)["text"]
    engine = speaker.app.state.service.main
    engine.rewriter = Rewriter(Scripted(["Buy it now, it cures everything!"]))
    try:
        answer = _asked(speaker, "explain", **body)
    finally:
        engine.rewriter = None
    assert answer["text"] == plain
    assert answer["mended"]
    assert answer["fallback"] == "facts"


def test_a_new_item_is_rated_and_explained_as_it_is_described(speaker: TestClient) -> None:
    assert speaker.put("/v1/items/new-lamp", json=NEW).status_code in {200, 201}
    assert 1 <= _asked(speaker, "rate", user_id="u1", item_id="new-lamp")["rating"] <= 5
    body = {"user_id": "u1", "item_id": "new-lamp", "form": "text", "aspect": "price"}
    assert "12.50" in _asked(speaker, "explain", **body)["text"]
    # As the item is described now.
    speaker.put("/v1/items/new-lamp", json=NEW | {"price": 99.0})
    assert "99.00" in _asked(speaker, "explain", **body)["text"]
    # It may stand in a history as well.
    told = {"history": ["new-lamp"], "item_id": _item(speaker)}
    assert _asked(speaker, "rate", **told)["rating"]
    assert _asked(speaker, "explain", **told, form="text")["text"]


def test_an_item_that_says_nothing_or_is_gone_is_refused(speaker: TestClient) -> None:
    assert speaker.put("/v1/items/bare", json={}).status_code in {200, 201}
    for route, more in (("rate", {}), ("explain", {"form": "text"})):
        error = _refused(speaker, route, user_id="u1", item_id="bare", **more)
        assert "title" in error["hint"]
    item = _item(speaker)
    assert speaker.delete(f"/v1/items/{item}").status_code == 200
    body = {"user_id": "u1", "item_id": item}
    assert speaker.post("/v1/rate", json=body).status_code == 404
    assert speaker.post("/v1/rate", json={"item_id": "none"}).status_code == 404


@pytest.mark.parametrize("name", ["urm", "popularity"])
def test_a_model_without_words_names_the_recipe_that_has_them(
    make_client: Callable[..., TestClient], name: str
) -> None:
    client = make_client(models={name: 1.0})
    item = _item(client)
    rated = _refused(client, "rate", user_id="u1", item_id=item)
    assert "--recipe palate" in rated["hint"]
    assert "ratings" in rated["message"]
    assert _asked(client, "explain", user_id="u1", item_id=item, form="text")["text"]


def test_a_family_of_words_is_no_task_to_recommend_by(speaker: TestClient) -> None:
    error = _refused(speaker, "recommend", user_id="u1", task="rating")
    assert "/v1/rate" in error["hint"]


@pytest.mark.parametrize("task", ["like-above", "max-history", "candidates", "blanks"])
def test_a_task_that_is_none_is_refused(speaker: TestClient, task: str) -> None:
    assert _refused(speaker, "recommend", task=task)["message"]


def test_families_of_items_and_of_words_are_told_apart(
    speaker: TestClient, make_client: Callable[..., TestClient]
) -> None:
    (described,) = speaker.get("/v1/models").json()["models"]
    tasks = {task["family"] for task in described["tasks"]}
    words = set(described["answers_in_words"])
    assert {"next-item", "search"} <= tasks
    assert {"rating", "explanation", "summary"} <= words
    assert not tasks & words
    for task in described["tasks"]:
        body = {"task": task["family"], "slots": {s: c[0] for s, c in task["slots"].items()}}
        assert _asked(speaker, "recommend", user_id="u1", n=2, **body)["items"]
    (plain,) = make_client(models={"urm": 1.0}).get("/v1/models").json()["models"]
    assert plain["answers_in_words"] == ["explanation", "summary", "profile"]
    lacks = {lack["what"]: lack["recipes"] for lack in plain["cannot"]}
    assert lacks["rating"][0] == lacks["yes-no"][0] == "palate"
    assert not set(lacks) & set(plain["answers_in_words"])
    assert not {lack["what"] for lack in described["cannot"]} & (tasks | words)


def test_a_model_of_words_alone_is_no_service(wordy: Path, tmp_path: Path) -> None:
    with pytest.raises(NotTrainedError, match="has to recommend") as refused:
        create_app(ServeSettings(models={wordy: 1.0}, db=f"sqlite:///{tmp_path}/x.db"))
    assert "--recipe palate" in refused.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"item_id": 5},
        {"item_id": "x", "aspect": "colour"},
        {"item_id": "x", "form": "text", "aspect": ""},
        {"item_id": "x", "form": "text", "aspect": "a" * 101},
        {"item_id": "x", "form": "text", "aspect": "a\x00"},
        {"item_id": "x", "form": "verse"},
    ],
)
def test_a_body_that_cannot_be_used_is_refused(speaker: TestClient, body: dict) -> None:
    assert _refused(speaker, "explain", **body)["message"].startswith("The request cannot be used")


# The types that are checked while the server's thread runs draw elements of lists at random.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    route=st.sampled_from(["rate", "explain"]),
    body=st.dictionaries(
        st.sampled_from(["user_id", "item_id", "history", "aspect", "form", "n", "model"]),
        st.one_of(
            st.sampled_from(["u1", "text", "events", ["i1"], [{"item_id": "i1", "value": 1e308}]]),
            st.text(max_size=5),
            st.integers(),
            st.none(),
            st.lists(st.text(max_size=3), max_size=2),
        ),
    ),
)
def test_whatever_is_asked_is_answered_or_refused(
    speaker: TestClient, route: str, body: dict
) -> None:
    whole = {"item_id": _item(speaker)} | ({"form": "text"} if route == "explain" else {})
    for asked in (body, whole | body):
        assert speaker.post(f"/v1/{route}", json=asked).status_code < 500
