"""Chromium, driven by Playwright, and pictures of its pages if they are asked for."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hubs import proxy_command
from tests.ports import free_port

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker("browser")
    items[:] = [
        one
        for one in items
        if "test_pages_slurm" not in one.nodeid or one.callspec.params["site"] == "slurm"
    ]


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 1100, "height": 750})
    context.set_default_timeout(300_000)
    yield context.new_page()
    context.close()


def _written_part(page) -> dict[str, int]:
    """Return the part of a page that is not empty, without JupyterLab's offer of news."""
    offer = page.locator(".Toastify__toast:has-text('Jupyter news') button:text-is('No')")
    if offer.count():
        offer.click()
        page.wait_for_selector(".Toastify__toast:has-text('Jupyter news')", state="detached")
    end = page.evaluate(
        """Math.max(...Array.from(document.body.querySelectorAll("*"))
             .filter(one => one.checkVisibility() && one.children.length === 0)
             .map(one => one.getBoundingClientRect().bottom))"""
    )
    size = page.viewport_size
    height = min(size["height"], round(end) + 24)
    return {"x": 0, "y": 0, "width": size["width"], "height": height}


@pytest.fixture
def picture(page):
    """Keep a picture of the page under docs/images when BATCHSPAWNER_PICTURES is set."""

    def take(name: str) -> None:
        if os.environ.get("BATCHSPAWNER_PICTURES"):
            folder = Path(__file__).parents[2] / "docs" / "images"
            page.screenshot(path=folder / f"{name}.png", clip=_written_part(page))

    return take


class Demo:
    """`batchspawner demo`, as a newcomer would start it."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder / "demo"
        command = [sys.executable, "-m", "batchspawner.cli", "demo", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--folder", str(self.folder)],
            stdout=subprocess.PIPE,
            text=True,
            # A shell lets its background jobs ignore Ctrl-C, and so their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            text = self._announced()
        except BaseException:
            self.stop()
            raise
        self.url, self.user, self.password = (
            re.search(rf"{words} +(\S+)", text)[1]
            for words in ("runs at", "Log in as", "with the password")
        )

    def _announced(self) -> str:
        """Return what the demo prints until it is ready."""
        text = ""
        while "Ctrl-C" not in text:
            line = self.process.stdout.readline()
            assert line, f"the demo ended: {text}"
            text += line
        return text

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=300)


@pytest.fixture
def demo(tmp_path):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    one = Demo(tmp_path)
    yield one
    if one.process.poll() is None:
        one.stop()
