"""Tell what a job sees of its node and of the Hub; `batchspawner check` sends it as a tiny job.

Its source travels in the job script, for nothing of ours may be installed on the node. Standard
library of a Python >= 3.6.
"""

import contextlib
import glob
import http.client
import json
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional  # noqa: F401  (in a comment)
from urllib.parse import urlsplit

Facts = Dict[str, Any]

MARK = "BATCHSPAWNER-CHECK "
PATIENCE = 8.0
LIFE = 90.0

WANTED = ("jupyterhub", "batchspawner", "jupyterlab", "notebook", "jupyter_server")
VERSIONS = """
import json, sys
try:
    from importlib.metadata import version
except ImportError:
    from importlib_metadata import version
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except Exception:
        found[name] = ""
print(json.dumps(found))
"""


def main(wishes: Facts) -> None:
    """Find everything out, say it twice, and wait to be found by the Hub."""
    facts = look(wishes)
    listener, facts["port"], facts["port_error"] = listen(wishes.get("ports") or [])
    print(MARK + json.dumps(facts), flush=True)
    send(wishes.get("reply", ""), facts)
    if listener is not None:
        with listener:
            serve(listener, wishes["nonce"])


def look(wishes: Facts) -> Facts:
    """Return what can be seen from here; a part that fails is told as its error."""
    parts = {
        "host": socket.gethostname,
        "python": platform.python_version,
        "user": lambda: os.popen("id -un").read().strip(),  # noqa: S605
        "wrapper": lambda: found(wishes["wrapper"]),
        "server": lambda: found(wishes["server"]),
        "wrapper_error": lambda: cannot_run(found(wishes["wrapper"])),
        "path": lambda: os.environ.get("PATH", ""),
        "versions": lambda: versions(found(wishes["server"])),
        "home": look_at_home,
        "environment": lambda: sorted(name for name, value in os.environ.items() if value),
        "hub": lambda: reach(wishes["api_url"]),
        "seen": lambda: seen(wishes["secret"]),
    }  # type: Dict[str, Callable[[], Any]]
    facts = {}  # type: Facts
    for name, part in parts.items():
        try:
            facts[name] = part()
        except Exception as error:  # noqa: BLE001  (whatever it is, the Hub shall hear of it)
            facts[name] = None
            facts.setdefault("errors", {})[name] = "%s: %s" % (type(error).__name__, error)
    return facts


def found(program: str) -> str:
    """Return the path of a program, or nothing."""
    return shutil.which(program) or ""


def cannot_run(program: str) -> str:
    """Return why a program that is there cannot be run: its interpreter may not be."""
    if not program:
        return ""
    try:
        subprocess.run(
            [program, "--help"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except OSError as error:
        return error.strerror or str(error)
    return ""


def versions(server: str) -> Dict[str, str]:
    """Return the versions that the Python of a server's program has."""
    if not server:
        return {}
    with open(server, "rb") as file:
        first = file.readline(4096)
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if not words or "python" not in words[-1]:
        return {}
    said = subprocess.run(
        [*words, "-c", VERSIONS, *WANTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    return dict(json.loads(said.stdout.decode()))


def look_at_home() -> Facts:
    """Tell whether the home folder is here, whether we can write into it, and how much."""
    home = os.path.expanduser("~")
    told = {"path": home, "exists": os.path.isdir(home), "error": ""}  # type: Facts
    try:
        with tempfile.NamedTemporaryFile(dir=home, prefix=".batchspawner-check-"):
            told["free_mb"] = shutil.disk_usage(home).free >> 20
    except OSError as error:
        told["error"] = error.strerror or str(error)
    return told


def reach(url: str) -> Facts:
    """Tell how far one comes from here on the way to the Hub's API."""
    where = urlsplit(url)
    told = {"step": "name", "error": ""}  # type: Facts
    port = where.port or (443 if where.scheme == "https" else 80)
    try:
        address = socket.getaddrinfo(where.hostname, port, type=socket.SOCK_STREAM)[0][4][0]
        told.update(step="connect", address=address)
        began = time.time()
        with socket.create_connection((str(where.hostname), port), PATIENCE) as connected:
            told.update(step="answer", connect_seconds=time.time() - began)
            told["own_address"] = connected.getsockname()[0]
        if where.scheme == "http":
            ask(told, str(where.hostname), port, where.path)
        else:
            told.update(step="done")
    except (OSError, http.client.HTTPException) as error:
        told["error"] = str(error) or type(error).__name__
    return told


def ask(told: Facts, host: str, port: int, path: str) -> None:
    """Ask the Hub for its version, as anybody may."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with contextlib.closing(connection):
        began = time.time()
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(4096).decode(errors="replace")
        told.update(status=answer.status, answer_seconds=time.time() - began)
        try:
            told.update(step="done", version=json.loads(said)["version"])
        except (ValueError, KeyError, TypeError):
            told["error"] = "HTTP %d: %s" % (answer.status, said[:200])


def seen(secret: str) -> List[str]:
    """Tell where on this node everybody can read a word that travels like a token."""
    places = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            words = file.read().split(b"\0")
            if any(secret.encode() in word for word in words):
                places.append(" ".join(word.decode(errors="replace") for word in words)[:200])
    return places


def listen(ports: List[int]) -> Any:
    """Listen where a server would; return the socket, its port, and what went wrong."""
    first, last = ports or (0, 0)
    tries = [0] if not ports else random.sample(range(first, last + 1), min(200, last + 1 - first))
    said = ""
    for port in tries:
        listener = socket.socket()
        try:
            listener.bind(("", port))
            listener.listen(5)
        except OSError as error:
            listener.close()
            said = error.strerror or str(error)
        else:
            return listener, listener.getsockname()[1], ""
    return None, 0, said


def send(url: str, facts: Facts) -> None:
    """Tell the facts to whoever asked; where that does not work, they are in the log."""
    where = urlsplit(url)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", where.path, json.dumps(facts))
            connection.getresponse()


def serve(listener: socket.socket, nonce: str) -> None:
    """Answer the Hub, with the time that it is here, until it has heard enough."""
    end = time.time() + LIFE
    listener.settimeout(1)
    while time.time() < end:
        with contextlib.suppress(OSError):
            asker, _ = listener.accept()
            with asker:
                asker.settimeout(PATIENCE)
                text = asker.recv(4096).decode(errors="replace")
                if text.startswith("GET /%s" % nonce):
                    said = json.dumps({"time": time.time()})
                    head = "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said)
                    asker.sendall((head + said).encode())


def read_wishes(text: Optional[str] = None) -> Facts:
    """Return what is asked of this job, from the hexadecimal JSON of its first argument."""
    word = sys.argv[1] if text is None else text
    return dict(json.loads(bytes.fromhex(word).decode()))
