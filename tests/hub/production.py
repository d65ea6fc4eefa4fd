"""A Hub that docs/examples/production/install.sh installs, under a prefix of its own."""

from __future__ import annotations

import configparser
import contextlib
import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import requests

from tests.hubs import wait_for
from tests.ports import free_port
from tests.real.launcher import FILES, run
from tests.real.users import SEARCH

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "docs" / "examples" / "production"
ACCOUNT, GROUP = "jhservice", "jhserved"
RULES = Path("/etc/sudoers.d/batchspawner-production")
TOKEN = "a-token-of-the-tests"


class Production:
    """All that the script installs, under a prefix of its own."""

    def __init__(self, variables: str) -> None:
        # Jobs of all users run programs that are here.
        self.prefix = Path(tempfile.mkdtemp(prefix="bsprod", dir="/tmp"))
        self.prefix.chmod(0o755)
        self.source = self.prefix / "source"
        self.https = free_port()
        self.url = f"https://localhost:{self.https}"
        self.settings = {
            **{name: str(self.prefix / name.lower()) for name in ("ETC", "STATE", "BACKUPS")},
            "PREFIX": str(self.prefix / "opt"),
            "NODES": str(self.prefix / "nodes"),
            "UNITS": str(self.prefix / "units"),
            "ACCOUNT": ACCOUNT,
            "GROUP": GROUP,
            "RULES": str(RULES),
            "PYTHON": "/usr/bin/python3",
            "PACKAGE": str(self.source),
            "RELEASE": "first",
            "NODE_PACKAGES": "jupyter_server",
            "PUBLIC_NAME": "localhost",
            "CERTIFICATE": str(self.prefix / "cert.pem"),
            "CERTIFICATE_KEY": str(self.prefix / "key.pem"),
            "HTTPS_PORT": f"127.0.0.1:{self.https}",
            "PROXY_PORT": str(free_port()),
            "PROXY_API_PORT": str(free_port()),
            "HUB_ADDRESS": "127.0.0.1",
            "HUB_LISTEN": "127.0.0.1",
            "HUB_PORT": str(free_port()),
            "BACKUPS_KEPT": "2",
            "VARIABLES": variables,
        }
        self.running: dict[str, subprocess.Popen] = {}

    def prepare(self) -> None:
        """Lay what the script expects of a site: a checkout, a certificate, folder of units."""
        names = run("git", "-C", str(PROJECT), "ls-files", "-co", "--exclude-standard")
        for name in names.splitlines():
            if (PROJECT / name).is_file():
                (self.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, self.source / name)
        Path(self.settings["UNITS"]).mkdir()
        key, certificate = self.settings["CERTIFICATE_KEY"], self.settings["CERTIFICATE"]
        words = ("-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2")
        names = ("-addext", "subjectAltName=DNS:localhost")
        run("openssl", "req", "-x509", *words, *names, "-keyout", key, "-out", certificate)

    def install(self, **changed: str) -> list[str]:
        """Run the script, and return what it says that it has changed."""
        self.settings.update(changed)
        file = self.prefix / "settings"
        file.write_text(self.lines())
        said = wait_for(lambda: self.run_script(file), 300, "the script")
        return re.findall(r"(?m)^changed: (.*)$", said)

    def refused_python(self) -> str:
        """Return what the script says of a Python that only root can run."""
        folder = self.prefix / "of-root"
        folder.mkdir(mode=0o700)
        hidden = shutil.copy(os.path.realpath("/usr/bin/python3"), folder)
        file = self.prefix / "settings"
        file.write_text(self.lines(PYTHON=hidden))
        done = wait_for(lambda: self.script(file), 60, "the script")
        assert done.returncode == 1, done.stdout
        return done.stderr.replace(hidden, "PYTHON")

    def lines(self, **changed: str) -> str:
        """Return the settings as the script reads them."""
        settings = {**self.settings, **changed}
        return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())

    def run_script(self, settings: Path) -> str:
        """Return what the script says, or nothing if others are just making accounts."""
        done = self.script(settings)
        if done is None:
            return ""
        assert done.returncode == 0, done.stdout + done.stderr
        return f"{done.stdout}done"

    def script(self, settings: Path) -> subprocess.CompletedProcess[str] | None:
        """Run the script; return None if others are just making accounts."""
        done = subprocess.run(
            ["sh", str(EXAMPLE / "install.sh"), str(settings)],
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, "PATH": SEARCH},
        )
        return None if "cannot lock" in done.stderr else done

    def unit(self, name: str) -> dict[str, str]:
        """Return the settings of a service."""
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str
        parser.read(Path(self.settings["UNITS"], f"{name}.service"))
        return dict(parser["Service"])

    def start(self, name: str) -> None:
        """Start a service as systemd would, which may not run here."""
        unit = self.unit(name)
        account = pwd.getpwnam(unit["User"])
        lines = Path(unit["EnvironmentFile"]).read_text().splitlines()
        with (self.prefix / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                shlex.split(unit["ExecStart"]),
                cwd=unit["WorkingDirectory"],
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[],
                env={
                    "PATH": "/usr/bin:/bin",
                    "LANG": "C.UTF-8",
                    "HOME": account.pw_dir,
                    **dict(line.split("=", 1) for line in lines),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def as_hub(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the release with the Hub's account and variables, as the page says."""
        etc, state = self.settings["ETC"], self.settings["STATE"]
        variables = Path(etc, "hub.env").read_text().split()
        return subprocess.run(
            [
                "sudo",
                "-u",
                ACCOUNT,
                "env",
                *variables,
                *command,
                "-f",
                f"{etc}/jupyterhub_config.py",
            ],
            cwd=state,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def stop(self, *names: str) -> None:
        for name in names or tuple(self.running):
            one = self.running.pop(name)
            one.terminate()
            one.wait()

    def serve(self) -> None:
        """Start all services, and the web server with the configuration for it."""
        self.start("jupyterhub-proxy")
        self.start("jupyterhub")
        file = self.prefix / "nginx.conf"
        file.write_text(
            f"daemon off; pid {self.prefix}/nginx.pid; error_log {self.prefix}/nginx.log;\n"
            f"events {{}}\nhttp {{ access_log off; include {self.settings['ETC']}/nginx.conf; }}\n"
        )
        nginx = shutil.which("nginx", path=SEARCH)
        self.running["nginx"] = subprocess.Popen([nginx, "-c", str(file)])
        self.wait()

    def wait(self) -> None:
        wait_for(lambda: self.answers("/hub/api"), 60, f"the Hub; see {self.prefix}")

    def answers(self, path: str) -> bool:
        """Check whether a page answers through the web server."""
        with contextlib.suppress(requests.RequestException):
            return self.get(path).ok
        return False

    def get(self, path: str) -> requests.Response:
        return self.ask("GET", path)

    def ask(self, method: str, path: str) -> requests.Response:
        return requests.request(
            method,
            self.url + path,
            verify=self.settings["CERTIFICATE"],
            headers={"Authorization": f"token {TOKEN}"},
            timeout=120,
        )

    def server(self, user: str) -> dict | None:
        return self.get(f"/hub/api/users/{user}").json()["servers"].get("")

    def has_server(self, user: str) -> bool:
        """Check whether a user's server answers through web server and proxy."""
        return self.answers(f"/user/{user}/api/status")

    def begin(self, user: str) -> requests.Response:
        self.ask("POST", f"/hub/api/users/{user}").raise_for_status()
        return self.ask("POST", f"/hub/api/users/{user}/server")


def removed(one: Production) -> None:
    """Stop what runs, and remove what the script has installed; keep the logs of a failed test."""
    for log in sorted(one.prefix.glob("*.log")):
        print(f"== {log.name}\n{log.read_text(errors='replace')}")  # shown if the test fails
    one.stop()
    for file in (*FILES, RULES):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        Path("/etc/batchspawner").rmdir()
    run("userdel", ACCOUNT, check=False)
    run("groupdel", GROUP, check=False)
    shutil.rmtree(one.prefix)
    assert not os.path.lexists(one.prefix)
