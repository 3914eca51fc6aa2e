"""Recommendations: lists of items, reasons, explanations and ratings."""

from fastapi import APIRouter, Request, Response

from palate.serving.http_io import answers, body_of, needs, read, service_of
from palate.serving.middleware import context_of
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
    summary="Recommend items",
    dependencies=[needs("read")],
    openapi_extra=body_of(RecommendBody),
    responses=answers(
        "The best items, best first; `fallback` is set if the model did not choose them.", _EXAMPLE
    ),
)
async def recommend(request: Request) -> Response:
    """Recommend for a user, for the history of a session, or for both.

    The newest event of a user counts immediately. `explain` adds `why` to each item. `missing_ids`
    names items of the history and of `exclude` that are not in the catalogue: they are left out.
    Send `recommendation_id` with the feedback, so that click-through by model can be measured.
    """
    body = await read(request, RecommendBody)
    return await service_of(request).answering.recommend(context_of(request), body)


@router.post(
    "/rank",
    summary="Rank given items",
    dependencies=[needs("read")],
    openapi_extra=body_of(RankBody),
    responses=answers("The candidates, best first.", _EXAMPLE),
)
async def rank(request: Request) -> Response:
    """Rank candidates; `missing_ids` names those that are not in the catalogue."""
    body = await read(request, RankBody)
    return await service_of(request).answering.rank(context_of(request), body)


@router.post(
    "/search",
    summary="Find items by words",
    dependencies=[needs("read")],
    openapi_extra=body_of(SearchBody),
    responses=answers("The items that fit the words, best first.", _EXAMPLE),
)
async def search(request: Request) -> Response:
    """Find items by meaning, personalised for a user if one is given.

    If the model was not trained to search, titles are compared, and `fallback` is "titles".
    """
    body = await read(request, SearchBody)
    return await service_of(request).answering.search(context_of(request), body)


@router.post(
    "/explain",
    summary="Why an item is recommended",
    dependencies=[needs("read")],
    openapi_extra=body_of(ExplainBody),
    responses=answers(
        "The events without which the score of the item falls most, and a text if requested.",
        {
            "item_id": "i1",
            "why": [{"item_id": "i9", "title": "Reading chair", "weight": 0.42}],
            "text": "You gave five stars to Reading chair, and Oak lamp is also by Nordic. As a "
            "customer who gave it five stars put it: \u201cThe light is warm and soft.\u201d",
            "mended": False,
            "quoted": True,
            "statements": [
                {
                    "kind": "because",
                    "text": "You gave five stars to Reading chair.",
                    "source": "why: events 4",
                }
            ],
            **_SINGLE,
        },
    ),
)
async def explain(request: Request) -> Response:
    """Find the most important events: the item is scored again without each of them.

    With `form` "text" it is also said in words, on an `aspect` if one is given: every model can.
    `statements` are what the text says, as data with their sources. `quoted` is true if the text
    quotes somebody. Where a language model rewords the text and its words may not be shown,
    `mended` is true and `fallback` is "facts".
    """
    body = await read(request, ExplainBody)
    return await service_of(request).answering.explain(context_of(request), body)


@router.post(
    "/rate",
    summary="Predict a rating",
    dependencies=[needs("read")],
    openapi_extra=body_of(RateBody),
    responses=answers(
        "The expected rating, the most likely one, and the probability of each.",
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
    """Predict the rating a user would give; the model must be trained to rate.

    The request is for a user, for the history of a session, for both, or for a new user. An item
    that was added after training is rated by its content.
    """
    body = await read(request, RateBody)
    return await service_of(request).answering.rate(context_of(request), body)
