"""A JupyterHub on this machine whose servers are jobs of the embedded queue."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ..errors import BatchError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

USER = "demo"
NOTEBOOK = "welcome.ipynb"
QUEUE_SLOTS = 4
PROXY_PID_FILE = "proxy.pid"
_START_TIMEOUT_S = 60.0
"""Seconds that the Hub may take to answer."""
_STOP_TIMEOUT_S = 30.0
"""Seconds that the Hub may take to end its servers."""


class DemoError(Exception):
    """The demo cannot run; the text says why, and what to do."""


class Arguments(argparse.Namespace):
    """The command line of `batchspawner demo`."""

    port: int
    folder: Path


class Settings(TypedDict):
    """What the configuration of the Hub is made from."""

    port: int
    hub_port: int
    proxy_port: int
    folder: str
    proxy: str
    password: str
    user: str
    root: bool


class Job(TypedDict):
    """A job of the embedded queue, as its query prints it."""

    id: str


class Jobs(TypedDict, total=False):
    """What the query of the embedded queue prints."""

    jobs: list[Job]


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser of `batchspawner`."""
    parser = commands.add_parser(
        "demo", help="start a JupyterHub on this machine, without a scheduler and without root"
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the Hub (default: 8000)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".demo"),
        help="folder for the demo's files, removed at the end (default: .demo)",
    )
    parser.set_defaults(run=run)


def run(arguments: Arguments) -> int:
    """Run the demo until Ctrl-C, and clean up."""
    folder = arguments.folder.resolve()
    try:
        proxy = _find_proxy()
        _check_port(arguments.port)
        _make_folder(folder)
    except DemoError as error:
        print(f"batchspawner demo: {error}", file=sys.stderr)
        return 1
    # A terminal that is closed sends SIGHUP.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    _install_kernel(folder)
    password = secrets.token_urlsafe(6)
    print("Starting JupyterHub ...", flush=True)
    hub = _start_hub(folder, arguments.port, proxy, password)
    try:
        _wait_until_up(hub, arguments.port, folder)
        _greet(arguments.port, password, folder)
        hub.wait()
        raise DemoError(f"the Hub ended by itself. {_log_tail(folder)}")
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
        return 0
    except DemoError as error:
        print(f"batchspawner demo: {error}", file=sys.stderr)
        return 1
    finally:
        _clean_up(hub, folder)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _find_proxy() -> str:
    proxy = shutil.which("configurable-http-proxy", path=_path())
    if proxy is None:
        raise DemoError(
            "configurable-http-proxy is not installed. `make demo` installs it; by hand: "
            "npm install -g configurable-http-proxy"
        )
    return proxy


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            reason = "ports are numbers up to 65535"
        except PermissionError:
            reason = f"only root may use the ports below {_first_free_port()}"
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "another program uses it" if in_use else str(error.strerror)
        else:
            return
    other = port + 1 if _first_free_port() <= port < 65535 else 8000
    raise DemoError(
        f"port {port} cannot be used: {reason}. Choose another one: "
        f"batchspawner demo --port {other}, or make demo PORT={other}"
    )


def _first_free_port() -> int:
    """Return the first port that a user other than root may use."""
    # https://docs.kernel.org/networking/ip-sysctl.html
    file = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return int(file.read_text()) if file.exists() else 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        (folder / "notebooks").mkdir()
        example = files("batchspawner.cli").joinpath(NOTEBOOK)
        (folder / "notebooks" / NOTEBOOK).write_bytes(example.read_bytes())
    except FileExistsError as error:
        if (folder / "running").exists() and _is_running(int((folder / "running").read_text())):
            raise DemoError(
                f"a demo runs in {folder} already; stop it with Ctrl-C there"
            ) from error
        if not (folder / "running").exists():
            raise DemoError(
                f"{folder} exists and does not belong to a demo; choose --folder"
            ) from error
        shutil.rmtree(folder)
        _make_folder(folder)
    except OSError as error:
        raise DemoError(f"cannot make the folder {folder}: {error.strerror}") from error
    (folder / "running").write_text(str(os.getpid()))


def _install_kernel(folder: Path) -> None:
    """Make the kernel for JupyterLab's launcher that runs in a job of its own."""
    with contextlib.suppress(ImportError, BatchError):
        from ..kernels import kernelspecs

        title = "Python 3 (batch job)"
        settings = {"scheduler": "local", "nprocs": "1", "runtime": "1:00:00"}
        kernelspecs.install(
            "demo-job", "python3", settings, prefix=str(folder), display_name=title, replace=True
        )


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_hub(folder: Path, port: int, proxy: str, password: str) -> subprocess.Popen[bytes]:
    settings: Settings = {
        "port": port,
        "hub_port": _free_port(),
        "proxy_port": _free_port(),
        "folder": str(folder),
        "proxy": proxy,
        "password": password,
        "user": USER,
        "root": os.geteuid() == 0,
    }
    environment = {
        **os.environ,
        **_queue(folder),
        # The proxy may have to find a node that was installed beside it.
        "PATH": _path(),
        "BATCHSPAWNER_DEMO": json.dumps(settings),
    }
    config = files("batchspawner.cli").joinpath("demo_config.py")
    with (folder / "jupyterhub.log").open("wb") as log:
        # A session of its own: Ctrl-C goes to this process, which then stops the Hub properly.
        return subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _queue(folder: Path) -> dict[str, str]:
    return {
        "BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"),
        "BATCHSPAWNER_QUEUE_GRACE": "3",
        "BATCHSPAWNER_QUEUE_SLOTS": str(QUEUE_SLOTS),
    }


@lru_cache(maxsize=1)
def fill_the_queue_once() -> None:
    """Submit a job that takes the whole queue for a moment; the demo's Hub calls it."""
    options = ["--name=colleague", f"--slots={QUEUE_SLOTS}", "--walltime=1"]
    subprocess.run(
        [sys.executable, "-m", "batchspawner.localqueue", "submit", *options],
        input=b"#!/bin/sh\nsleep 15\n",
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _wait_until_up(hub: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    end = time.monotonic() + _START_TIMEOUT_S
    # A proxy in the environment is not for connections to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        if hub.poll() is not None:
            raise DemoError(f"the Hub did not start. {_log_tail(folder)}")
        try:
            with opener.open(f"http://127.0.0.1:{port}/hub/api", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise DemoError(f"the Hub did not answer within {_START_TIMEOUT_S:g} s. {_log_tail(folder)}")


def _log_tail(folder: Path) -> str:
    lines = (folder / "jupyterhub.log").read_text(errors="replace").splitlines()
    return "The end of its log:\n" + "\n".join(lines[-20:])


def _greet(port: int, password: str, folder: Path) -> None:
    print(
        f"\n  JupyterHub runs at   http://127.0.0.1:{port}\n"
        f"  Log in as            {USER}\n"
        f"  with the password    {password}\n\n"
        "Each server that you start there is a job of the embedded queue, run as you: whoever\n"
        "can log in can read and change your files. See docs/local-queue.md to let in others.\n"
        "The first server has to wait a moment: somebody else's job fills the queue.\n"
        f"As administrator:  http://127.0.0.1:{port}/hub/admin\n"
        f"See the jobs:  BATCHSPAWNER_QUEUE_DIR={folder / 'queue'} "
        f"{Path(sys.executable).parent / 'batchspawner-queue'} query\n"
        f"See the log:   tail -f {folder / 'jupyterhub.log'}\n"
        "Ctrl-C stops everything and removes it.",
        flush=True,
    )


def _clean_up(hub: subprocess.Popen[bytes], folder: Path) -> None:
    """End the Hub, its proxy and all jobs, and remove the folder."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if hub.poll() is None:
        hub.terminate()
    try:
        hub.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(hub.pid, signal.SIGKILL)
    _end_proxy(folder)
    _cancel_jobs(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _end_proxy(folder: Path) -> None:
    """End the proxy of a Hub that could not do it itself; it would keep the port."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        os.kill(int((folder / PROXY_PID_FILE).read_text()), signal.SIGTERM)


def _cancel_jobs(folder: Path) -> None:
    environment = {**os.environ, **_queue(folder)}
    queue = [sys.executable, "-m", "batchspawner.localqueue"]

    def call(*argv: str) -> str:
        done = subprocess.run(
            [*queue, *argv], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    if (folder / "queue").exists():
        listed: Jobs = json.loads(call("query") or "{}")
        jobs = [job["id"] for job in listed.get("jobs", ())]
        if jobs:
            call("cancel", *jobs)
            call("wait", "--timeout", "10", *jobs)
