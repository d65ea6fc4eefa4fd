"""The handler that sends JupyterHub's events in the language of who reads them."""

from __future__ import annotations

import asyncio

import pytest
from jupyterhub import apihandlers
from jupyterhub.apihandlers.users import SpawnProgressAPIHandler

from batchspawner.concurrency import within
from batchspawner.spawners import progress_handler
from batchspawner.spawners.hub.jupyterhub import replace_handler
from batchspawner.spawners.progress_handler import ProgressHandler
from batchspawner.translation import ENGLISH


def test_it_has_the_place_of_jupyterhubs_own_for_every_server():
    found = {path: one for path, one, *_ in apihandlers.default_handlers if "progress" in path}
    assert found == {
        r"/api/users/([^/]+)/server/progress": ProgressHandler,
        r"/api/users/([^/]+)/servers/([^/]*)/progress": ProgressHandler,
    }


def test_other_handlers_stay_and_so_do_their_arguments():
    known = [("/a", SpawnProgressAPIHandler, {"x": 1}), ("/b", str)]
    replace_handler(known, SpawnProgressAPIHandler, ProgressHandler)
    assert known == [("/a", ProgressHandler, {"x": 1}), ("/b", str)]


class Events:
    """JupyterHub's handler: after the events, it waits until the start has ended."""

    def __init__(self, monkeypatch):
        self.sending, self.ended, self.start = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None
        for name in ("initialize", "on_connection_close"):
            monkeypatch.setattr(SpawnProgressAPIHandler, name, lambda _: None)
        monkeypatch.setattr(SpawnProgressAPIHandler, "get", lambda *_: self.get())
        monkeypatch.setattr(progress_handler, "page_catalogue", lambda _: ENGLISH)
        self.handler = object.__new__(ProgressHandler)
        self.handler.initialize()
        self.answer = asyncio.ensure_future(self.handler.get("ada"))

    async def get(self):
        self.sending.set()
        try:
            await self.start.wait()
        except asyncio.CancelledError:
            self.ended.set()
            if self.failure:
                raise self.failure from None
            await self.start.wait()
        if self.failure:
            raise self.failure


@pytest.mark.parametrize("failure", [None, RuntimeError("aclose(): generator is running")])
async def test_the_events_end_when_their_page_is_closed(monkeypatch, failure):
    events = Events(monkeypatch)
    events.failure = failure
    await events.sending.wait()
    events.handler.on_connection_close()
    done, _ = await asyncio.wait([events.answer], timeout=5)
    events.start.set()
    assert done
    assert events.ended.is_set()
    assert events.answer.result() is None


async def test_the_events_of_an_open_page_end_with_the_start(monkeypatch):
    events = Events(monkeypatch)
    await events.sending.wait()
    events.start.set()
    await within(5, events.answer)
    assert not events.ended.is_set()


async def test_what_goes_wrong_with_the_events_is_raised(monkeypatch):
    events = Events(monkeypatch)
    events.failure = ValueError("no")
    events.start.set()
    with pytest.raises(ValueError, match="no"):
        await within(5, events.answer)


async def test_the_events_end_with_the_hub(monkeypatch):
    events = Events(monkeypatch)
    await events.sending.wait()
    events.answer.cancel()
    await within(5, asyncio.wait([events.answer]))
    assert events.ended.is_set()
    assert events.answer.cancelled()
