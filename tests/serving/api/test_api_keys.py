"""Keys, scopes, guessing and the open mode; nothing secret is ever logged."""

import asyncio
import io
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from palate.errors import ConfigError
from palate.serving.app import ServeSettings, create_app
from palate.serving.auth import Gate, Throttle, is_loopback
from palate.serving.problems import Forbidden, TooManyTries, Unauthorised
from palate.serving.store import ApiKey

OPEN_ROUTES = {"/health/live", "/health/ready"}


def _key(secret: str, scope: str) -> ApiKey:
    return ApiKey(secret, secret, frozenset({scope}), created_at=0.0)


class Book:
    """A store of keys that counts how often it is asked."""

    def __init__(self, **keys: str) -> None:
        self.keys = {secret: _key(secret, scope) for secret, scope in keys.items()}
        self.asked = 0

    def __call__(self, secret: str) -> ApiKey | None:
        self.asked += 1
        return self.keys.get(secret)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _admit(gate: Gate, key: str | None, scope: str = "read", address: str = "9.9.9.9") -> str:
    headers = [] if key is None else [(b"x-api-key", key.encode())]
    return asyncio.run(gate.admit(headers, address, scope)).key_id


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", ["read"]), ("write", ["read", "write"]), ("admin", ["read", "write", "admin"])],
)
def test_a_scope_includes_the_smaller_ones(scope: str, allowed: list[str]) -> None:
    gate = Gate(Book(secret=scope), first_key="first")
    for needed in ("read", "write", "admin"):
        if needed in allowed:
            assert _admit(gate, "secret", needed) == "secret"
        else:
            with pytest.raises(Forbidden):
                _admit(gate, "secret", needed)
        assert _admit(gate, "first", needed) == "first"


@pytest.mark.parametrize("key", [None, "", "wrong", "first ", "x" * 10_000, "ключ"])
def test_a_missing_or_wrong_key_is_refused(key: str | None) -> None:
    with pytest.raises(Unauthorised):
        _admit(Gate(Book(), first_key="first"), key)


def test_a_bearer_token_is_a_key_too() -> None:
    gate = Gate(Book(), first_key="first")
    headers = [(b"authorization", b"Bearer first")]
    assert asyncio.run(gate.admit(headers, "9.9.9.9", "admin")).key_id == "first"


def test_a_key_is_looked_up_again_after_a_while_and_at_once_when_one_is_revoked() -> None:
    book, clock = Book(secret="read"), Clock()
    gate = Gate(book, first_key="first", clock=clock)
    for _ in range(3):
        _admit(gate, "secret")
    assert book.asked == 1
    book.keys.clear()
    assert _admit(gate, "secret") == "secret"
    clock.now += 6
    with pytest.raises(Unauthorised):
        _admit(gate, "secret")
    book.keys["secret"] = _key("secret", "read")
    _admit(gate, "secret")
    book.keys.clear()
    gate.forget()
    with pytest.raises(Unauthorised):
        _admit(gate, "secret")


def test_after_ten_wrong_keys_an_address_waits_unless_its_key_was_right_before() -> None:
    clock = Clock()
    gate = Gate(Book(good="read", other="read"), first_key="first", clock=clock)
    _admit(gate, "good")
    for number in range(10):
        with pytest.raises(Unauthorised):
            _admit(gate, f"guess {number}")
    with pytest.raises(TooManyTries) as refused:
        _admit(gate, "guess")
    assert refused.value.headers["Retry-After"] == "61"
    with pytest.raises(TooManyTries):
        _admit(gate, "other")
    assert _admit(gate, "good") == "good"
    assert _admit(gate, "other", address="8.8.8.8") == "other"
    clock.now += 61
    assert _admit(gate, "other") == "other"


def test_the_throttle_takes_an_ipv6_network_for_one_client() -> None:
    throttle = Throttle(tries=1)
    throttle.wrong("2001:db8::1")
    assert throttle.wait("2001:db8::ffff") > 0
    assert throttle.wait("2001:db9::1") == 0


def test_every_route_of_the_api_asks_for_a_key(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method in operations:
            response = client.request(method, path, headers={"X-API-Key": ""})
            expected = {200} if path in OPEN_ROUTES else {401, 429}
            assert response.status_code in expected, (method, path)


def test_keys_are_made_used_and_revoked(client: TestClient) -> None:
    made = client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]})
    assert made.status_code == 201
    key, secret = made.json()["key_id"], {"X-API-Key": made.json()["secret"]}
    assert client.post("/v1/recommend", json={}, headers=secret).status_code == 200
    refused = client.post("/v1/feedback", json={}, headers=secret)
    assert refused.status_code == 403
    assert "write" in refused.json()["error"]["message"]
    assert client.get("/v1/operator/summary", headers=secret).status_code == 403
    (listed,) = client.get("/v1/keys").json()["keys"]
    assert listed["key_id"] == key
    assert "secret" not in listed
    assert client.delete(f"/v1/keys/{key}").status_code == 200
    gone = client.post("/v1/recommend", json={}, headers=secret)
    assert gone.status_code == 401
    assert "WWW-Authenticate" in gone.headers
    assert client.delete("/v1/keys/nothing").status_code == 404


def test_no_key_no_id_and_no_body_is_logged(
    client: TestClient, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    made = client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]}).json()
    client.get("/v1/users/somebody-private/history", headers={"X-API-Key": made["secret"]})
    client.post("/v1/recommend", json={"user_id": "somebody-private"}, headers={"X-API-Key": "hm"})
    client.app.state.service  # noqa: B018 - still running
    client.__exit__(None, None, None)
    client.__enter__ = lambda: None  # closed for good
    written = log.getvalue() + "".join(capfd.readouterr())
    assert written.count('"event":"request"') == 3
    for secret in ("the-first-key", made["secret"], "somebody-private", '"hm"'):
        assert secret not in written


def test_without_a_key_only_this_machine_is_answered(
    make_client: Callable[..., TestClient],
) -> None:
    client = make_client(key=None)
    assert client.get("/v1/models").json()["open"] is True
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        assert client.get("/v1/models", headers=headers).status_code == 403, headers
    same = {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}
    assert client.get("/v1/models", headers=same).status_code == 200
    text = client.post("/v1/feedback", content="{}", headers={"content-type": "text/plain"})
    assert text.status_code == 415


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_other_machines_are_not_let_in_without_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match="PALATE_API_KEY"):
        create_app(ServeSettings(models={}, host=host))


def test_loopback_has_several_names() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.0.1", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "localhost.example", "10.0.0.1")))
