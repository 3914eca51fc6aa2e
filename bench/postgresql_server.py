"""A PostgreSQL server of one's own for tests and benchmarks, from Debian's packages.

It lives in a temporary folder, listens on a socket in that folder alone, and ends with the block
that started it. Where the programs are missing they are installed, if we are root and may.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

INSTALLED = Path("/usr/lib/postgresql")
USER = "palate"


class NoPostgresqlError(Exception):
    """There is no server here and none can be made; the message says why."""


@contextmanager
def postgresql(*, durable: bool = True, parent: Path | None = None) -> Iterator[str]:
    """Start a server and give the address of an empty database.

    Without ``durable`` the server does not flush its disk: faster, for tests that pull no plug.

    Raises:
        NoPostgresqlError: when no server can be started.
    """
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="palate-postgresql-", dir=parent))
    try:
        if _owner():
            shutil.chown(folder, *_owner().values())
        folder.chmod(0o755)
        _make_cluster(programs, folder)
        server = _start(programs, folder, durable=durable)
        try:
            yield _wait_for(server, folder)
        finally:
            server.send_signal(signal.SIGINT)  # end now, in good order
            server.wait(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def empty_database(address: str, name: str) -> Iterator[str]:
    """Make a database beside the one at ``address``, and remove it."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield address.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def find_programs() -> Path:
    """Return the folder of the server's programs, newest version first; install them if missing.

    Raises:
        NoPostgresqlError: when they are missing and cannot be installed.
    """
    found = _installed()
    if found is None:
        _install()
        found = _installed()
    if found is None:
        raise NoPostgresqlError(f"the package was installed, but {INSTALLED} holds no server")
    return found


def _installed() -> Path | None:
    found = [path.parent for path in INSTALLED.glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def _install() -> None:
    if shutil.which("apt-get") is None:
        raise NoPostgresqlError(f"no PostgreSQL in {INSTALLED}, and no apt-get to install it with")
    if os.geteuid() != 0:
        raise NoPostgresqlError(
            f"no PostgreSQL in {INSTALLED}; install it as root with: apt-get install postgresql"
        )
    # Another process may be doing the same.
    wait = ("-o", "DPkg::Lock::Timeout=180")
    install = ["apt-get", *wait, "install", "-y", "--no-install-recommends", "postgresql"]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = None
    for command in (install, ["apt-get", *wait, "update"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode == 0 and command is install:
            return
    assert done is not None
    said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
    raise NoPostgresqlError(f"apt-get install postgresql failed: {said[-1]}")


def _owner() -> dict[str, str]:
    """Return whom the server must run as: it refuses to be root."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


def _make_cluster(programs: Path, folder: Path) -> None:
    command = [programs / "initdb", "--pgdata", folder / "data", "--username", USER]
    command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, **_owner()
    )
    if done.returncode:
        raise NoPostgresqlError(f"initdb failed: {done.stderr.strip()}")


def _start(programs: Path, folder: Path, *, durable: bool) -> "subprocess.Popen[bytes]":
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", ""]
    if not durable:
        command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **_owner())


def _wait_for(server: "subprocess.Popen[bytes]", folder: Path) -> str:
    address = f"postgresql://{USER}@/postgres?host={folder}"
    patience = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > patience:
                log = (folder / "log").read_text(errors="replace", encoding="utf-8").strip()
                raise NoPostgresqlError(f"the server did not start: {log or error}") from error
            time.sleep(0.05)
        else:
            return address
