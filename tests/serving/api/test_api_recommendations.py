"""Recommendations over HTTP: right items, explicit fallbacks, and refusals that say who could."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from palate import Recommender


def _ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def _recommend(client: TestClient, **body: object) -> dict:
    response = client.post("/v1/recommend", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def _refused(client: TestClient, route: str, **body: object) -> dict:
    response = client.post(f"/v1/{route}", json=body)
    assert 400 <= response.status_code < 500, response.text
    return response.json()["error"]


def test_a_known_user_gets_what_the_model_recommends_offline(
    client: TestClient, model_folders: Path
) -> None:
    model = Recommender.load(model_folders / "urm")
    (expected,) = model.by_rows.recommend([model.history("u1")], 8)
    answer = _recommend(client, user_id="u1", n=8)
    ids = model.dataset.catalog.vocabulary.ids
    assert _ids(answer) == [ids[row] for row in expected.item_rows]
    scores = [item["score"] for item in answer["items"]]
    assert scores == pytest.approx(expected.scores.tolist(), rel=1e-4)
    assert answer["fallback"] is None
    assert answer["took_ms"] > 0
    assert answer["missing_ids"] == []


def test_every_answer_has_an_id_of_its_own_and_the_model_version(client: TestClient) -> None:
    answers = [_recommend(client, user_id="u1", n=1) for _ in range(3)]
    assert len({answer["recommendation_id"] for answer in answers}) == 3
    (model,) = client.get("/v1/models").json()["models"]
    assert {answer["model_version"] for answer in answers} == {model["version"]}


def test_a_session_is_answered_and_unknown_items_are_named(client: TestClient) -> None:
    known = _ids(_recommend(client, n=3))
    answer = _recommend(client, history=[*known, "no such item"], n=5)
    assert answer["missing_ids"] == ["no such item"]
    assert not set(_ids(answer)) & set(known)
    told = [{"item_id": item, "event_type": "purchase", "timestamp": 5.0} for item in known]
    assert len(_ids(_recommend(client, history=told, n=5))) == 5


def test_an_empty_history_on_a_baseline_is_answered_by_what_is_popular(
    make_client: Callable[..., TestClient],
) -> None:
    client = make_client(models={"itemknn": 1.0})
    assert _recommend(client, user_id="nobody knows them")["fallback"] == "popular"
    assert 'palate_fallbacks_total{fallback="popular"' in client.get("/metrics").text


def test_the_events_that_weighed_most_come_with_each_item(client: TestClient) -> None:
    answer = _recommend(client, user_id="u1", n=4, explain=True)
    history = client.get("/v1/users/u1/history").json()["events"]
    seen = {event["item_id"] for event in history}
    for item in answer["items"]:
        assert {reason["item_id"] for reason in item["why"]} <= seen
        assert all(reason["weight"] > 0 for reason in item["why"])
    explained = client.post(
        "/v1/explain", json={"user_id": "u1", "item_id": answer["items"][0]["item_id"]}
    ).json()
    assert explained["why"] == answer["items"][0]["why"]
    assert explained["text"] is None


def test_filters_hold_for_every_item(client: TestClient) -> None:
    everything = _recommend(client, user_id="u1", n=40, exclude_seen=False)["items"]
    brand = next(item["brand"] for item in everything if item["brand"])
    found = _recommend(client, user_id="u1", n=40, filter={"brands": [brand]})["items"]
    assert {item["brand"] for item in found} == {brand}
    cheap = _recommend(client, user_id="u1", n=40, filter={"price_max": 30})["items"]
    assert all(item["price"] <= 30 for item in cheap)
    assert (
        "price_max"
        in _refused(client, "recommend", filter={"price_min": 5, "price_max": 1})["message"]
    )


def test_candidates_are_put_in_the_order_of_the_whole_list(client: TestClient) -> None:
    whole = _ids(_recommend(client, user_id="u1", n=40, exclude_seen=False))
    wanted = [whole[20], whole[3], "gone", whole[11]]
    answer = client.post("/v1/rank", json={"user_id": "u1", "candidates": wanted}).json()
    assert _ids(answer) == [whole[3], whole[11], whole[20]]
    assert answer["missing_ids"] == ["gone"]


def test_search_finds_by_words_and_says_when_it_compared_titles(
    client: TestClient, make_client: Callable[..., TestClient]
) -> None:
    title = _recommend(client, n=1)["items"][0]["title"]
    found = client.post("/v1/search", json={"query": title, "n": 5}).json()
    assert found["fallback"] is None
    assert title in [item["title"] for item in found["items"]]
    baseline = make_client(models={"popularity": 1.0})
    plain = baseline.post("/v1/search", json={"query": title[:9].upper(), "n": 5}).json()
    assert plain["fallback"] == "titles"
    assert title in [item["title"] for item in plain["items"]]


def test_similar_items_leave_the_item_itself_out(client: TestClient) -> None:
    item = _ids(_recommend(client, n=1))[0]
    answer = client.get(f"/v1/items/{item}/similar?n=4").json()
    assert len(answer["items"]) == 4
    assert item not in _ids(answer)
    assert client.get("/v1/items/none/similar").status_code == 404


@pytest.mark.parametrize(
    ("route", "body", "said"),
    [
        ("recommend", {"task": "search-by-smell"}, "The families are"),
        ("rate", {"user_id": "u1", "item_id": "i1"}, "recipe"),
        ("recommend", {"form": "generated"}, "recipe"),
        ("recommend", {"form": "codes"}, "tiger"),
        ("recommend", {"form": "hybrid"}, "urm-codes"),
    ],
)
def test_what_a_model_cannot_answer_is_refused_with_the_recipe_that_could(
    make_client: Callable[..., TestClient], route: str, body: dict, said: str
) -> None:
    error = _refused(make_client(models={"popularity": 1.0}), route, **body)
    assert said in error["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nul",
        b"[]",
        b'{"n": 0}',
        b'{"n": NaN}',
        b'{"n": 1e3}',
        b'{"diversity": Infinity}',
        b'{"user_id": ""}',
        b'{"user_id": "a\\u0000b"}',
        b'{"user_id": "\\ud800"}',
        b'{"user_id": "\xff"}',
        b'{"user_id": 5}',
        b'{"unknown": 1}',
        b'{"user_id": "' + b"x" * 257 + b'"}',
        b'{"history": ' + b"[" * 100_000,
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_one_message(
    client: TestClient, body: bytes
) -> None:
    response = client.post(
        "/v1/recommend", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["message"].startswith("The request cannot be used: ")
    assert error["request_id"] == response.headers["x-request-id"]


def test_two_models_share_the_traffic_and_can_be_named(
    make_client: Callable[..., TestClient],
) -> None:
    client = make_client(models={"urm": 0.5, "itemknn": 0.5})
    models = client.get("/v1/models").json()["models"]
    versions = {model["version"] for model in models}
    answered = [
        _recommend(client, user_id=f"u{number}", n=1)["model_version"] for number in range(40)
    ]
    assert set(answered) == versions
    again = [_recommend(client, user_id=f"u{number}", n=1)["model_version"] for number in range(40)]
    assert answered == again
    for model in models:
        for name in (model["name"], model["version"]):
            assert _recommend(client, user_id="u1", model=name)["model_version"] == model["version"]
    assert "in service" in _refused(client, "recommend", model="another")["message"]
