"""Recommendations: items for somebody, in any of the ways a model can be asked."""

from fastapi import APIRouter, Request, Response

from palate.serving.http_io import answers, body_of, needs, read, service_of
from palate.serving.middleware import visit_of
from palate.serving.routes.lean import LeanRoute
from palate.serving.schemas import ExplainBody, RankBody, RateBody, RecommendBody, SearchBody

router = APIRouter(prefix="/v1", tags=["recommendations"], route_class=LeanRoute)

_EXAMPLE = {
    "recommendation_id": "9f0c1b2a3d4e5f60",
    "model_version": "1f2e3d4c5b6a7988",
    "took_ms": 1.8,
    "fallback": None,
    "items": [
        {
            "item_id": "i1",
            "title": "Oak lamp",
            "brand": "Nordic",
            "categories": ["Lighting"],
            "price": 49.0,
            "in_stock": True,
            "has_image": False,
            "score": 7.31,
            "why": [{"item_id": "i9", "title": "Reading chair", "weight": 0.42}],
        }
    ],
    "missing_ids": [],
}

_SINGLE = {
    "model_version": "1f2e3d4c5b6a7988",
    "took_ms": 9.4,
    "fallback": None,
    "missing_ids": [],
}


@router.post(
    "/recommend",
    summary="Recommend items to somebody",
    dependencies=[needs("read")],
    openapi_extra=body_of(RecommendBody),
    responses=answers(
        "The best items, best first; `fallback` says when not the model chose them.", _EXAMPLE
    ),
)
async def recommend(request: Request) -> Response:
    """Answer a user, a session's history, or both; a user's newest event counts at once.

    `why` is there with `explain`; `missing_ids` names items of the history that no one knows.
    Echo `recommendation_id` in the feedback: click-through by model is measured by it.
    """
    body = await read(request, RecommendBody)
    return await service_of(request).answering.recommend(visit_of(request), body)


@router.post(
    "/rank",
    summary="Put given items in order for somebody",
    dependencies=[needs("read")],
    openapi_extra=body_of(RankBody),
    responses=answers("The candidates, best first.", _EXAMPLE),
)
async def rank(request: Request) -> Response:
    """Order candidates; those that cannot be ranked are in `missing_ids`."""
    body = await read(request, RankBody)
    return await service_of(request).answering.rank(visit_of(request), body)


@router.post(
    "/search",
    summary="Find items by words",
    dependencies=[needs("read")],
    openapi_extra=body_of(SearchBody),
    responses=answers("What answers the words, best first.", _EXAMPLE),
)
async def search(request: Request) -> Response:
    """Find items by meaning; with a user, what they like comes first.

    A model that was not taught to search is said to be so in `fallback`, and titles are compared.
    """
    body = await read(request, SearchBody)
    return await service_of(request).answering.search(visit_of(request), body)


@router.post(
    "/explain",
    summary="Why an item is recommended",
    dependencies=[needs("read")],
    openapi_extra=body_of(ExplainBody),
    responses=answers(
        "The events without which the item's score falls most, and a text where asked for.",
        {
            "item_id": "i1",
            "why": [{"item_id": "i9", "title": "Reading chair", "weight": 0.42}],
            "text": "The light is warm and it does not flicker.",
            "mended": False,
            "quoted": True,
            **_SINGLE,
        },
    ),
)
async def explain(request: Request) -> Response:
    """Measure the events that weighed most: each is left out in turn and the item scored again.

    With `form` "text" a model that was trained to also says why in words, on an `aspect` if one is
    given. The words may be those of somebody's review of the item: `quoted` then
    is true. What the catalogue does not bear out is left out: `mended` then is true, and `fallback`
    is "facts" where nothing was left and facts of the catalogue are told instead.
    """
    body = await read(request, ExplainBody)
    return await service_of(request).answering.explain(visit_of(request), body)


@router.post(
    "/rate",
    summary="Predict a rating",
    dependencies=[needs("read")],
    openapi_extra=body_of(RateBody),
    responses=answers(
        "The rating as an expectation, the likeliest one, and the chance of each.",
        {
            "item_id": "i1",
            "rating": 4.21,
            "likeliest": 5.0,
            "chances": {"1": 0.02, "2": 0.04, "3": 0.13, "4": 0.33, "5": 0.48},
            **_SINGLE,
        },
    ),
)
async def rate(request: Request) -> Response:
    """Predict the rating a user would give; needs a model that was trained to.

    Asked for a user, a session's history, both, or somebody new. An item that came after training
    is rated by what can be read of it.
    """
    body = await read(request, RateBody)
    return await service_of(request).answering.rate(visit_of(request), body)
