"""Items: one at a time or in bulk."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from palate.data.item_record import ItemRecord
from palate.serving.bulk import MEDIA_TYPES
from palate.serving.http_io import (
    PathId,
    answers,
    body_of,
    bulk_rows,
    needs,
    read,
    service_of,
)
from palate.serving.middleware import context_of
from palate.serving.problems import Conflict, NotFound
from palate.serving.rendering import json_response
from palate.serving.schemas import (
    FacetsQuery,
    ItemBody,
    ItemWithId,
    Paging,
    SimilarQuery,
)

# Routes match in the order of this file, so ``/facets`` comes before ``/{item_id}``: an item with
# the id "facets" can be listed and recommended, but not read at its own address.
router = APIRouter(prefix="/v1/items", tags=["items"])

_EXAMPLE = {
    "item_id": "i1",
    "title": "Oak lamp",
    "brand": "Nordic",
    "categories": ["Lighting"],
    "price": 49.0,
    "description": None,
    "in_stock": True,
    "has_image": False,
}

_UPSERTED = {"stored": 1, "recommendable": 1, "not_recommendable": []}

_FACETS = {
    "items": 52,
    "in_stock": 50,
    "categories": [{"name": "Lighting", "count": 12}],
    "num_categories": 1,
    "brands": [{"name": "Nordic", "count": 7}],
    "num_brands": 1,
    "price": {"min": 4.5, "max": 49.0, "count": 44},
}


@router.get(
    "",
    summary="List items, or find them by their titles",
    dependencies=[needs("read")],
    responses=answers("A page of items.", {"items": [_EXAMPLE], "next_cursor": "m100"}),
)
async def list_items(request: Request, query: Annotated[Paging, Query()]) -> Response:
    """List the catalogue; with `q`, the items whose title, brand or category has those words."""
    listing = service_of(request).listing
    rows, cursor = await asyncio.to_thread(listing.items, query.cursor, query.limit, query.q)
    return json_response({"items": rows, "next_cursor": cursor})


@router.post(
    "",
    summary="Add or replace many items",
    dependencies=[needs("write")],
    openapi_extra=body_of(ItemWithId, also=MEDIA_TYPES),
    responses=answers("How many items were stored.", _UPSERTED | {"stored": 2}),
)
async def upsert_items(request: Request) -> Response:
    """Take one item, an array, JSON lines or Parquet; all are stored or none.

    When this returns, every item is recommendable of which the model can read something;
    `not_recommendable` names the others with the reason, a hundred at most.
    """
    async with bulk_rows(request, ItemWithId, lambda row: _record(row.item_id, row)) as records:
        return await _upserted(request, records)


@router.get(
    "/facets",
    summary="Categories, brands and prices to filter by",
    dependencies=[needs("read")],
    responses=answers("Categories and brands, the most frequent first, and prices.", _FACETS),
)
async def get_facets(request: Request, query: Annotated[FacetsQuery, Query()]) -> Response:
    """Count the categories, brands and prices of the catalogue.

    Labels that differ only in case count as one, as in filters; `num_categories` and `num_brands`
    also count those beyond `limit`. `price` is null if no item has a price.
    """
    facets = await asyncio.to_thread(service_of(request).main.catalogue.facets, query.limit)
    return json_response(
        {
            "items": facets.items,
            "in_stock": facets.in_stock,
            "categories": facets.categories.most,
            "num_categories": facets.categories.total,
            "brands": facets.brands.most,
            "num_brands": facets.brands.total,
            "price": facets.price,
        }
    )


@router.get(
    "/{item_id}",
    summary="One item",
    dependencies=[needs("read")],
    responses=answers("The item.", _EXAMPLE),
)
async def get_item(request: Request, item_id: PathId) -> Response:
    """Return all fields of an item."""
    item = await asyncio.to_thread(service_of(request).listing.item, item_id)
    if item is None:
        raise _unknown(item_id)
    return json_response(item)


@router.put(
    "/{item_id}",
    summary="Add or replace one item",
    dependencies=[needs("write")],
    openapi_extra=body_of(ItemBody),
    responses=answers("The item was stored.", _UPSERTED),
)
async def put_item(request: Request, item_id: PathId) -> Response:
    """Store an item; fields that are not in the body become empty."""
    body = await read(request, ItemBody)
    return await _upserted(request, [_record(item_id, body)])


@router.patch(
    "/{item_id}",
    summary="Change some fields of an item",
    dependencies=[needs("write")],
    openapi_extra=body_of(ItemBody),
    responses=answers("The item was stored.", _UPSERTED),
)
async def patch_item(request: Request, item_id: PathId) -> Response:
    """Change the fields in the body; the other fields stay."""
    body = await read(request, ItemBody)
    before = await asyncio.to_thread(service_of(request).listing.record, item_id)
    if before is None:
        raise _unknown(item_id)
    changed = {name: getattr(body, name) for name in body.model_fields_set}
    return await _upserted(request, [replace(before, **changed)])


@router.delete(
    "/{item_id}",
    summary="Delete one item",
    dependencies=[needs("write")],
    responses=answers("It is never recommended again.", {"deleted": "i1"}),
)
async def delete_item(request: Request, item_id: PathId) -> Response:
    """Delete an item; past events with this item stay."""
    if not await service_of(request).delete_item(item_id):
        raise _unknown(item_id)
    return json_response({"deleted": item_id})


@router.get(
    "/{item_id}/image",
    summary="The image of an item",
    dependencies=[needs("read")],
    response_class=Response,
    responses={200: {"description": "PNG or JPEG.", "content": {"image/*": {}}}},
)
async def get_image(request: Request, item_id: PathId) -> Response:
    """Return the image; 404 if the item has none."""
    image = await asyncio.to_thread(service_of(request).main.catalogue.image, item_id)
    if image is None:
        raise NotFound(f"The item {item_id!r} has no picture.", hint="Draw a cover instead.")
    kind = _IMAGE_TYPES.get(image[:2])
    if kind is None:
        raise Conflict("The picture is neither PNG nor JPEG.", hint="Prepare the dataset again.")
    return Response(image, media_type=kind, headers={"cache-control": "private, max-age=86400"})


_IMAGE_TYPES = {b"\x89P": "image/png", b"\xff\xd8": "image/jpeg"}


@router.get(
    "/{item_id}/similar",
    summary="Items like this one",
    tags=["recommendations"],
    dependencies=[needs("read")],
    responses=answers("The nearest items, nearest first."),
)
async def similar_items(
    request: Request, item_id: PathId, query: Annotated[SimilarQuery, Query()]
) -> Response:
    """Return the items whose vectors are nearest to the vector of this item."""
    return await service_of(request).answering.similar(context_of(request), item_id, query)


async def _upserted(request: Request, records: Sequence[ItemRecord]) -> Response:
    """Store items and return the result."""
    return json_response(asdict(await service_of(request).upsert_items(records)))


def _record(item_id: str, body: ItemBody) -> ItemRecord:
    return ItemRecord(**dict(body) | {"item_id": item_id})


def _unknown(item_id: str) -> NotFound:
    return NotFound(f"There is no item {item_id[:100]!r}.", hint="Add it: PUT /v1/items/{item_id}")
