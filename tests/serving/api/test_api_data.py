"""Items, users and feedback: stored for good, seen by the next answer, gone when told to."""

import io
import json
import time
from collections.abc import Callable

import polars as pl
import pytest
from fastapi.testclient import TestClient

NDJSON = {"content-type": "application/x-ndjson"}
PARQUET = {"content-type": "application/vnd.apache.parquet"}


def _ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def _recommended(client: TestClient, **body: object) -> list[str]:
    return _ids(client.post("/v1/recommend", json={"n": 40, **body}).json())


def test_an_event_changes_the_very_next_recommendation(client: TestClient) -> None:
    before = _recommended(client, user_id="u1")
    event = {"user_id": "u1", "item_id": before[0], "event_type": "purchase"}
    reply = client.post("/v1/feedback", json=event).json()
    assert reply == {
        "accepted": 1,
        "stored": 1,
        "duplicates": 0,
        "overwritten": 0,
        "missing_ids": [],
    }
    after = _recommended(client, user_id="u1")
    assert before[0] not in after
    assert after != before[1:]


def test_the_same_idempotency_key_counts_once(client: TestClient) -> None:
    event = {"user_id": "new", "item_id": "x", "idempotency_key": "k1", "timestamp": 1e9}
    first = client.post("/v1/feedback", json=[event, event]).json()
    assert (first["stored"], first["duplicates"], first["missing_ids"]) == (1, 1, ["x"])
    again = client.post("/v1/feedback", json={"events": [event], "mode": "accumulate"}).json()
    assert (again["stored"], again["duplicates"]) == (0, 1)
    assert len(client.get("/v1/users/new/history").json()["events"]) == 1


def test_overwriting_keeps_the_newest_of_user_item_and_type(client: TestClient) -> None:
    for value in (1.0, 5.0):
        event = {"user_id": "new", "item_id": "x", "event_type": "rating", "value": value}
        client.post("/v1/feedback", json={"events": [event], "mode": "overwrite"})
    (event,) = client.get("/v1/users/new/history").json()["events"]
    assert event["value"] == 5.0


def test_a_time_may_be_seconds_or_iso_8601_but_not_milliseconds(client: TestClient) -> None:
    event = {"user_id": "new", "item_id": "x", "timestamp": "2024-01-01T00:00:00Z"}
    assert client.post("/v1/feedback", json=event).status_code == 200
    (stored,) = client.get("/v1/users/new/history").json()["events"]
    assert stored["timestamp"] == 1_704_067_200
    millennia = ("9999-12-31T00:00:00Z", "0001-01-01T00:00:00+23:59", True)
    for wrong in (
        1_704_067_200_000,
        "yesterday",
        "2024-01-01T00:00:00",
        -1,
        "2024-01-01",
        *millennia,
    ):
        response = client.post("/v1/feedback", json=event | {"timestamp": wrong})
        assert response.status_code == 422, wrong
        message = response.json()["error"]["message"]
        assert "timestamp: give seconds or ISO 8601 with a zone" in message
        assert len(message) < 150, "one sentence, not what each part of the validator thinks"


def test_a_click_on_a_recommendation_is_counted_for_its_model(client: TestClient) -> None:
    answer = client.post("/v1/recommend", json={"user_id": "u1"}).json()
    event = {
        "user_id": "u1",
        "item_id": answer["items"][0]["item_id"],
        "recommendation_id": answer["recommendation_id"],
    }
    client.post("/v1/feedback", json=event)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        recorded = client.get("/v1/users/u1/export").json()["recommendations"]
        if recorded:
            break
    assert recorded[0]["item_ids"] == _ids(answer)
    rate = f'palate_click_through_rate{{model="{answer["model_version"]}"}} 1.0'
    assert rate in client.get("/metrics").text


def test_a_new_item_with_a_title_is_recommended_at_once(client: TestClient) -> None:
    title = client.get("/v1/items?limit=1").json()["items"][0]["title"]
    reply = client.put("/v1/items/fresh", json={"title": title, "price": 9.5, "brand": "Newbrand"})
    assert reply.json() == {"stored": 1, "recommendable": 1, "not_recommendable": []}
    assert _recommended(client, user_id="u1", filter={"brands": ["newbrand"]}) == ["fresh"]
    assert client.patch("/v1/items/fresh", json={"in_stock": False}).status_code == 200
    assert _recommended(client, user_id="u1", filter={"brands": ["newbrand"]}) == []
    whole = client.get("/v1/items/fresh").json()
    assert (whole["title"], whole["in_stock"], whole["price"]) == (title, False, 9.5)


def test_a_deleted_item_is_never_recommended_again(client: TestClient) -> None:
    first = _recommended(client, user_id="u1")[0]
    assert client.delete(f"/v1/items/{first}").json() == {"deleted": first}
    assert first not in _recommended(client, user_id="u1")
    assert client.get(f"/v1/items/{first}").status_code == 404
    assert client.delete(f"/v1/items/{first}").status_code == 404
    listed = client.get("/v1/items?limit=1000").json()["items"]
    assert first not in [item["item_id"] for item in listed]


def test_paging_visits_every_item_once(client: TestClient) -> None:
    seen, cursor = [], None
    while True:
        query = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/items", params=query).json()
        seen += _ids(page)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 40
    assert client.get("/v1/items?cursor=nonsense").status_code == 422
    assert client.get("/v1/items?limit=0").status_code == 422
    assert client.get("/v1/items?wrong=1").status_code == 422


def test_paging_visits_users_of_the_model_then_those_of_the_store(client: TestClient) -> None:
    client.put("/v1/users/zoe", json={"attributes": {"city": "Lyon"}})
    seen, cursor = [], None
    while True:
        query = {"limit": 30} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/users", params=query).json()
        seen += [user["user_id"] for user in page["users"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 81
    assert seen[-1] == "zoe"
    assert client.get("/v1/users/zoe").json()["attributes"] == {"city": "Lyon"}


def test_of_an_item_that_cannot_be_recommended_it_is_said_why(
    make_client: Callable[..., TestClient],
) -> None:
    client = make_client()
    new_words = client.put("/v1/items/z", json={"title": "Zorblax Quux"}).json()
    assert (new_words["stored"], new_words["recommendable"]) == (1, 0)
    (told,) = new_words["not_recommendable"]
    assert told["item_id"] == "z"
    assert "None of its words" in told["why"]
    (told,) = client.put("/v1/items/y", json={}).json()["not_recommendable"]
    assert "Nothing is said of it" in told["why"]
    rows = [{"item_id": f"z{number}", "title": "Zorblax"} for number in range(150)]
    many = client.post("/v1/items", json=[*rows, {"item_id": "l", "price": 9.5}]).json()
    assert (many["recommendable"], len(many["not_recommendable"])) == (1, 100)
    assert client.patch("/v1/items/z", json={"price": 9.5}).json()["not_recommendable"] == []
    by_id = make_client(models={"itemknn": 1.0})
    (told,) = by_id.put("/v1/items/z", json={"title": "A lamp"}).json()["not_recommendable"]
    assert "training" in told["why"]


def test_letters_find_items_by_title(client: TestClient) -> None:
    title = client.get("/v1/items?limit=1").json()["items"][0]["title"]
    word = title.split()[-1]
    found = client.get("/v1/items", params={"q": word.upper()[:4]}).json()["items"]
    assert title in [item["title"] for item in found]


def test_a_slash_in_an_id_travels_as_2f(client: TestClient) -> None:
    assert client.put("/v1/items/a%2Fb", json={"title": "A lamp"}).status_code == 200
    assert client.get("/v1/items/a%2Fb").json()["item_id"] == "a/b"
    assert client.get("/v1/items/a/b").status_code == 404
    assert client.get("/v1/items/a%00b").status_code == 400


def test_json_lines_and_parquet_are_taken_all_or_none(client: TestClient) -> None:
    rows = [{"item_id": f"n{number}", "title": f"Lamp {number}"} for number in range(5)]
    lines = "\n".join(json.dumps(row) for row in rows)
    reply = client.post("/v1/items", content=lines, headers=NDJSON)
    assert reply.json() == {"stored": 5, "recommendable": 5, "not_recommendable": []}
    wrong = lines.replace('"n3"', "7")
    refused = client.post("/v1/items", content=wrong.replace('"n', '"m'), headers=NDJSON)
    assert "line 4.item_id" in refused.json()["error"]["message"]
    assert client.get("/v1/items/m0").status_code == 404
    table = pl.DataFrame(
        {
            "item_id": ["p1", "p2"],
            "title": ["Chair", "Table"],
            "categories": [["Home"], ["Home", "Wood"]],
            "price": [1.5, None],
            "attributes": ['{"legs": 4}', None],
        }
    )
    file = io.BytesIO()
    table.write_parquet(file)
    assert client.post("/v1/items", content=file.getvalue(), headers=PARQUET).json()["stored"] == 2
    stored = client.get("/v1/items/p1").json()
    assert (stored["price"], stored["categories"], stored["attributes"]) == (
        1.5,
        ["Home"],
        {"legs": 4},
    )


@pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"nonsense"])
def test_a_damaged_parquet_file_is_refused(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/users", content=body, headers=PARQUET)
    assert response.status_code == 422
    assert response.json()["error"]["message"]


def test_a_table_with_an_unknown_column_is_refused(client: TestClient) -> None:
    file = io.BytesIO()
    pl.DataFrame({"user_id": ["a"], "colour": ["red"]}).write_parquet(file)
    response = client.post("/v1/users", content=file.getvalue(), headers=PARQUET)
    assert "colour" in response.json()["error"]["message"]


def test_everything_of_a_deleted_user_is_gone_and_the_reply_says_what(client: TestClient) -> None:
    learned = len(client.get("/v1/users/u1/history?limit=1000").json()["events"])
    before = _recommended(client, user_id="u1")
    client.post("/v1/feedback", json={"user_id": "u1", "item_id": before[0]})
    client.put("/v1/users/u1", json={"attributes": {"name": "Ann"}})
    reply = client.delete("/v1/users/u1").json()["erased"]
    assert (reply["events"], reply["training_events"], reply["profile"]) == (1, learned, True)
    assert reply["recommendations"] >= 1
    assert client.get("/v1/users/u1/history").json()["events"] == []
    assert client.get("/v1/users/u1").status_code == 404
    exported = client.get("/v1/users/u1/export").json()
    assert exported["events"] == exported["recommendations"] == exported["training_events"] == []
    nobody = _recommended(client, user_id="somebody new")
    assert _recommended(client, user_id="u1") == nobody


def test_an_export_holds_profile_events_and_what_the_model_learned_from(client: TestClient) -> None:
    client.post("/v1/feedback", json={"user_id": "u1", "item_id": "x", "value": 2})
    exported = client.get("/v1/users/u1/export").json()
    assert exported["events"][0]["item_id"] == "x"
    assert len(exported["training_events"]) > 0


def test_too_many_events_are_refused(make_client: Callable[..., TestClient]) -> None:
    from palate.serving.limits import Limits

    client = make_client(limits=Limits(body_bytes=1_000, bulk_bytes=2_000))
    event = {"user_id": "u1", "item_id": "x"}
    response = client.post("/v1/feedback", json=[event] * 100)
    assert response.status_code == 413
    lines = "\n".join(json.dumps({"user_id": f"v{n}"}) for n in range(500))
    assert client.post("/v1/users", content=lines, headers=NDJSON).status_code == 413


def test_the_deleting_answer_counts_what_this_process_removed(client: TestClient) -> None:
    client.post("/v1/feedback", json={"user_id": "zoe", "item_id": "x"})
    first, second = (client.delete("/v1/users/zoe").json()["erased"] for _ in range(2))
    assert (first["events"], first["profile"]) == (1, True)
    assert (second["events"], second["profile"]) == (0, False)
    assert not any(second.values())
