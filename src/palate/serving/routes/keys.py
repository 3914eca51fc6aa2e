"""API keys: who may use the service, and for what."""

import asyncio

from fastapi import APIRouter, Request, Response

from palate.serving.http_io import PathId, answers, body_of, needs, read, service_of
from palate.serving.problems import NotFound
from palate.serving.rendering import json_response
from palate.serving.schemas import KeyBody
from palate.serving.store.records import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post(
    "",
    summary="Make a key",
    dependencies=[needs("admin")],
    openapi_extra=body_of(KeyBody),
    responses=answers("The key, with its secret, which is never shown again.", status=201),
    status_code=201,
)
async def create_key(request: Request) -> Response:
    """Make a key with scopes: *admin* includes *write*, and *write* includes *read*."""
    body = await read(request, KeyBody)
    keys = service_of(request).store.keys
    key, secret = await asyncio.to_thread(keys.create, body.name, frozenset(body.scopes))
    return json_response(_fields(key) | {"secret": secret}, 201)


@router.get(
    "",
    summary="List the keys",
    dependencies=[needs("admin")],
    responses=answers("All keys without their secrets, including revoked ones."),
)
async def list_keys(request: Request) -> Response:
    """List the keys, without the first key, which comes from PALATE_API_KEY."""
    keys = await asyncio.to_thread(service_of(request).store.keys.list)
    return json_response({"keys": [_fields(key) for key in keys]})


@router.delete(
    "/{key_id}",
    summary="Revoke a key",
    dependencies=[needs("admin")],
    responses=answers("The key is not accepted any more.", {"revoked": "k1"}),
)
async def revoke_key(request: Request, key_id: PathId) -> Response:
    """Revoke a key immediately."""
    service = service_of(request)
    keys = service.store.keys
    if key_id not in {key.key_id for key in await asyncio.to_thread(keys.list)}:
        raise NotFound(f"There is no key {key_id[:100]!r}.", hint="List them: GET /v1/keys")
    await asyncio.to_thread(keys.revoke, key_id)
    service.gate.forget()
    return json_response({"revoked": key_id})


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
