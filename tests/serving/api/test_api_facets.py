"""What a filter can offer follows the catalogue as it changes."""

from fastapi.testclient import TestClient

from palate import Dataset


def test_facets_are_those_of_the_catalogue_as_it_is_now(
    client: TestClient, live_shop: Dataset
) -> None:
    before = client.get("/v1/items/facets", params={"limit": 1000}).json()
    assert before["items"] == len(live_shop.catalog)
    listed = client.get("/v1/items", params={"limit": 1000}).json()["items"]
    priced = [item["price"] for item in listed if item["price"] is not None]
    assert before["price"] == {"min": min(priced), "max": max(priced), "count": len(priced)}
    assert {one["name"] for one in before["brands"]} == {i["brand"] for i in listed if i["brand"]}
    new = {"title": "Sun", "brand": "Nova", "categories": ["Stars"], "price": 1e6}
    assert client.put("/v1/items/sun", json=new | {"in_stock": False}).status_code == 200
    after = client.get("/v1/items/facets", params={"limit": 1000}).json()
    assert {"name": "Nova", "count": 1} in after["brands"]
    assert {"name": "Stars", "count": 1} in after["categories"]
    assert (after["price"]["max"], after["items"]) == (1e6, before["items"] + 1)
    assert after["in_stock"] == before["in_stock"]
    assert client.delete("/v1/items/sun").status_code == 200
    assert client.get("/v1/items/facets", params={"limit": 1000}).json() == before


def test_facets_are_bounded_and_the_most_frequent_come_first(client: TestClient) -> None:
    found = client.get("/v1/items/facets", params={"limit": 1}).json()
    whole = client.get("/v1/items/facets").json()
    assert found["brands"] == whole["brands"][:1]
    assert found["num_brands"] == len(whole["brands"])
    counts = [one["count"] for one in whole["categories"]]
    assert counts == sorted(counts, reverse=True)
    assert client.get("/v1/items/facets", params={"limit": 0}).status_code == 422
    assert client.get("/v1/items/facets", params={"limit": 5000}).status_code == 422
