"""The warnings of JupyterLab's extension, with a clock that the test sets."""

from __future__ import annotations

import json
import time
from importlib.resources import files

import pytest

EXTENSION = files("batchspawner.labextension").joinpath(
    "share/jupyter/labextensions/batchspawner-time/static/remoteEntry.js"
)
PAGE = '<script id="jupyter-config-data" type="application/json">%s</script>'
START = """async (skew) => {
    const server = () => ({ Date: new Date(Date.now() + skew).toUTCString() });
    window.fetch = async () => ({ headers: new Headers(server()) });
    const container = window._JUPYTERLAB["batchspawner-time"];
    const plugin = (await container.get())().default;
    window.told = [];
    const execute = (command, options) => window.told.push({ command, ...options });
    plugin.activate({ restored: Promise.resolve(), commands: { execute } });
    for (let turn = 0; turn < 20; turn++) {
        await null; // the extension has its turns, too
    }
}"""


@pytest.fixture
def lab(page):
    """A page with the parts of JupyterLab that the extension uses, some seconds before the end."""

    def open_page(left: int, skew: int = 0):
        page.clock.install()
        page.set_content(PAGE % json.dumps({"batchspawnerEnd": str(int(time.time()) + left)}))
        page.evaluate(EXTENSION.read_text(encoding="utf-8"))
        page.evaluate(START, 1000 * skew)
        return page

    return open_page


def told(page) -> list[tuple[str, str]]:
    return [(one["type"], one["message"].partition(":")[0]) for one in page.evaluate("told")]


def test_it_warns_fifteen_and_five_minutes_before_the_end(lab):
    page = lab(20 * 60)
    assert told(page) == []
    page.clock.fast_forward(5 * 60_000 + 5000)
    first = ("warning", "This server ends in 15 minutes")
    assert told(page) == [first]
    page.clock.fast_forward(10 * 60_000)
    assert told(page) == [first, ("error", "This server ends in 5 minutes")]
    page.clock.fast_forward(60 * 60_000)
    assert len(told(page)) == 2


def test_it_offers_to_save_everything(lab):
    (one,) = lab(4 * 60).evaluate("told")
    assert one["command"] == "apputils:notify"
    assert one["options"]["autoClose"] is False
    (action,) = one["options"]["actions"]
    assert (action["label"], action["commandId"]) == ("Save all", "docmanager:save-all")


def test_a_page_that_is_opened_late_warns_at_once_and_once(lab):
    page = lab(12 * 60)
    assert told(page) == [("warning", "This server ends in 12 minutes")]
    page.clock.fast_forward(7 * 60_000 + 5000)
    assert told(page)[1:] == [("error", "This server ends in 5 minutes")]


def test_a_browser_whose_clock_is_behind_goes_by_the_servers(lab):
    assert told(lab(20 * 60, skew=12 * 60)) == [("warning", "This server ends in 8 minutes")]


def test_a_job_that_goes_on_for_months_warns_nobody(lab):
    page = lab(90 * 86400)
    page.clock.fast_forward(40 * 86_400_000)
    assert told(page) == []
