"""One request over the wire and what came back, by the ``openai`` package.

The package signs, sends and names the errors. It is told not to retry: who counts what is spent
must know which tries may have been answered. What it would let pass is held here: the size of a
reply, the time until its last byte, redirects, plain HTTP, and keys in what people read.
"""

import ipaddress
import json
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from palate.errors import ConfigError, MissingExtraError
from palate.llm.endpoint.refusals import Lost, Refused, retry_after

if TYPE_CHECKING:
    import httpx2
    from openai import APIConnectionError, APIStatusError, OpenAI

MAX_BYTES = 4 * 2**20
"""More bytes of one reply are not read."""


@dataclass(frozen=True)
class Connection:
    """Where an endpoint is and how it is reached.

    Raises:
        ConfigError: when the URL cannot be used.
    """

    url: str
    """Up to the version: ``https://host/v1``."""
    key_variable: str = "PALATE_LLM_KEY"
    """The environment variable that holds the key; without it none is sent."""
    allow_plain_http: bool = False
    """Send prompts unencrypted to other machines too."""
    max_bytes: int = MAX_BYTES

    def __post_init__(self) -> None:
        """Refuse what would send prompts or keys where they do not belong."""
        check_url(self.url, allow_plain_http=self.allow_plain_http)

    def post(self, payload: Mapping[str, object], *, timeout: float) -> dict[str, object]:
        """Send a request for a completion and return the JSON that comes back.

        Args:
            payload: the body of the request.
            timeout: seconds until the last byte.

        Raises:
            Refused: when the endpoint answered that it will not, or could not be reached.
            Lost: when the request was sent and no whole answer came back.
            MissingExtraError: when the package ``openai`` is not installed.
        """
        client = self._client
        import httpx2
        import openai

        try:
            answer = client.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=payload,
                options={"timeout": timeout},
            )
            return _parsed(answer.text)
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except openai.APITimeoutError as error:
            raise self._broken(error, f"no answer within {timeout:.3g} s") from None
        except openai.APIConnectionError as error:
            raise self._broken(error, f"the line broke: {error.__cause__}") from None

    @cached_property
    def _client(self) -> "OpenAI":
        if find_spec("openai") is None:
            raise MissingExtraError("openai", "llm")
        import httpx2
        import openai

        http = httpx2.Client(
            # A proxy of the company has no business between this machine and itself.
            trust_env=not is_loopback(self.url),
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [_stamp], "response": [partial(_bound, self.max_bytes)]},
            limits=httpx2.Limits(max_connections=None, keepalive_expiry=30),
        )
        weakref.finalize(self, http.close)
        return openai.OpenAI(
            base_url=self.url,
            # The package would else take OPENAI_API_KEY, and send it to whoever is asked.
            api_key=self._key or "none",
            organization="",
            project="",
            max_retries=0,
            http_client=http,
        )

    @property
    def _key(self) -> str:
        return os.environ.get(self.key_variable, "")

    def _refused(self, error: "APIStatusError") -> Refused:
        body = error.body if isinstance(error.body, dict) else {}
        said = body.get("message") or body.get("detail") or error.response.text
        return Refused(
            error.status_code,
            self._without_key(str(said))[:300],
            retry_after=retry_after(error.response.headers),
            parameter=str(body.get("param") or ""),
            code=str(body.get("code") or ""),
        )

    def _broken(self, error: "APIConnectionError", words: str) -> Refused | Lost:
        import httpx2

        words = self._without_key(words)
        if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Refused(0, f"it cannot be reached: {words}")
        return Lost(words)

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def check_url(url: str, *, allow_plain_http: bool) -> None:
    """Check that prompts may be sent to a URL.

    Raises:
        ConfigError: when it is no address of HTTP, holds a name or a key, or is not encrypted.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{url!r} is not the URL of an endpoint.", hint="Write it as https://host/v1"
        )
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"The URL of the endpoint at {parts.hostname!r} holds a name, a password or a query.",
            hint="Put the key into the environment variable PALATE_LLM_KEY.",
        )
    if parts.scheme == "http" and not is_loopback(url) and not allow_plain_http:
        raise ConfigError(
            f"{url!r} would send prompts unencrypted to another machine.",
            hint="Use https, or allow plain HTTP if the network is yours alone.",
        )


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stamp(request: "httpx2.Request") -> None:
    request.extensions["palate_started"] = time.monotonic()


def _bound(max_bytes: int, response: "httpx2.Response") -> None:
    """Let the body of a response be read only as far as it is small and in time."""
    known = response.request.extensions
    seconds = known.get("timeout", {}).get("read") or float("inf")
    source = cast("httpx2.SyncByteStream", response.stream)
    response.stream = _bounded_stream(source, max_bytes, known["palate_started"] + seconds)


def _bounded_stream(
    source: "httpx2.SyncByteStream", max_bytes: int, deadline: float
) -> "httpx2.SyncByteStream":
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            read = 0
            for chunk in source:
                read += len(chunk)
                if read > max_bytes:
                    raise httpx2.ReadError(f"the reply is larger than {max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout("the reply takes too long")
                yield chunk

        def close(self) -> None:
            source.close()

    return Bounded()


def _parsed(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Lost("the reply is not whole JSON") from None
    if not isinstance(found, dict):
        raise Lost("the reply is not a JSON object")
    return found
