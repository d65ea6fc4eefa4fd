"""Start a user's server inside a job: choose a port, report it to the Hub, become the server.

usage: batchspawner-singleuser COMMAND [ARGUMENT...]

It runs on compute nodes, so it needs nothing but the standard library of a Python >= 3.6, and it
also works as a single file that was copied there. It reads from the environment:

JUPYTERHUB_API_URL, JUPYTERHUB_API_TOKEN
    where to report, and the right to do so: a token, or a code for a single use, for which the Hub
    returns all that is secret in the server's environment
BATCHSPAWNER_PRIVATE_FILE
    a file with more variables, in JSON, if the token or the code must not be in the environment
BATCHSPAWNER_NEXT_CODE_FILE
    where to store the code for the next run of this job, should it be requeued
BATCHSPAWNER_JOB_ID_VARIABLE
    the name of the variable in which the scheduler says which job this is
BATCHSPAWNER_CERTIFICATES
    certificates, which it writes into ~/.batchspawner, for a Hub with internal_ssl
JUPYTERHUB_SERVICE_URL
    where the server listens; a port 0 in it is replaced by the port that was chosen
JUPYTERHUB_SSL_KEYFILE, JUPYTERHUB_SSL_CERTFILE, JUPYTERHUB_SSL_CLIENT_CA
    the paths of certificates that are there already, for a Hub with internal_ssl
BATCHSPAWNER_PORT_RANGE
    first and last port that may be chosen, such as 9000-9999
BATCHSPAWNER_CONFIRM
    1 if the Hub wants a second report when the server, and nobody else, has opened its port
BATCHSPAWNER_REPORT_TIMEOUT
    seconds after which it stops trying to reach the Hub (300)
BATCHSPAWNER_JOB_LIMITS
    in which variables, or lines of a file, the scheduler says how much memory and how many cores
    the job has, in JSON; MEM_LIMIT and CPU_LIMIT are then set from it
BATCHSPAWNER_LOG_DAYS
    days after which the logs of earlier jobs are removed from the home (30); 0 keeps them
JOB_RUN_TIME
    how many minutes the job may run; JOB_START_TIME is then set, too
"""

import binascii
import contextlib
import errno
import functools
import http.client
import json
import os
import random
import re
import signal
import socket
import stat
import sys
import time
from typing import Callable, Dict, List, MutableMapping, NoReturn, Optional, Set, Tuple, Union
from urllib.parse import SplitResult, urlsplit

Environment = MutableMapping[str, str]
Body = Dict[str, Union[int, str]]
Address = Tuple[socket.AddressFamily, str]

# Exit statuses of https://man.openbsd.org/sysexits
EX_UNAVAILABLE = 69
EX_OSERR = 71
EX_TEMPFAIL = 75
EX_CONFIG = 78

REQUEST_TIMEOUT_S = 10.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.2, 10.0
COMPLAINT_INTERVAL_S = 30.0

MAX_ANSWER_BYTES = 1000000

LISTENERS, TCP_LISTEN = ("/proc/net/tcp", "/proc/net/tcp6"), "0A"
FIRST_PORT_CHECK_S = 0.05

CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-[0-9]+\Z")

NO_LONGER_VALID = (
    "The token or code is no longer valid: the server was stopped, or the Hub forgot it."
)
MEANINGS = {
    302: "Redirects are not followed: check c.JupyterHub.hub_connect_url.",
    401: NO_LONGER_VALID,
    403: NO_LONGER_VALID,
    404: "The Hub has no handler for this: `import batchspawner` in jupyterhub_config.py.",
}


# The logs that have the id of their job in their name: ours, and that of batchspawner 1.x.
OLD_LOG = re.compile(r"(\.jupyterhub\.[a-z]+\.[0-9]+\.(log|out)|jupyterhub_[a-z]+_[0-9]+\.log)\Z")
LOG_DAYS = 30.0


class Failure(Exception):
    """The server cannot be started; carries a message for the job's log and an exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """The Hub could not be reached this time; the next attempt may succeed."""


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line; return an exit status only if the server could not be started."""
    command = sys.argv[1:] if argv is None else argv
    if not command:
        print("usage: batchspawner-singleuser COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    if command[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if os.environ.get("JOB_RUN_TIME"):
        os.environ.setdefault("JOB_START_TIME", str(int(time.time())))
    try:
        command = announce(command, os.environ)
        add_limits(os.environ)
        remove_old_logs(os.environ)
        become(command)
    except Failure as failure:
        complain(str(failure))
        return failure.status


def announce(command: List[str], env: Environment) -> List[str]:
    """Choose a port, report it, and return the command, with the port in it if need be.

    `env` gets what the server needs. Raises Failure.
    """
    forget_foreign_folders(env)
    unpack(env)
    unpack_certificates(env)
    service_url = env.get("JUPYTERHUB_SERVICE_URL", "")
    where = urlsplit(service_url)
    if where.scheme.startswith("http+unix"):
        return command
    host, fixed = read_place(where)
    held, port = hold_port(host, fixed, env)
    # Held until the Hub knows, so that nobody else takes it while we try to reach the Hub.
    with held:
        local = report(port, env)
    if confirms(env):
        start_guard(port, env)
    if not service_url:
        # JupyterHub < 2 says it on the command line.
        return [*command, f"--port={port}"]
    # A server before JupyterHub 5.3 takes an empty host for "this machine only".
    host = host or ("::" if ":" in local else "0.0.0.0")
    env["JUPYTERHUB_SERVICE_URL"] = with_place(where, host, port)
    return command


def add_limits(env: Environment) -> None:
    """Set MEM_LIMIT and CPU_LIMIT to what the job has, unless the Hub has set them."""
    try:
        from batchspawner.agent.job_limits import job_limits
    except (ImportError, SyntaxError):
        return  # a copy of this file alone, or an old Python
    with contextlib.suppress(ValueError):
        limits = job_limits([json.loads(env.pop("BATCHSPAWNER_JOB_LIMITS", "{}"))])
        for kind in ("MEM", "CPU"):
            # What is not enforced in a way that shows here is what the job has asked for.
            limit = limits.get(kind + "_LIMIT") or env.get(kind + "_GUARANTEE")
            if limit:
                env.setdefault(kind + "_LIMIT", limit)


def remove_old_logs(env: Environment) -> None:
    """Remove logs that servers of this user have left in the home, once they are old."""
    with contextlib.suppress(OSError, ValueError):
        days = float(env.get("BATCHSPAWNER_LOG_DAYS", LOG_DAYS))
        with os.scandir(os.path.expanduser("~")) as files:  # noqa: PTH111
            logs = [one for one in files if OLD_LOG.match(one.name)]
        for one in logs:
            status = one.stat(follow_symlinks=False)
            is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if days > 0 and is_ours and status.st_mtime < time.time() - days * 86400:
                with contextlib.suppress(OSError):
                    os.remove(one.path)  # noqa: PTH107


def become(command: List[str]) -> NoReturn:
    """Replace this process by the server. Raises Failure."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        raise Failure(explain_missing(command[0]), 127) from None
    except OSError as error:
        if isinstance(error, PermissionError) and not is_seen(command[0]):
            # A folder of PATH that this user may not enter hides an ordinary "not found".
            raise Failure(explain_missing(command[0]), 127) from None
        raise Failure(f"{command[0]} cannot be started: {error.strerror}", 126) from None


def is_seen(program: str) -> bool:
    """Return whether there is such a file, even if it cannot be run."""
    return "/" in program or any(program in names(folder) for folder in os.get_exec_path())


def names(folder: str) -> List[str]:
    """Return the names in a folder, none if we may not read it."""
    try:
        return os.listdir(folder)  # noqa: PTH208  (pathlib takes long to import)
    except OSError:
        return []


def explain_missing(program: str) -> str:
    """Return why the kernel found nothing to run."""
    import shutil

    path = shutil.which(program)
    if path:
        return (
            f"{path} cannot be started: this node lacks the interpreter that its first line names"
        )
    return (
        f"{program} is not found on this node. PATH is {os.environ.get('PATH', '')}. "
        "Set the full path in c.Spawner.cmd, or load its environment in req_prologue."
    )


def forget_foreign_folders(env: Environment) -> None:
    """Drop a runtime folder of the login host, which does not exist here."""
    folder = env.get("XDG_RUNTIME_DIR")
    if folder and not os.access(folder, os.W_OK | os.X_OK):
        del env["XDG_RUNTIME_DIR"]


def unpack(env: Environment) -> None:
    """Add the variables of BATCHSPAWNER_PRIVATE_FILE. Raises Failure."""
    name = env.pop("BATCHSPAWNER_PRIVATE_FILE", "")
    if not name:
        return
    path = name
    # HTCondor has transferred it, if nodes do not share the home folders.
    if not os.path.exists(name):  # noqa: PTH110
        path = os.path.join(env.get("_CONDOR_SCRATCH_DIR", ""), os.path.basename(name))  # noqa: PTH118,PTH119
        # What is written here is not there in the next run.
        env.pop("BATCHSPAWNER_NEXT_CODE_FILE", None)
    try:
        with open(path) as file:
            env.update(json.load(file).items())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Failure(
            f"cannot read {name}, which has the right to report to the Hub: {reason(error)}. The "
            "nodes must share the home folders; otherwise set secret_transport to 'environment'.",
            EX_CONFIG,
        ) from None


def unpack_certificates(env: Environment) -> None:
    """Write the certificates of BATCHSPAWNER_CERTIFICATES into private files. Raises Failure."""
    text = env.pop("BATCHSPAWNER_CERTIFICATES", "")
    if not text:
        return
    folder = os.path.expanduser("~/.batchspawner")  # noqa: PTH111
    try:
        files = json.loads(binascii.a2b_base64(text).decode())
        folder = os.path.join(folder, os.path.basename(files["name"]))  # noqa: PTH118,PTH119
        os.makedirs(folder, 0o700, exist_ok=True)  # noqa: PTH103
        os.chmod(folder, 0o700)  # noqa: PTH101
        for kind in ("KEYFILE", "CERTFILE", "CLIENT_CA"):
            path = os.path.join(folder, f"{kind.lower()}.pem")  # noqa: PTH118
            write_private(path, files[kind])
            env[f"JUPYTERHUB_SSL_{kind}"] = path
    except (OSError, ValueError, TypeError, LookupError) as error:
        message = f"cannot write the server's certificates into {folder}: {reason(error)}"
        raise Failure(message, EX_CONFIG) from None


def write_private(path: str, text: str) -> None:
    """Write a file (0600), atomically in the place of an older one."""
    new = f"{path}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    os.replace(new, path)  # noqa: PTH105


# Where the server listens.


def read_place(where: SplitResult) -> Tuple[str, int]:
    """Return the address, empty for all, and the port, 0 for any, on which to listen.

    Raises Failure for a port that is not valid.
    """
    # Not `.hostname` and `.port`: JupyterHub < 5.3 writes IPv6 addresses without brackets.
    match = re.match(r"(.*?)(?::(\d*))?$", where.netloc)
    host, port = match.groups() if match else ("", None)
    if int(port or 0) > 65535:
        raise Failure(f"JUPYTERHUB_SERVICE_URL has no valid port: {where.geturl()}", EX_CONFIG)
    host = host.strip("[]")
    # JupyterHub >= 5.3 may write an `ip` of '' as None.
    return "" if host.lower() == "none" else host, int(port or 0)


def with_place(where: SplitResult, host: str, port: int) -> str:
    """Return the URL with another address and port."""
    netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return where._replace(netloc=netloc).geturl()


def hold_port(host: str, fixed: int, env: Environment) -> Tuple[contextlib.ExitStack, int]:
    """Take a free port; it is ours until the stack that is returned is closed. Raises Failure."""
    ports, name = candidates(fixed, env)
    addresses = addresses_of(host)
    for port in ports:
        with contextlib.suppress(OSError), contextlib.ExitStack() as taken:
            held, number = take(port, addresses)
            taken.push(held)
            if confirms(env):
                close_twin(number, {family for family, _ in addresses})
            taken.pop_all()
            return held, number
    below = " or, below 1024, reserved for root" if min(ports) < 1024 else ""
    raise Failure(f"{name} in use{below} on {socket.gethostname()}", EX_OSERR)


def candidates(fixed: int, env: Environment) -> Tuple[List[int], str]:
    """Return the ports to try, and a name for them in an error.

    Their order is random, so that two jobs on a node rarely try the same one.
    """
    if fixed:
        return [fixed], f"port {fixed} of JUPYTERHUB_SERVICE_URL is"
    text = env.get("BATCHSPAWNER_PORT_RANGE", "")
    if text:
        first, last = read_range(text)
        ports = random.sample(range(first, last + 1), last - first + 1)
        return ports, f"all ports of BATCHSPAWNER_PORT_RANGE {text} are"
    # Below the ports that the kernel gives to outgoing connections: one of those could take a
    # port between our closing it and the server's opening it.
    low, high = 10000, ephemeral_start()
    chosen = random.sample(range(low, high), 50) if high - low >= 1000 else []
    return [*chosen, 0, 0], "all ports are"


def read_range(text: str) -> Tuple[int, int]:
    """Return the first and the last port of a text such as ``9000-9999``. Raises Failure."""
    match = re.match(r"([0-9]+) *- *([0-9]+)$", text.strip())
    first, last = (int(number) for number in match.groups()) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise Failure(f"BATCHSPAWNER_PORT_RANGE is {text!r}, not like 9000-9999", EX_CONFIG)
    return first, last


def ephemeral_start() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


def addresses_of(host: str) -> List[Address]:
    """Return the addresses of this node on which a server with this `host` listens.

    Raises Failure if there is none.
    """
    usable: List[Address] = []
    try:
        found = socket.getaddrinfo(
            host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise Failure(f"cannot listen on {host}: {reason(error)}", EX_CONFIG) from None
    for address in sorted({(family, str(place[0])) for family, _, _, _, place in found}):
        # Not the ::1 of a localhost where IPv6 is switched off.
        with contextlib.suppress(OSError):
            take(0, [address])[0].close()
            usable.append(address)
    if not usable:
        node = socket.gethostname()
        raise Failure(f"{host} is no address of {node}; set c.Spawner.ip to 0.0.0.0", EX_CONFIG)
    return usable


def take(port: int, addresses: List[Address]) -> Tuple[contextlib.ExitStack, int]:
    """Take a port, 0 for any, on all addresses. Raises OSError if somebody else has it."""
    with contextlib.ExitStack() as held:
        for family, address in addresses:
            one = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            # As servers do: connections of a server that has just ended do not matter.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address, port))
            # With SO_REUSEADDR, only a socket that listens keeps others off.
            one.listen(1)
            port = int(one.getsockname()[1])
        return held.pop_all(), port


def close_twin(port: int, families: Set[socket.AddressFamily]) -> None:
    """Keep others off the port in the family, IPv4 or IPv6, in which the server does not listen.

    Who finds both kinds of addresses for this node could try that one first. The socket is open as
    long as the server is, and refuses connections because it does not listen. Raises OSError if
    somebody else has the port.
    """
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        if family in families:
            continue
        try:
            twin = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6:
                twin.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        except OSError:
            continue  # this node has no such addresses
        # Without SO_REUSEADDR, which would let others in.
        with twin:
            try:
                twin.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise
                continue
            # The server gets it, too, with the program that becomes it.
            os.set_inheritable(twin.detach(), True)


# The report.


def report(port: int, env: Environment) -> str:
    """Report the port to the Hub, and return our address towards it.

    An attempt that fails is repeated while that may help. Raises Failure.
    """
    body: Body = {"port": port}
    if confirms(env):
        body["confirms"] = True
    if CODE.match(env.get("JUPYTERHUB_API_TOKEN", "")):
        return claim(body, env)
    return send(body, env)[0]


def claim(body: Body, env: Environment) -> str:
    """Report, and exchange the code for the environment of the server; return our address.

    Raises Failure.
    """
    first, place = env["JUPYTERHUB_API_TOKEN"], env.pop("BATCHSPAWNER_NEXT_CODE_FILE", "")
    env["JUPYTERHUB_API_TOKEN"] = stored_code(place, first) or first
    following = prepare_code(place, first)
    job_id = env.get(env.get("BATCHSPAWNER_JOB_ID_VARIABLE", ""), "")
    # The same in each attempt, so that the Hub recognises us if its answer was lost.
    body.update(claim=binascii.hexlify(os.urandom(32)).decode(), job_id=job_id)
    if following:
        body["next"] = following
    try:
        local, answer = send(body, env)
        if following:
            os.replace(f"{place}.new", place)  # noqa: PTH105
    finally:
        with contextlib.suppress(OSError):
            os.remove(f"{place}.new")  # noqa: PTH107
    take_over(answer, env)
    return local


def stored_code(place: str, first: str) -> str:
    """Return the code that an earlier run of this job has stored; empty if there is none.

    `first` is the code with which the job was submitted.
    """
    try:
        with open(place) as file:
            stored: Dict[str, str] = json.load(file)
        return str(stored["code"]) if stored["first"] == first else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def prepare_code(place: str, first: str) -> str:
    """Return a code for the next run, and store it; empty if it cannot be stored here."""
    if not place:
        return ""
    word = binascii.b2a_base64(os.urandom(32)).decode().translate({43: "-", 47: "_"})[:43]
    code = word + first[43:]
    try:
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)  # noqa: PTH103,PTH120
        write_private(f"{place}.new", json.dumps({"first": first, "code": code}))
    except OSError:
        return ""
    return code


def send(body: Body, env: Environment) -> Tuple[str, bytes]:
    """Send something to the Hub; return our address towards it, and its answer.

    An attempt that fails is repeated, with growing pauses, while that may help. Raises Failure.
    """
    url, token = read_hub(env)
    connect, timeout = connector(url, env), read_report_timeout(env)
    end, pause, complained = time.monotonic() + timeout, FIRST_PAUSE_S, -COMPLAINT_INTERVAL_S
    while True:
        try:
            return post(connect(), url, token, body)
        except Unreachable as error:
            now = time.monotonic()
            message = f"cannot reach the Hub at {url.geturl()}: {error}"
        if now + pause > end:
            raise Failure(
                f"{message}. Tried for {timeout:g} s. Does the Hub run, and may this node connect "
                "to it? Check c.JupyterHub.hub_ip, hub_connect_ip and the firewall.",
                EX_TEMPFAIL,
            )
        if now - complained >= COMPLAINT_INTERVAL_S:
            complained = now
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + end - now))
            complain(f"{message}; trying again until {until}")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, MAX_PAUSE_S)


def take_over(answer: bytes, env: Environment) -> None:
    """Add the environment that the Hub returned for a code; what the job has set itself stays.

    Raises Failure.
    """
    try:
        given = json.loads(answer.decode())["environment"]
        env["JUPYTERHUB_API_TOKEN"] = given.pop("JUPYTERHUB_API_TOKEN")
        for name, value in given.items():
            env.setdefault(name, value)
        unpack_certificates(env)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Failure("the Hub's answer to the claim has no environment", EX_UNAVAILABLE) from None


# Who listens.


def confirms(env: Environment) -> bool:
    """Return whether the Hub wants to know who listens. Raises Failure if we cannot find out."""
    if env.get("BATCHSPAWNER_CONFIRM") != "1":
        return False
    if not os.access(LISTENERS[0], os.R_OK):
        raise Failure(
            f"{LISTENERS[0]} cannot be read, so this node cannot tell whose server has opened the "
            "port. The administrator can set c.BatchSpawnerBase.confirm_server to False.",
            EX_CONFIG,
        )
    return True


def start_guard(port: int, env: Environment) -> None:
    """Start a process that checks who opens the port, while this one becomes the server."""
    server = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    status = 1
    try:
        # An orphan, so that the server has no child that it did not start.
        if os.fork() == 0:
            guard(port, server, env)
        status = 0
    except Failure as failure:
        complain(str(failure))
    finally:
        os._exit(status)


def guard(port: int, server: int, env: Environment) -> None:
    """Report once the server has opened its port; end the server if another user has."""
    owners, pause = owners_of(port), FIRST_PORT_CHECK_S
    while not owners and is_alive(server):
        time.sleep(pause)
        pause = min(pause * 1.02, 1.0)
        owners = owners_of(port)
    strangers = owners - {os.geteuid(), 0}
    if strangers:
        complain(f"user {min(strangers)} has opened port {port} in the server's place; it is ended")
        os.kill(server, signal.SIGTERM)
    elif owners:
        send({"port": port, "listening": True}, env)


def owners_of(port: int) -> Set[int]:
    """Return the ids of the users whose processes listen on a port of this node."""
    found = set()
    for name in LISTENERS:
        with contextlib.suppress(OSError), open(name) as file:
            # https://docs.kernel.org/networking/proc_net_tcp.html
            rows = [line.split() for line in file.readlines()[1:]]
            found |= {
                int(row[7])
                for row in rows
                if row[3] == TCP_LISTEN and int(row[1].rpartition(":")[2], 16) == port
            }
    return found


def is_alive(process: int) -> bool:
    """Return whether a process runs, and is not a zombie."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def read_hub(env: Environment) -> Tuple[SplitResult, str]:
    """Return the URL of the Hub's API and the token for it. Raises Failure."""
    url, token = env.get("JUPYTERHUB_API_URL", ""), env.get("JUPYTERHUB_API_TOKEN", "")
    if not (url and token):
        raise Failure(
            "JUPYTERHUB_API_URL and JUPYTERHUB_API_TOKEN are not both set in this job. "
            "The job script must keep the Hub's environment (keepvars).",
            EX_CONFIG,
        )
    if not re.match(r"[!-~]+\Z", token):
        # An error of http.client would quote it.
        raise Failure("JUPYTERHUB_API_TOKEN has characters that no token has", EX_CONFIG)
    with contextlib.suppress(ValueError):
        where = urlsplit(url)
        if where.scheme in ("http", "https") and where.hostname and where.port != 0:
            return where, token
    raise Failure(f"JUPYTERHUB_API_URL is not like http://hub:8081/hub/api: {url}", EX_CONFIG)


def read_report_timeout(env: Environment) -> float:
    """Return for how many seconds to try to reach the Hub. Raises Failure."""
    text = env.get("BATCHSPAWNER_REPORT_TIMEOUT", "300")
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < 1e7:
            return float(text)
    raise Failure(f"BATCHSPAWNER_REPORT_TIMEOUT is {text!r}, no number of seconds", EX_CONFIG)


def connector(url: SplitResult, env: Environment) -> "Callable[[], http.client.HTTPConnection]":
    """Return a function that makes a connection, which opens later, never through a proxy.

    Raises Failure for certificates that cannot be used.
    """
    host = url.hostname or ""
    if url.scheme == "http":
        return functools.partial(
            http.client.HTTPConnection, host, url.port, timeout=REQUEST_TIMEOUT_S
        )
    import ssl

    names = ("CLIENT_CA", "CERTFILE", "KEYFILE")
    files = [env.get(f"JUPYTERHUB_SSL_{name}") or "" for name in names]
    authority, certificate, key = files
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if certificate and key:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise Failure(
            f"this node cannot use the certificates {', '.join(files)}: {reason(error)}", EX_CONFIG
        ) from None
    return functools.partial(
        http.client.HTTPSConnection, host, url.port, timeout=REQUEST_TIMEOUT_S, context=context
    )


def post(
    connection: http.client.HTTPConnection, url: SplitResult, token: str, body: Body
) -> Tuple[str, bytes]:
    """Send a report once; return our address and the answer.

    Raises Unreachable if another attempt may succeed, else Failure.
    """
    try:
        connection.connect()
        local = str(connection.sock.getsockname()[0])
        text = json.dumps(dict(body, host=local))
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        connection.request("POST", f"{url.path.rstrip('/')}/batchspawner", text, headers)
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER_BYTES)
    except (ValueError, OSError, http.client.HTTPException) as error:
        # Python 3.6 has no class of its own for every certificate that does not fit.
        unfit = getattr(error, "reason", "") == "CERTIFICATE_VERIFY_FAILED"
        if unfit or isinstance(error, ValueError):
            message = f"cannot trust the Hub at {url.geturl()}: {reason(error)}"
            raise Failure(message, EX_UNAVAILABLE) from None
        raise Unreachable(reason(error)) from None
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return local, data
    text = f"it answered {answer.status} {answer.reason}: {message_in(data)}"
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(text)
    meaning = MEANINGS.get(answer.status, "")
    raise Failure(f"the Hub at {url.geturl()} refuses: {text}. {meaning}".strip(), EX_UNAVAILABLE)


def message_in(data: bytes) -> str:
    """Return the message in an error answer of the Hub, on one line."""
    text = data[:10000].decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return " ".join(text.split())[:300]


def reason(error: Exception) -> str:
    """Return the text of an error, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def complain(message: str) -> None:
    """Write a line for the job's log."""
    print(f"batchspawner-singleuser: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
