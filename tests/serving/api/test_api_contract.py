"""No input makes a 5xx: schemathesis tries what the OpenAPI document allows, and not."""

import asyncio
from collections.abc import Callable

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance

from palate.serving.recorder import Recorder

KEY = {"X-API-Key": "the-first-key"}
STREAM = "/v1/operator/events"
TRIES = 4
"""For each route, each way of making a request."""


@pytest.mark.slow
# Schemathesis draws some of its values by the random module; nothing here needs them repeated.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_no_input_makes_a_5xx(
    make_client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each request runs in a loop of its own, and a lock belongs to one: the work in the background,
    # which is in that of the application, must not take it meanwhile.
    monkeypatch.setattr("palate.serving.service._FOLLOW_SECONDS", 3_600.0)
    monkeypatch.setattr(Recorder, "run", lambda _: asyncio.sleep(3_600.0))
    client = make_client()
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app).exclude(path=STREAM)
    tried = 0
    for found in schema.get_all_operations():
        tried += 1
        _try(found.ok())
    assert tried > 25


def _try(operation: schemathesis.APIOperation) -> None:
    either = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @settings(
        max_examples=TRIES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        derandomize=True,
        database=None,
    )
    @given(case=either)
    def tried(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=KEY, checks=[not_a_server_error, content_type_conformance])

    tried()
