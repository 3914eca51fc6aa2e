"""The whole application over both databases: what a client sees is the same."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient


@pytest.fixture
def shop(address: str, make_client: Callable[..., TestClient]) -> TestClient:
    # The database comes first, and so goes last: the application writes to it until its end.
    return make_client(db=address)


def listed(client: TestClient, **asked: object) -> list[str]:
    answer = client.post("/v1/recommend", json=asked)
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def event(item_id: str, **more: object) -> dict[str, object]:
    return {"user_id": "ann", "item_id": item_id, "event_type": "view", **more}


def test_an_event_counts_once_and_changes_the_next_answer(shop: TestClient) -> None:
    before = listed(shop, user_id="ann", n=10)
    told = event(before[0], idempotency_key="1", timestamp=1_700_000_000.0)
    first = shop.post("/v1/feedback", json=told).json()
    again = shop.post("/v1/feedback", json=told).json()
    assert (first["stored"], again["stored"], again["duplicates"]) == (1, 0, 1)
    assert before[0] not in listed(shop, user_id="ann", n=10)
    (kept,) = shop.get("/v1/users/ann/history").json()["events"]
    assert (kept["item_id"], kept["timestamp"]) == (before[0], 1_700_000_000.0)


def test_overwriting_leaves_one_event(shop: TestClient) -> None:
    item = listed(shop, n=1)[0]
    events = [event(item, event_type="rate", value=value) for value in (1.0, 5.0)]
    answer = shop.post("/v1/feedback", json={"events": events, "mode": "overwrite"})
    assert answer.json()["overwritten"] == 1
    (kept,) = shop.get("/v1/users/ann/history").json()["events"]
    assert kept["value"] == 5.0


def test_items_come_change_and_go(shop: TestClient) -> None:
    body = [{"item_id": "ñ/1", "title": "A lamp 🪔", "brand": "Nova", "price": 3.5}]
    stored = {"stored": 1, "recommendable": 1, "not_recommendable": []}
    assert shop.post("/v1/items", json=body).json() == stored
    assert listed(shop, n=1, filter={"brands": ["nova"]}) == ["ñ/1"]
    assert shop.patch("/v1/items/ñ%2F1", json={"in_stock": False}).status_code == 200
    kept = shop.get("/v1/items/ñ%2F1").json()
    assert (kept["title"], kept["price"], kept["in_stock"]) == ("A lamp 🪔", 3.5, False)
    assert listed(shop, n=1, filter={"brands": ["nova"]}) == []
    assert shop.delete("/v1/items/ñ%2F1").status_code == 200
    assert shop.get("/v1/items/ñ%2F1").status_code == 404


def test_a_click_is_counted_for_its_model(shop: TestClient) -> None:
    answer = shop.post("/v1/recommend", json={"user_id": "ann", "n": 3}).json()
    shop.get("/v1/users/ann/export")  # writes what waits to be recorded
    clicked = event(answer["items"][0]["item_id"], recommendation_id=answer["recommendation_id"])
    assert shop.post("/v1/feedback", json=clicked).status_code == 200
    (model,) = shop.get("/v1/operator/summary").json()["models"]
    assert (model["shown"], model["clicked"]) == (1, 1)


def test_a_user_takes_everything_along_and_is_forgotten(shop: TestClient) -> None:
    item = listed(shop, user_id="ann", n=1)[0]
    assert shop.put("/v1/users/ann", json={"attributes": {"city": "Lyon"}}).status_code == 200
    shop.post("/v1/feedback", json=event(item, idempotency_key="1"))
    taken = shop.get("/v1/users/ann/export").json()
    assert taken["attributes"] == {"city": "Lyon"}
    assert ([e["item_id"] for e in taken["events"]], len(taken["recommendations"])) == ([item], 1)
    erased = shop.delete("/v1/users/ann").json()["erased"]
    assert (erased["events"], erased["recommendations"], erased["profile"]) == (1, 1, True)
    after = shop.get("/v1/users/ann/export").json()
    assert (after["attributes"], after["events"], after["recommendations"]) == (None, [], [])
    assert shop.get("/v1/users/ann").status_code == 404
    assert listed(shop, user_id="ann", n=1) == [item]


def test_keys_are_made_and_revoked(shop: TestClient) -> None:
    made = shop.post("/v1/keys", json={"name": "shop", "scopes": ["read"]}).json()
    theirs = {"X-API-Key": made["secret"]}
    assert shop.get("/v1/models", headers=theirs).status_code == 200
    assert shop.post("/v1/feedback", json=event("x"), headers=theirs).status_code == 403
    assert shop.delete(f"/v1/keys/{made['key_id']}").status_code == 200
    assert shop.get("/v1/models", headers=theirs).status_code == 401


def test_users_are_listed_page_by_page(shop: TestClient) -> None:
    users = [{"user_id": f"zoe-{number}"} for number in range(7)]
    assert shop.post("/v1/users", json=users).json() == {"stored": 7}
    seen: list[str] = []
    cursor = "s"
    while cursor is not None:
        page = shop.get("/v1/users", params={"cursor": cursor, "limit": 3}).json()
        seen += [user["user_id"] for user in page["users"]]
        cursor = page["next_cursor"]
    assert seen == [user["user_id"] for user in users]
