"""Models: list, load, swap and remove them, and divide the traffic among them."""

from pathlib import Path

from fastapi import APIRouter, Request, Response

from palate.serving.http_io import PathId, answers, body_of, needs, read, service_of
from palate.serving.rendering import json_response
from palate.serving.schemas import ModelBody, ShareBody

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get(
    "",
    summary="The loaded models",
    dependencies=[needs("read")],
    responses=answers(
        "Each model with what it can answer, and the recipes for what it cannot.",
        {
            "open": False,
            "models": [
                {
                    "name": "shop",
                    "version": "1f2e3d4c5b6a7988",
                    "share": 1.0,
                    "tasks": [{"family": "next-item", "slots": {}}],
                    "answers_in_words": ["rating", "explanation"],
                    "cannot": [{"what": "form codes", "recipes": ["urm-codes"]}],
                }
            ],
        },
    ),
)
async def list_models(request: Request) -> Response:
    """Return the loaded models; `open` is true if the service needs no keys."""
    service = service_of(request)
    return json_response({"open": service.gate.is_open, "models": service.described()})


@router.post(
    "",
    summary="Load a model",
    dependencies=[needs("admin")],
    openapi_extra=body_of(ModelBody),
    responses=answers("The model answers.", {"loaded": "1f2e3d4c5b6a7988"}, status=201),
    status_code=201,
)
async def load_model(request: Request) -> Response:
    """Load and test a model; it then gets a share of the traffic, or replaces another model.

    The old model finishes the requests it has; if the folder cannot be loaded, nothing changes.
    """
    body = await read(request, ModelBody)
    service, folder = service_of(request), Path(body.folder)
    if body.swap or body.replaces is not None:
        version = await service.swap(folder, body.replaces)
    else:
        version = await service.load(folder, share=body.share)
    return json_response({"loaded": version}, 201)


@router.put(
    "/{version}",
    summary="Change the share of traffic of a model",
    dependencies=[needs("admin")],
    openapi_extra=body_of(ShareBody),
    responses=answers("The share was changed.", {"version": "1f2e", "share": 0.1}),
)
async def share_model(request: Request, version: PathId) -> Response:
    """Change a share; as long as the shares stay the same, a user stays with one model."""
    body = await read(request, ShareBody)
    service_of(request).pool.set_share(version, body.share)
    return json_response({"version": version, "share": body.share})


@router.delete(
    "/{version}",
    summary="Take a model out of service",
    dependencies=[needs("admin")],
    responses=answers("The model finishes the requests it has.", {"removed": "1f2e3d4c5b6a7988"}),
)
async def remove_model(request: Request, version: PathId) -> Response:
    """Take a model out of service; the last model cannot be removed."""
    await service_of(request).remove(version)
    return json_response({"removed": version})
