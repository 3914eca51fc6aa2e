"""Keys: who may use the service, and for what."""

from fastapi import APIRouter, Request, Response

from palate.serving.http_io import PathId, answer, answers, body_of, needs, read, service_of
from palate.serving.problems import NotFound
from palate.serving.schemas import KeyBody
from palate.serving.store.records import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post(
    "",
    summary="Make a key",
    dependencies=[needs("admin")],
    openapi_extra=body_of(KeyBody),
    responses=answers("The key; its secret is shown this once.", status=201),
    status_code=201,
)
async def create_key(request: Request) -> Response:
    """Make a key with scopes: *admin* includes *write*, and *write* includes *read*."""
    body = await read(request, KeyBody)
    service = service_of(request)
    key, secret = await service.call(service.store.keys.create, body.name, frozenset(body.scopes))
    return answer(_shown(key) | {"secret": secret}, 201)


@router.get(
    "",
    summary="List the keys",
    dependencies=[needs("admin")],
    responses=answers("All keys, revoked ones too, without their secrets."),
)
async def list_keys(request: Request) -> Response:
    """List the keys; the first key, from PALATE_API_KEY, is not among them."""
    service = service_of(request)
    keys = await service.call(service.store.keys.list)
    return answer({"keys": [_shown(key) for key in keys]})


@router.delete(
    "/{key_id}",
    summary="Revoke a key",
    dependencies=[needs("admin")],
    responses=answers("The key opens nothing any more.", {"revoked": "k1"}),
)
async def revoke_key(request: Request, key_id: PathId) -> Response:
    """Revoke a key, at once."""
    service = service_of(request)
    keys = await service.call(service.store.keys.list)
    if key_id not in {key.key_id for key in keys}:
        raise NotFound(f"There is no key {key_id[:100]!r}.", hint="List them: GET /v1/keys")
    await service.call(service.store.keys.revoke, key_id)
    service.gate.forget()
    return answer({"revoked": key_id})


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
