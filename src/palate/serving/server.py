"""Runs the application with uvicorn, with deadlines for slow clients and logs as JSON lines."""

import gc
import os
import sys

import uvicorn

from palate.serving.app import ServeSettings, create_app
from palate.serving.protocol import PatientProtocol
from palate.serving.startup import check_port
from palate.serving.telemetry import log_as_json, trace

_GRACE_SECONDS = 20
_KEEP_ALIVE_SECONDS = 15
_SWITCH_SECONDS = 0.001
"""How long a background thread may block the event loop; Python's default is 0.005."""


def serve(settings: ServeSettings) -> None:
    """Serve until stopped; requests in flight are finished.

    Raises:
        ArtifactError: when a model folder is damaged.
        ConfigError: when the settings cannot be used, or the port is in use.
    """
    log_as_json()
    check_port(settings.host, settings.port)
    app = create_app(settings)
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "none")
    if exporter != "none":
        trace(app, exporter)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # The objects loaded so far live as long as the process. Frozen, they are not searched for
    # garbage, which would stop all answers for a quarter of a second each time.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=PatientProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    uvicorn.Server(config).run()
