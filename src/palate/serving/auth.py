"""Who may do what: keys with scopes, and a limit on guessing.

A key is compared by its SHA-256 digest alone, so that neither its length nor its first letters
show in the time an answer takes. An address that has sent too many wrong keys is refused until its
window is over, except for keys that the same address used rightly before: somebody else's mistakes
behind the same proxy lock nobody out, and a guess still cannot be tested.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from palate.serving.problems import Forbidden, TooManyTries, Unauthorised

Scope = Literal["read", "write", "admin"]

_LEVEL: Mapping[str, int] = {"read": 1, "write": 2, "admin": 3}
_FRESH_SECONDS = 5.0
"""How long a key is believed after it was looked up: a key revoked elsewhere dies this soon."""
_REMEMBERED = 10_000

Headers = Iterable[tuple[bytes, bytes]]


@runtime_checkable
class VerifiesKeys(Protocol):
    """The part of a store that knows keys."""

    def verify(self, secret: str) -> "KnownKey | None":
        """Return the key of a secret, None where it is unknown or revoked."""
        ...


@runtime_checkable
class KnownKey(Protocol):
    """A key, without its secret."""

    @property
    def key_id(self) -> str:
        """What logs call it."""
        ...

    @property
    def scopes(self) -> frozenset[Scope]:
        """What it allows."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in."""

    key_id: str
    level: int
    until: float
    """When the key must be looked up again, on the monotonic clock."""


ANYBODY = Caller("open", _LEVEL["admin"], float("inf"))
"""Who calls a service that asks for no key."""


class Throttle:
    """Counts wrong keys per address in windows of a minute."""

    def __init__(
        self,
        *,
        tries: int = 10,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow so many wrong ``tries`` per ``seconds``."""
        self._tries, self._seconds, self._clock = tries, seconds, clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return the seconds for which the address is refused, 0 where it is not."""
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
    """Lets callers in by the key they show."""

    def __init__(
        self,
        keys: VerifiesKeys,
        *,
        first_key: str | None,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask ``keys`` about every key but the first; without a first key anybody is let in."""
        self._keys = keys
        self._first = None if first_key is None else _digest(first_key.encode())
        self._throttle = throttle or Throttle(clock=clock)
        self._clock = clock
        self._known: OrderedDict[tuple[str, bytes], Caller] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return self._first is None

    async def admit(self, headers: Headers, address: str, needed: Scope) -> Caller:
        """Return who calls.

        Args:
            headers: of the request, names in lower case.
            address: of the client.
            needed: the scope of the route.

        Raises:
            Unauthorised: without a key, or with a wrong one.
            Forbidden: when the key does not reach the scope, or a foreign page asks.
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
        """Look every key up again: one was revoked."""
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
        key = await asyncio.to_thread(self._keys.verify, secret.decode("utf-8", "replace"))
        if key is None:
            return None
        level = max((_LEVEL[scope] for scope in key.scopes), default=0)
        return Caller(key.key_id, level, until)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address to listen on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _secret(headers: Headers) -> bytes | None:
    """Return the key of a request; a bearer token is read too, as Prometheus sends one."""
    for name, value in headers:
        if name == b"x-api-key":
            return value
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return None


def _refuse_foreign_pages(headers: Headers) -> None:
    """Keep other sites, open in a browser on this machine, away from a service without keys."""
    found = dict(headers)
    host = found.get(b"host", b"localhost").decode("latin-1")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if not is_loopback(name.strip("[]").lower()):
        raise Forbidden(
            f"A service without keys answers this machine alone, not {host[:100]!r}.",
            hint="Set PALATE_API_KEY and start it again.",
        )
    origin = found.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != found.get(b"host"):
        raise Forbidden(
            "Another site's page may not use a service without keys.",
            hint="Set PALATE_API_KEY and start it again.",
        )


def _network(address: str) -> str:
    """Return the address, or for IPv6 its /64, which one client has to itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
