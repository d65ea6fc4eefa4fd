"""Real sshds on the loopback interface, with keys of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.hubs import wait_for
from tests.ports import free_port

PROGRAM = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


def unavailable() -> str:
    """Return why there can be no sshd here, or an empty text."""
    if not PROGRAM or not shutil.which("ssh"):
        return "no sshd or ssh (on Debian: apt-get install openssh-server)"
    return ""


def make_key(path: Path) -> Path:
    """Make a key without a passphrase."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, timeout=30)
    return path


class Sshd:
    """An sshd that accepts one key.

    `environment` is what its sessions get; `inside` is the command that runs it elsewhere.
    """

    def __init__(
        self, folder: Path, key: Path, environment: dict[str, str], inside: tuple[str, ...] = ()
    ) -> None:
        self.folder, self.inside = folder, inside
        self.port = free_port()
        folder.mkdir(parents=True)
        self.host_key = make_key(folder / "host_key")
        shutil.copy(key.with_suffix(".pub"), folder / "authorized_keys")
        variables = " ".join(f"{name}={value}" for name, value in environment.items())
        (folder / "sshd_config").write_text(
            f"Port {self.port}\n"
            f"ListenAddress {'0.0.0.0' if inside else '127.0.0.1'}\n"
            f"HostKey {self.host_key}\nPidFile none\nAuthorizedKeysFile {folder}/authorized_keys\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin prohibit-password\nLogLevel ERROR\n"
            + (f"SetEnv {variables}\n" if variables else "")
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        log = (self.folder / "log").open("ab")
        command = [*self.inside, PROGRAM, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        self.process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        wait_for(self.answers, 10, f"an sshd; see {self.folder}/log")
        return self

    def answers(self) -> bool:
        look = f"import socket; socket.create_connection(('127.0.0.1', {self.port}), 1)"
        command = [*self.inside, sys.executable, "-c", look]
        return not subprocess.run(command, stderr=subprocess.DEVNULL, timeout=10).returncode

    def cut(self) -> None:
        """End all connections, and let new ones in."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def stop(self) -> None:
        if self.process is not None:
            self.cut()
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def client_entry(self, name: str, key: Path, *more: str, address: str = "127.0.0.1") -> str:
        """Return what an ssh_config says of this sshd."""
        public = self.host_key.with_suffix(".pub").read_text()
        known_hosts = self.folder / f"known_hosts.{name}"
        known_hosts.write_text(f"{name} {public}")
        lines = (
            f"HostName {address}",
            f"HostKeyAlias {name}",
            f"Port {self.port}",
            f"User {getpass.getuser()}",
            f"IdentityFile {key}",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {known_hosts}",
            "StrictHostKeyChecking yes",
            *more,
        )
        return "\n  ".join((f"Host {name}", *lines)) + "\n"


class Host(Sshd):
    """An sshd that clients with `config` reach as `name`; as ``locked``, they have no key."""

    def __init__(
        self, folder: Path, name: str = "there", environment: dict[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True)
        key = make_key(folder / "key")
        super().__init__(folder / "sshd", key, environment or {})
        self.config = folder / "ssh_config"
        self.config.write_text(
            self.client_entry(name, key) + self.client_entry("locked", folder / "no_key")
        )
