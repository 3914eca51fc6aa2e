"""Set up ``.venv`` for this project with the standard library alone: ``python3 bootstrap.py``.

What it does, in order; a second run finds the stamp and does nothing:

1. makes ``.venv`` with Python 3.11 or newer;
2. installs ``uv`` into it, and stays with pip where uv cannot be had;
3. installs the pinned torch first, so that nothing else can pull another one: the CUDA build where
   ``nvidia-smi -L`` answers, else the CPU build (``TORCH_BUILD=cpu`` or ``cuda`` decides by hand);
4. installs the package, editable, with what its tests need, held by ``constraints.txt``.

Indexes and link folders come from pip's own configuration; none is written into this project.
``--browser`` also installs Debian's chromium for the browser tests, where that is possible;
``--constraints`` rewrites ``constraints.txt``. ``PALATE_INSTALLER=pip`` forbids uv, and
``PALATE_EXTRAS=test,minilm`` chooses the extras.
"""

import ast
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / ("python.exe" if os.name == "nt" else "python"))
UV = str(BIN / ("uv.exe" if os.name == "nt" else "uv"))
STAMP = VENV / ".palate-stamp"
CONSTRAINTS = ROOT / "constraints.txt"
TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LOWEST = (3, 11)
APT_SECONDS = 240
"""How long apt-get may take, and how long another one is waited for."""
APT_PAUSE = 5.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Do what the command line asks for, or say in one sentence why it cannot be done."""
    os.chdir(ROOT)
    if sys.version_info < LOWEST:
        _continue_with_newer_python()
    try:
        if "--constraints" in sys.argv:
            write_constraints()
            return
        set_up()
        if "--browser" in sys.argv:
            install_browser()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: this command failed: {' '.join(error.cmd)}\nhint: see the lines above.")


def set_up() -> None:
    """Bring ``.venv`` to the state that this checkout asks for."""
    stamp = _wanted_stamp()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == stamp and os.path.exists(PYTHON):
        return
    print("Setting up .venv (once; a minute or two) ...", flush=True)
    _make_venv()
    install = [*find_installer(), "-c", str(CONSTRAINTS)]
    _install_torch(install)
    _run([*install, "-e", f".[{_extras()}]"])
    STAMP.write_text(stamp, encoding="utf-8")
    print(f"Set up: Python {platform.python_version()}, {torch_requirement()}.", flush=True)


def torch_requirement() -> str:
    """Return the requirement that only the right build of torch for this machine can meet."""
    build = os.environ.get("TORCH_BUILD") or ("cuda" if _has_gpu() else "cpu")
    if build == "cuda":
        # The exclusion keeps a CPU wheel in a link folder from being taken for the CUDA build.
        return f"torch=={TORCH},!={TORCH}+cpu"
    if sys.platform == "linux" and platform.machine() == "x86_64":
        return f"torch=={TORCH}+cpu"
    return f"torch=={TORCH}"  # elsewhere the registry's own build is the CPU build


def find_installer() -> list[str]:
    """Return the start of an install command: uv's where it can be had, else pip's."""
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq", "install"]
    if os.environ.get("PALATE_INSTALLER") == "pip":
        return pip
    if not os.path.exists(UV) and _fails([*pip, "uv"]):
        print("uv cannot be had here; going on with pip (slower).", flush=True)
        return pip
    _tell_uv_what_pip_knows()
    # As pip does by itself: where Python may keep no compiled code, every start would compile anew.
    return [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", PYTHON]


def write_constraints() -> None:
    """Resolve every extra anew and write ``constraints.txt``: names and versions, nothing else."""
    _make_venv()
    if find_installer()[0] != UV:
        sys.exit("error: constraints.txt is written by uv, and uv cannot be had here.")
    pin = VENV / "torch-pin.txt"
    pin.write_text(f"torch=={TORCH}\n", encoding="utf-8")
    options = ["--all-extras", "--no-annotate", "--no-header", "--python", PYTHON, "-c", str(pin)]
    command = [UV, "pip", "compile", "--quiet", *options, "pyproject.toml"]
    resolved = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    pins = re.findall(r"^([\w.-]+==[\w.!]+)", resolved, flags=re.MULTILINE)
    CONSTRAINTS.write_text("\n".join(pins) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len(pins)} versions.")


def install_browser() -> None:
    """Install Debian's chromium where it is missing and apt-get may be used; else say why not.

    It is tried once: the reason is kept, and told again by later runs. Where another apt-get was in
    the way all the time, the next run tries again.
    """
    kept = VENV / ".browser-asked"
    if _has_browser():
        return
    reason = kept.read_text(encoding="utf-8") if kept.exists() else _try_browser()
    if _has_browser():
        return
    reason = reason or "it could not be installed"
    print(
        f"No chromium: browser tests will be skipped ({reason}).\nhint: apt-get install chromium",
        flush=True,
    )
    if not _is_locked(reason):
        kept.write_text(reason, encoding="utf-8")


def _try_browser() -> str:
    """Install chromium by apt-get and return why that did not work; empty where it did."""
    if not shutil.which("apt-get"):
        return "there is no apt-get here"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root may install packages"
    print("Installing chromium for the browser tests (once) ...", flush=True)
    install = ("install", "-y", "-qq", "--no-install-recommends", "chromium")
    return _apt_get("update", "-qq") or _apt_get(*install)


def _make_venv() -> None:
    """Make ``.venv``, or make it again where its interpreter no longer runs."""
    if os.path.exists(PYTHON) and not _fails([PYTHON, "-m", "pip", "--version"]):
        return
    if _fails([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        sys.exit(
            "error: Python cannot make a virtual environment here.\n"
            "hint: on Debian and Ubuntu: apt-get install python3-venv"
        )


def _install_torch(install: list[str]) -> None:
    """Install the pinned torch from what pip knows, else from the index of CPU builds."""
    wanted = torch_requirement()
    if not wanted.endswith("+cpu"):
        _run([*install, wanted])
    elif _fails([*install, wanted]):
        _run([*install, wanted, "--extra-index-url", TORCH_CPU_INDEX])


def _tell_uv_what_pip_knows() -> None:
    """Hand pip's indexes, link folders and certificates to uv, which reads none of pip's settings.

    uv's own variables win where they are set. As with pip, the best of all indexes is taken.
    """
    configured = _pip_configuration()
    for theirs, ours in (
        ("find-links", "UV_FIND_LINKS"),
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("cert", "SSL_CERT_FILE"),
    ):
        if theirs in configured:
            separator = "," if ours == "UV_FIND_LINKS" else " "
            os.environ.setdefault(ours, separator.join(configured[theirs]))
    os.environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")


def _pip_configuration() -> dict[str, list[str]]:
    """Return pip's settings as lists of words; the environment wins over the files."""
    command = [PYTHON, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    settings = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        if value.startswith(("'", '"')):
            settings[name.rpartition(".")[2]] = ast.literal_eval(value).split()
    return settings


def _wanted_stamp() -> str:
    """Return the hash of everything that decides what ``.venv`` holds."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    # A copied or moved folder needs an environment of its own, hence the path.
    parts += [part.encode() for part in (torch_requirement(), _extras(), str(ROOT))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _extras() -> str:
    return os.environ.get("PALATE_EXTRAS", "test")


def _has_gpu() -> bool:
    """Tell whether an NVIDIA driver answers and lists a card."""
    if not shutil.which("nvidia-smi"):
        return False
    asked = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return asked.returncode == 0 and b"GPU" in asked.stdout


def _has_browser() -> bool:
    return any(shutil.which(name) for name in BROWSERS)


def _continue_with_newer_python() -> None:
    """Start again under a newer interpreter of this machine, or say that there is none."""
    for minor in range(20, LOWEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and not _fails([found, "--version"]):
            os.execv(found, [found, *sys.argv])
    sys.exit(
        f"error: Python 3.11 or newer is needed; this is {platform.python_version()}.\n"
        "hint: install one, then: make setup PYTHON=/path/to/python3.11"
    )


def _apt_get(*arguments: str) -> str:
    """Run apt-get without a question and return what went wrong; wait for another one to end."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    # apt waits for the lock of dpkg by itself, but not for those of its lists and archives.
    command = ["apt-get", "-o", f"DPkg::Lock::Timeout={APT_SECONDS}", *arguments]
    until = time.monotonic() + APT_SECONDS
    told = False
    while True:
        reason = _why_failed(command, environment, seconds=APT_SECONDS)
        if not _is_locked(reason) or time.monotonic() > until:
            return reason
        if not told:
            print("Another apt-get is at work: waiting for it ...", flush=True)
        told = True
        time.sleep(APT_PAUSE)


def _why_failed(command: list[str], environment: dict[str, str], *, seconds: int) -> str:
    """Run a command and return its last error in one line; empty where there was none."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, timeout=seconds, stdin=null, stdout=null, stderr=pipe, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} took longer than {seconds} s"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    if done.returncode == 0:
        return ""
    return (errors or lines or [f"{command[0]} ended with {done.returncode}"])[0]


def _is_locked(reason: str) -> bool:
    return "lock" in reason.lower()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _fails(command: list[str], *, seconds: int = 3600) -> bool:
    """Run a command in silence and tell whether it failed."""
    null = subprocess.DEVNULL
    done = subprocess.run(command, timeout=seconds, stdin=null, stdout=null, stderr=null)
    return done.returncode != 0


if __name__ == "__main__":
    main()
