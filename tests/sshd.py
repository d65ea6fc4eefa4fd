"""A real sshd on the loopback interface, with its own keys."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))


class Sshd:
    """An sshd that clients with `config` reach as the host ``there``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "ssh_config"

    def start(self) -> Sshd:
        self.folder.mkdir(parents=True, mode=0o700)
        for key in ("host", "user"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / key)]
            subprocess.run(argv, check=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self._write()
        with (self.folder / "sshd.log").open("wb") as log:
            argv = [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.process = subprocess.Popen(argv, stderr=log)
        self._wait()
        return self

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def _write(self) -> None:
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/user.pub\nStrictModes no\nPidFile none\n"
            "UsePAM no\nPasswordAuthentication no\n"
        )
        host_key = (self.folder / "host.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        self.config.write_text(
            f"Host there locked\nHostName 127.0.0.1\nPort {self.port}\nUser {getpass.getuser()}\n"
            f"UserKnownHostsFile {self.folder}/known_hosts\nIdentitiesOnly yes\n"
            f"Match originalhost there\nIdentityFile {self.folder}/user\n"
            f"Match originalhost locked\nIdentityFile {self.folder}/none\n"
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "sshd.log").read_text())
