"""Starts the service; settings are checked before anything is created."""

import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from palate.errors import ConfigError
from palate.inference.engine import Device, choose_device
from palate.serving.auth import Gate
from palate.serving.limits import Limits
from palate.serving.pool import load_engine
from palate.serving.retention import DAYS_KEPT
from palate.serving.service import Service
from palate.serving.store import Store
from palate.serving.store.database import check_address
from palate.serving.telemetry import Metrics


def open_service(
    models: Mapping[Path, float],
    db: str,
    *,
    first_key: str | None = None,
    limits: Limits | None = None,
    days_kept: float = DAYS_KEPT,
    device: Device | None = None,
) -> Service:
    """Return a service over model folders, each with its share of the traffic, and a store.

    The address of the store is checked first and the models are loaded next, so that a typing error
    is reported at once, and a model that cannot be served leaves no new database behind.
    Every model is loaded onto ``device``, also one that is loaded later; None means a GPU if there
    is one.

    Raises:
        ArtifactError: when a model folder is damaged.
        ConfigError: when the store cannot be used.
    """
    check_address(db)
    load = partial(load_engine, device=device or choose_device())
    loaded = [(load(folder), folder, share) for folder, share in models.items()]
    store = Store.open(db)
    service = Service(
        store,
        gate=Gate(store.keys.verify, first_key=first_key),
        metrics=Metrics(),
        limits=limits or Limits(),
        days_kept=days_kept,
        load=load,
    )
    for engine, folder, share in loaded:
        service.pool.add(engine, folder, share)
    return service


def check_port(host: str, port: int) -> None:
    """Check, before the models are loaded, that the service can listen there.

    Raises:
        ConfigError: when the port is in use, or the address does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        number = error.errno or 0  # negative if the name was not found
        why = os.strerror(number) if number > 0 else str(error.strerror)
        raise ConfigError(
            f"Nothing can listen on {host} at port {port}: {why.lower()}.",
            hint="Choose another port with --port, or stop what listens there.",
        ) from error
