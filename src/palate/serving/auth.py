"""Authorisation: API keys with scopes, and a limit on guessing.

Only the SHA-256 digests of keys are compared, so that the time of an answer depends neither on the
length of a key nor on its first letters. An address that sent too many wrong keys is refused for
the rest of a minute, except with keys that it used before: so the mistakes of others behind the
same proxy lock nobody out, and a guess still cannot be tested.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from palate.serving.problems import Forbidden, TooManyTries, Unauthorised
from palate.serving.store.records import ApiKey, Scope

_LEVEL: Mapping[str, int] = {"read": 1, "write": 2, "admin": 3}
_FRESH_SECONDS = 5.0
"""How long a looked-up key stays valid: a key that another process revoked dies after this time."""
_REMEMBERED = 10_000
"""Number of addresses, and of keys, that are remembered."""

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of an accepted key."""

    key_id: str
    level: int
    until: float
    """Time on the monotonic clock at which the key must be looked up again."""


ANYBODY = Caller("open", _LEVEL["admin"], float("inf"))
"""The caller of a service without keys."""


class Throttle:
    """Counts wrong keys per address, in windows of a minute."""

    def __init__(
        self,
        *,
        tries: int = 10,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow ``tries`` wrong keys per ``seconds``."""
        self._tries, self._seconds, self._clock = tries, seconds, clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return for how many seconds the address is still refused; 0 if it is not."""
        start, count = self._seen.get(_network(address), (0.0, 0))
        left = start + self._seconds - self._clock()
        return left if count >= self._tries and left > 0 else 0.0

    def wrong(self, address: str) -> None:
        """Count a wrong key."""
        network, now = _network(address), self._clock()
        start, count = self._seen.pop(network, (now, 0))
        if now - start >= self._seconds:
            start, count = now, 0
        self._seen[network] = (start, count + 1)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


class Gate:
    """Admits callers by their keys."""

    def __init__(
        self,
        verify: Callable[[str], ApiKey | None],
        *,
        first_key: str | None,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look keys up with ``verify``, except the first; without a first key admit anybody."""
        self._verify = verify
        self._first = None if first_key is None else _digest(first_key.encode())
        self._throttle = throttle or Throttle(clock=clock)
        self._clock = clock
        self._known: OrderedDict[tuple[str, bytes], Caller] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Whether the service needs no key."""
        return self._first is None

    async def admit(self, headers: Headers, address: str, needed: Scope) -> Caller:
        """Return the caller of a request.

        Args:
            headers: the headers of the request, with names in lower case.
            address: the address of the client.
            needed: the scope of the route.

        Raises:
            Unauthorised: without a key, or with a wrong one.
            Forbidden: when the key lacks the scope, or the page of another site asks.
            TooManyTries: after too many wrong keys.
        """
        if self._first is None:
            _refuse_foreign_pages(headers)
            return ANYBODY
        caller = await self._caller(_secret(headers), address)
        if caller.level < _LEVEL[needed]:
            raise Forbidden(
                f"This needs a key with the scope {needed!r}; yours lacks it.",
                hint="Ask an admin for one: POST /v1/keys",
            )
        return caller

    def forget(self) -> None:
        """Look every key up again, because one was revoked."""
        self._known.clear()

    async def _caller(self, secret: bytes | None, address: str) -> Caller:
        if secret is None:
            raise Unauthorised("This needs a key; none came.")
        digest = _digest(secret)
        known = self._known.get((address, digest))
        if known is not None and self._clock() < known.until:
            return known
        if known is None and (seconds := self._throttle.wait(address)):
            raise TooManyTries(
                "Too many wrong keys came from this address.",
                hint=f"Try again in {int(seconds) + 1} s.",
                headers={"Retry-After": str(int(seconds) + 1)},
            )
        caller = await self._looked_up(secret, digest)
        if caller is None:
            self._known.pop((address, digest), None)
            self._throttle.wrong(address)
            raise Unauthorised("This key is not known, or was revoked.")
        self._known[address, digest] = caller
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return caller

    async def _looked_up(self, secret: bytes, digest: bytes) -> Caller | None:
        until = self._clock() + _FRESH_SECONDS
        if self._first is not None and hmac.compare_digest(digest, self._first):
            return Caller("first", _LEVEL["admin"], until)
        key = await asyncio.to_thread(self._verify, secret.decode("utf-8", "replace"))
        if key is None:
            return None
        level = max((_LEVEL[scope] for scope in key.scopes), default=0)
        return Caller(key.key_id, level, until)


def is_loopback(host: str) -> bool:
    """Tell whether an address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _secret(headers: Headers) -> bytes | None:
    """Return the key of a request; Prometheus sends it as a bearer token."""
    for name, value in headers:
        if name == b"x-api-key":
            return value
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return None


def _refuse_foreign_pages(headers: Headers) -> None:
    """Refuse pages of other sites, opened in a browser on this machine, if there are no keys."""
    by_name = dict(headers)
    host = by_name.get(b"host", b"localhost").decode("latin-1")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if not is_loopback(name.strip("[]").lower()):
        raise Forbidden(
            f"A service without keys answers this machine alone, not {host[:100]!r}.",
            hint="Set PALATE_API_KEY and start it again.",
        )
    origin = by_name.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != by_name.get(b"host"):
        raise Forbidden(
            "Another site's page may not use a service without keys.",
            hint="Set PALATE_API_KEY and start it again.",
        )


def _network(address: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address, which one client has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
