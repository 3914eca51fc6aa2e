"""What the benchmarks of the service share: a server of its own process, and plain HTTP to it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY = "bench-key-0123456789abcdef"
_READY_SECONDS = 300.0


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """Return the body, which is an object."""
        found: dict[str, object] = json.loads(self.body)
        return found


class Client:
    """One connection, opened again when it breaks."""

    def __init__(self, port: int, *, key: str | None = KEY, timeout: float = 30.0) -> None:
        """Connect with the first request."""
        self._port, self._timeout = port, timeout
        self._headers = {} if key is None else {"X-API-Key": key}
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request; OSError or HTTPException when the server does not answer."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {**self._headers, **(headers or {})}
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=self._timeout
            )
        try:
            self._connection.request(method, path, body=raw, headers=sent)
            response = self._connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        """Leave no socket open."""
        self.close()


@dataclass
class Server:
    """A really started server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def client(self, **options: object) -> Client:
        """Return a client of it."""
        return Client(self.port, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def cpu_seconds(self) -> float:
        """Return the processor time it has used, all threads together."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat")
            .read_text(encoding="utf-8")
            .rpartition(")")[2]
            .split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return what it holds in memory now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(x for x in lines if x.startswith("VmRSS")).split()[1]) / 1024


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def start(command: list[str], port: int, log: Path, *, threads: int = 1) -> Server:
    """Start a server and return when it is ready."""
    environment = dict(os.environ, PALATE_API_KEY=KEY)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads)
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    server = Server(process, port, log)
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"The server did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")
        try:
            if Client(port, timeout=2).ask("GET", "/health/ready").status == 200:
                return server
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    process.kill()
    sys.exit("The server was not ready in time.")


def start_palate(model: Path, db: str, log: Path, *, port: int | None = None) -> Server:
    """Start `palate serve`."""
    port = port or free_port()
    palate = str(Path(sys.executable).with_name("palate"))
    return start([palate, "serve", str(model), "--db", db, "--port", str(port)], port, log)


@contextmanager
def palate_server(model: Path, *, db: str | None = None) -> Iterator[Server]:
    """Serve a model with a store of its own, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="palate-bench-") as folder:
        place = Path(folder)
        server = start_palate(model, db or f"sqlite:///{place}/palate.db", place / "log")
        try:
            yield server
        finally:
            server.process.terminate()
            server.process.wait(timeout=60)


def small_model(folder: Path) -> Path:
    """Return a small trained model, made on the first call."""
    if (folder / "manifest.json").is_file():
        return folder
    from palate.recommender.recommender import Recommender
    from palate.simulation.world import World
    from palate.training.recipe import load_recipe

    shop = World(num_users=300, num_items=200, events_per_user=10, seed=5).dataset()
    recipe = load_recipe("urm-small", ["training.epochs=2"])
    Recommender.train(shop, recipe, seed=1).save(folder, made_by="bench")
    return folder
