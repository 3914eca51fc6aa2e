"""The tools of an assistant, through the SDK's own client in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mcp import Client

from palate.serving.mcp import mcp_server
from palate.serving.startup import open_service
from palate.serving.store import Store


@pytest.fixture
def talk(model_folders: Path, tmp_path: Path) -> Callable[..., object]:
    """Run a conversation with a fresh server."""

    def run(conversation: Callable[[Client], Awaitable[object]], model: str = "urm") -> object:
        async def whole() -> object:
            service = open_service({model_folders / model: 1.0}, f"sqlite:///{tmp_path}/mcp.db")
            async with Client(mcp_server(service)) as client:
                return await conversation(client)

        return asyncio.run(whole())

    return run


async def _call(client: Client, tool: str, **arguments: object) -> dict:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return json.loads(result.content[0].text)


def test_all_tools_are_offered_and_described(talk: Callable[..., object]) -> None:
    async def conversation(client: Client) -> object:
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in talk(conversation)}
    assert set(tools) == {
        *("recommend", "rank", "search", "rate", "explain", "item_details", "record_feedback")
    }
    assert all(tool.description for tool in tools.values())


def test_an_assistant_recommends_looks_explains_and_records(talk: Callable[..., object]) -> None:
    async def conversation(client: Client) -> None:
        answer = await _call(client, "recommend", user_id="u1", n=3)
        item = answer["items"][0]
        assert len(answer["items"]) == 3
        assert (await _call(client, "item_details", item_id=item["item_id"]))["title"] == (
            item["title"]
        )
        found = await _call(client, "search", query=item["title"], n=5)
        assert item["item_id"] in [one["item_id"] for one in found["items"]]
        explained = await _call(client, "explain", item_id=item["item_id"], user_id="u1")
        assert explained["why"] == item["why"]
        recorded = await _call(
            client,
            "record_feedback",
            user_id="u1",
            item_id=item["item_id"],
            recommendation_id=answer["recommendation_id"],
        )
        assert recorded == {"outcome": "stored", "missing_ids": []}
        later = await _call(client, "recommend", user_id="u1", n=3)
        assert item["item_id"] not in [one["item_id"] for one in later["items"]]

    talk(conversation)


def test_a_model_that_can_explains_in_words(talk: Callable[..., object], speaking: Path) -> None:
    async def conversation(client: Client) -> None:
        item = (await _call(client, "recommend", user_id="u1", n=1))["items"][0]["item_id"]
        explained = await _call(client, "explain", item_id=item, user_id="u1")
        assert explained["text"]
        assert explained["why"]
        about = await _call(client, "explain", item_id=item, user_id="u1", aspect="colour")
        assert about["text"]

    talk(conversation, speaking.name)


def test_a_model_without_words_explains_too(talk: Callable[..., object]) -> None:
    async def conversation(client: Client) -> None:
        item = (await _call(client, "recommend", user_id="u1", n=1))["items"][0]["item_id"]
        answer = await _call(client, "explain", item_id=item, aspect="colour", user_id="u1")
        assert "colour" in answer["text"]
        assert answer["statements"][0]["source"].startswith("reviews")

    talk(conversation)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("item_details", {"item_id": "nothing"}, "There is no item 'nothing'"),
        ("recommend", {"user_id": ""}, "user_id"),
        ("recommend", {"n": 1_000}, "n"),
        ("record_feedback", {"user_id": "u\x00", "item_id": "x"}, "user_id"),
    ],
)
def test_what_is_refused_the_assistant_is_told_in_words(
    talk: Callable[..., object], tool: str, arguments: dict, said: str
) -> None:
    async def conversation(client: Client) -> object:
        return await client.call_tool(tool, arguments)

    result = talk(conversation)
    assert result.is_error
    assert said in result.content[0].text


def test_who_is_erased_beside_an_assistant_is_not_explained_by_it(
    talk: Callable[..., object], tmp_path: Path
) -> None:
    async def conversation(client: Client) -> None:
        (item,) = (await _call(client, "recommend", user_id="u1", n=1))["items"]
        assert item["why"]
        store = Store.open(f"sqlite:///{tmp_path}/mcp.db")
        store.erase_user("u1")
        store.close()
        asked = {"item_id": item["item_id"], "user_id": "u1"}
        async with asyncio.timeout(30):
            while (await _call(client, "explain", **asked))["why"]:
                await asyncio.sleep(0.2)

    talk(conversation)
