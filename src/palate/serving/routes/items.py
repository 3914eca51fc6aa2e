"""Items: what the shop offers, one at a time or by the thousand."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from palate.data.item_record import ItemRecord
from palate.serving.bulk import MEDIA_TYPES
from palate.serving.http_io import (
    PathId,
    answer,
    answers,
    body_of,
    bulk_rows,
    needs,
    read,
    service_of,
)
from palate.serving.middleware import visit_of
from palate.serving.problems import Conflict, NotFound
from palate.serving.schemas import (
    FacetsQuery,
    ItemBody,
    ItemPaging,
    ItemWithId,
    SimilarQuery,
)

# Before ``/{item_id}`` in this file, for routes are tried in their order: an item whose id is
# "facets" is listed, found and recommended, but its own address is taken.
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
async def list_items(request: Request, asked: Annotated[ItemPaging, Query()]) -> Response:
    """Go through the whole catalogue; with ``q``, items whose title holds those letters."""
    rows, cursor = await service_of(request).items(asked.cursor, asked.limit, asked.q)
    return answer({"items": rows, "next_cursor": cursor})


@router.post(
    "",
    summary="Add or replace many items",
    dependencies=[needs("write")],
    openapi_extra=body_of(ItemWithId, also=MEDIA_TYPES),
    responses=answers("How many items were stored.", _UPSERTED | {"stored": 2}),
)
async def upsert_items(request: Request) -> Response:
    """Take one item, an array, JSON lines or Parquet; all are stored or none.

    What the model can read of an item makes it recommendable when this returns;
    `not_recommendable` says which are not, and why: the first hundred of them.
    """
    async with bulk_rows(request, ItemWithId, lambda row: _record(row.item_id, row)) as records:
        return await _upserted(request, records)


@router.get(
    "/facets",
    summary="What the items can be filtered by",
    dependencies=[needs("read")],
    responses=answers("Categories and brands, the most frequent first, and prices.", _FACETS),
)
async def get_facets(request: Request, asked: Annotated[FacetsQuery, Query()]) -> Response:
    """Count the catalogue's categories, brands and prices, for a filter to offer.

    Labels that differ in case alone are one, as they are to a filter; `num_categories` and
    `num_brands` count those beyond `limit` too. `price` is null where no item has one.
    """
    found = await service_of(request).facets(asked.limit)
    return answer(
        {
            "items": found.items,
            "in_stock": found.in_stock,
            "categories": found.categories.most,
            "num_categories": found.categories.total,
            "brands": found.brands.most,
            "num_brands": found.brands.total,
            "price": found.price,
        }
    )


@router.get(
    "/{item_id}",
    summary="One item",
    dependencies=[needs("read")],
    responses=answers("The item.", _EXAMPLE),
)
async def get_item(request: Request, item_id: PathId) -> Response:
    """Return what is known of an item."""
    found = await service_of(request).item(item_id)
    if found is None:
        raise _unknown(item_id)
    return answer(found)


@router.put(
    "/{item_id}",
    summary="Add or replace one item",
    dependencies=[needs("write")],
    openapi_extra=body_of(ItemBody),
    responses=answers("The item was stored.", _UPSERTED),
)
async def put_item(request: Request, item_id: PathId) -> Response:
    """Store an item; fields that are left out are empty from now on."""
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
    """Change the fields that are given; the rest of the item stays as it is."""
    body = await read(request, ItemBody)
    service = service_of(request)
    before = await service.record(item_id)
    if before is None:
        raise _unknown(item_id)
    told = {name: getattr(body, name) for name in body.model_fields_set}
    return await _upserted(request, [replace(before, **told)])


@router.delete(
    "/{item_id}",
    summary="Delete one item",
    dependencies=[needs("write")],
    responses=answers("It is never recommended again.", {"deleted": "i1"}),
)
async def delete_item(request: Request, item_id: PathId) -> Response:
    """Delete an item; events of the past that name it stay."""
    if not await service_of(request).delete_item(item_id):
        raise _unknown(item_id)
    return answer({"deleted": item_id})


@router.get(
    "/{item_id}/image",
    summary="The picture of an item",
    dependencies=[needs("read")],
    response_class=Response,
    responses={200: {"description": "PNG or JPEG.", "content": {"image/*": {}}}},
)
async def get_image(request: Request, item_id: PathId) -> Response:
    """Return the picture; 404 where there is none."""
    image = await service_of(request).image(item_id)
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
    request: Request, item_id: PathId, asked: Annotated[SimilarQuery, Query()]
) -> Response:
    """Return the items whose vectors are nearest to that of the given one."""
    return await service_of(request).answering.similar(visit_of(request), item_id, asked)


async def _upserted(request: Request, records: Sequence[ItemRecord]) -> Response:
    """Store items and say what became of them."""
    return answer(asdict(await service_of(request).upsert_items(records)))


def _record(item_id: str, body: ItemBody) -> ItemRecord:
    return ItemRecord(
        item_id=item_id,
        title=body.title,
        description=body.description,
        brand=body.brand,
        categories=tuple(body.categories),
        price=body.price,
        in_stock=body.in_stock,
        attributes=body.attributes,
    )


def _unknown(item_id: str) -> NotFound:
    return NotFound(f"There is no item {item_id[:100]!r}.", hint="Add it: PUT /v1/items/{item_id}")
