"""Models: what is loaded, what it can answer, and how another takes its place."""

from pathlib import Path

from fastapi import APIRouter, Request, Response

from palate.serving.http_io import PathId, answer, answers, body_of, needs, read, service_of
from palate.serving.schemas import ModelBody, ShareBody

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get(
    "",
    summary="The loaded models",
    dependencies=[needs("read")],
    responses=answers(
        "Each model with what it can and cannot answer, and the recipe that could.",
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
    """Return each loaded model; ``open`` tells whether the service asks for keys."""
    service = service_of(request)
    return answer({"open": service.gate.is_open, "models": service.described()})


@router.post(
    "",
    summary="Load a model",
    dependencies=[needs("admin")],
    openapi_extra=body_of(ModelBody),
    responses=answers("The model answers.", {"loaded": "1f2e3d4c5b6a7988"}, status=201),
    status_code=201,
)
async def load_model(request: Request) -> Response:
    """Load a folder beside the others and check it; then give it its share, or let it take over.

    Requests in flight are finished by the model that began them; a folder that cannot be loaded
    changes nothing.
    """
    body = await read(request, ModelBody)
    service, folder = service_of(request), Path(body.folder)
    if body.swap or body.replaces is not None:
        version = await service.swap(folder, body.replaces)
    else:
        version = await service.load(folder, share=body.share)
    return answer({"loaded": version}, 201)


@router.put(
    "/{version}",
    summary="Change how much of the traffic a model gets",
    dependencies=[needs("admin")],
    openapi_extra=body_of(ShareBody),
    responses=answers("The share counts from now on.", {"version": "1f2e", "share": 0.1}),
)
async def share_model(request: Request, version: PathId) -> Response:
    """Change a share; a user stays with one model as long as the shares stay as they are."""
    body = await read(request, ShareBody)
    service_of(request).pool.set_share(version, body.share)
    return answer({"version": version, "share": body.share})


@router.delete(
    "/{version}",
    summary="Take a model out of service",
    dependencies=[needs("admin")],
    responses=answers("It finishes what it was asked.", {"removed": "1f2e3d4c5b6a7988"}),
)
async def remove_model(request: Request, version: PathId) -> Response:
    """Take a model out of service; the last one has to stay."""
    await service_of(request).remove(version)
    return answer({"removed": version})
