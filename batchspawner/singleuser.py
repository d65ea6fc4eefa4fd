"""Start a user's server inside a job: choose a port, report it to the Hub, become the server.

usage: batchspawner-singleuser COMMAND [ARGUMENT...]

It runs on compute nodes, so it needs nothing but the standard library of a Python >= 3.6, and it
also works as a single file that was copied there. It reads from the environment:

JUPYTERHUB_API_URL, JUPYTERHUB_API_TOKEN
    where to report, and the right to do so
JUPYTERHUB_SERVICE_URL
    where the server is to listen; a port 0 in it is replaced by the port that was chosen
JUPYTERHUB_SSL_KEYFILE, JUPYTERHUB_SSL_CERTFILE, JUPYTERHUB_SSL_CLIENT_CA
    certificates, for a Hub with internal_ssl
BATCHSPAWNER_PORT_RANGE
    first and last port that may be chosen, such as 9000-9999
BATCHSPAWNER_REPORT_TIMEOUT
    seconds after which it gives up trying to reach the Hub (300)
"""

import contextlib
import http.client
import json
import os
import random
import socket
import sys
import time
from typing import List, NoReturn, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

# Exit statuses of https://man.openbsd.org/sysexits
EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_TEMPFAIL = 75
EX_CONFIG = 78

TRY_TIMEOUT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
SECONDS_BETWEEN_COMPLAINTS = 30.0

MEANINGS = {
    401: "The token is no longer valid: the server was stopped, or the Hub has forgotten it.",
    403: "The token is no longer valid: the server was stopped, or the Hub has forgotten it.",
    404: "The Hub has no handler for this: `import batchspawner` in jupyterhub_config.py.",
}


class Failure(Exception):
    """End with a message for the job's log and an exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """Report a try that failed in a way that the next one may not."""


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line; it only returns where the server could not be started."""
    command = sys.argv[1:] if argv is None else argv
    if not command:
        print("usage: batchspawner-singleuser COMMAND [ARGUMENT...]", file=sys.stderr)
        return EX_USAGE
    if command[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        command = announce(command, os.environ)
        become(command)
    except Failure as failure:
        complain(str(failure))
        return failure.status


def announce(command: List[str], env: "os._Environ[str]") -> List[str]:
    """Choose a port, report it, and return the command with all that it must know."""
    forget_foreign_folders(env)
    service_url = env.get("JUPYTERHUB_SERVICE_URL", "")
    where = urlsplit(service_url)
    if where.scheme.startswith("http+unix"):
        return command
    host = listen_host(where)
    fixed = where.port or 0
    held, port = hold_port(host, [fixed] if fixed else candidates(env))
    try:
        report(port, env)
    finally:
        # Held until now, so that nobody else took it while the Hub was told.
        held.close()
    if not service_url:
        # JupyterHub < 2 says it on the command line.
        return [*command, f"--port={port}"]
    env["JUPYTERHUB_SERVICE_URL"] = with_port(where, host, port)
    return command


def become(command: List[str]) -> NoReturn:
    """Replace this process by the server."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        raise Failure(
            f"{command[0]} is not found on this node. PATH is {os.environ.get('PATH', '')}. "
            "Set the full path in c.Spawner.cmd, or load its environment in req_prologue.",
            127,
        ) from None
    except OSError as error:
        raise Failure(f"{command[0]} cannot be started: {error.strerror}", 126) from None


def forget_foreign_folders(env: "os._Environ[str]") -> None:
    """Drop a runtime folder that belongs to the login host and does not exist here."""
    folder = env.get("XDG_RUNTIME_DIR")
    if folder and not os.access(folder, os.W_OK | os.X_OK):
        del env["XDG_RUNTIME_DIR"]


# Where the server listens.


def listen_host(where: SplitResult) -> str:
    """Return the address on which the server will listen; empty for all."""
    host = where.hostname or ""
    # JupyterHub >= 5.3 writes an `ip` of '' so.
    return "" if host.lower() == "none" else host


def with_port(where: SplitResult, host: str, port: int) -> str:
    """Return the URL with another port; the address stays as it was written."""
    # The server reads an empty host as "this machine only".
    shown = host or "0.0.0.0"
    netloc = f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
    return where._replace(netloc=netloc).geturl()


def candidates(env: "os._Environ[str]") -> List[int]:
    """Return the ports to try, in random order, so that two jobs on a node rarely meet."""
    text = env.get("BATCHSPAWNER_PORT_RANGE", "")
    if text:
        first, last = read_range(text)
        return random.sample(range(first, last + 1), last - first + 1)
    # Below the ports that the kernel gives to outgoing connections: one of those could take a
    # port between our closing it and the server's opening it.
    low, high = 10000, ephemeral_start()
    chosen = random.sample(range(low, high), 50) if high - low >= 1000 else []
    return [*chosen, 0]


def read_range(text: str) -> Tuple[int, int]:
    """Read ``9000-9999``."""
    first, dash, last = text.partition("-")
    if not (dash and first.strip().isdigit() and last.strip().isdigit()):
        raise Failure(f"BATCHSPAWNER_PORT_RANGE is {text!r}, not like 9000-9999", EX_CONFIG)
    if not 1 <= int(first) <= int(last) <= 65535:
        raise Failure(f"BATCHSPAWNER_PORT_RANGE {text!r} is no range of ports", EX_CONFIG)
    return int(first), int(last)


def ephemeral_start() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


def hold_port(host: str, ports: List[int]) -> Tuple[socket.socket, int]:
    """Bind the first free port and return the socket with its number."""
    error = None  # type: Optional[OSError]
    for family, address in families(host):
        for port in ports:
            held = socket.socket(family, socket.SOCK_STREAM)
            # As the server itself will do: an old connection on the port does not matter.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind((address, port))
            except OSError as problem:
                held.close()
                error = problem
            else:
                return held, int(held.getsockname()[1])
    tried = f"{min(ports)}" if len(ports) == 1 else f"{min(ports)} to {max(ports)}"
    raise Failure(
        f"no port is free on {host or 'this node'}; tried {tried}: {error}", EX_UNAVAILABLE
    )


def families(host: str) -> List[Tuple[socket.AddressFamily, str]]:
    """Return the address families to bind, with the address in each."""
    if not host:
        return [(socket.AF_INET, "")]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Failure(f"cannot listen on {host!r}: {error}", EX_CONFIG) from None
    return [(family, str(address[0])) for family, _, _, _, address in found]


# The report.


def report(port: int, env: "os._Environ[str]") -> None:
    """Tell the Hub the port, trying again as long as that may help."""
    url, token = env.get("JUPYTERHUB_API_URL", ""), env.get("JUPYTERHUB_API_TOKEN", "")
    if not (url and token):
        raise Failure(
            "JUPYTERHUB_API_URL and JUPYTERHUB_API_TOKEN are not both set in this job. "
            "The job script must keep the Hub's environment (keepvars).",
            EX_CONFIG,
        )
    patience = read_patience(env)
    end, pause, complained = time.monotonic() + patience, FIRST_PAUSE, 0.0
    while True:
        try:
            return post(url, token, port, env)
        except Unreachable as error:
            now = time.monotonic()
            if now + pause > end:
                raise Failure(
                    f"cannot reach the Hub at {url}: {error}. Tried for {patience:g} s. Check that "
                    "this node can connect there: c.JupyterHub.hub_bind_url and "
                    "hub_connect_url, and the firewall.",
                    EX_TEMPFAIL,
                ) from None
            if not complained or now - complained > SECONDS_BETWEEN_COMPLAINTS:
                complained = now
                until = time.strftime("%H:%M:%S", time.localtime(time.time() + end - now))
                complain(f"cannot reach the Hub at {url}: {error}; trying again until {until}")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, LONGEST_PAUSE)


def read_patience(env: "os._Environ[str]") -> float:
    """Return for how many seconds to try to reach the Hub."""
    text = env.get("BATCHSPAWNER_REPORT_TIMEOUT", "300")
    try:
        return float(text)
    except ValueError:
        raise Failure(
            f"BATCHSPAWNER_REPORT_TIMEOUT is {text!r}, no number of seconds", EX_CONFIG
        ) from None


def post(url: str, token: str, port: int, env: "os._Environ[str]") -> None:
    """Report once. Raises Unreachable where another try may help, else Failure."""
    where = urlsplit(url)
    # Not through a proxy of the environment: the Hub is near, and the token is for it alone.
    connection = connect(where, env)
    try:
        connection.connect()
        body = {"port": port, "host": connection.sock.getsockname()[0]}
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        path = f"{where.path.rstrip('/')}/batchspawner"
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read(10000)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(str(error) or type(error).__name__) from None
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return
    text = f"the Hub at {url} answered {answer.status} {answer.reason}: {message_in(said)}"
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(text)
    raise Failure(f"{text}. {MEANINGS.get(answer.status, '')}".strip(), EX_UNAVAILABLE)


def connect(where: SplitResult, env: "os._Environ[str]") -> http.client.HTTPConnection:
    """Return the connection to the Hub, not opened yet."""
    host = where.hostname or "127.0.0.1"
    if where.scheme != "https":
        return http.client.HTTPConnection(host, where.port, timeout=TRY_TIMEOUT)
    import ssl

    context = ssl.create_default_context(cafile=env.get("JUPYTERHUB_SSL_CLIENT_CA") or None)
    certificate, key = env.get("JUPYTERHUB_SSL_CERTFILE"), env.get("JUPYTERHUB_SSL_KEYFILE")
    if certificate and key:
        context.load_cert_chain(certificate, key)
    return http.client.HTTPSConnection(host, where.port, timeout=TRY_TIMEOUT, context=context)


def message_in(said: bytes) -> str:
    """Return the message in an error answer of the Hub."""
    text = said.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return " ".join(text.split())[:300]


def complain(message: str) -> None:
    """Write a line for the job's log."""
    print(f"batchspawner-singleuser: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
