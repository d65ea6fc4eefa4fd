"""The progress log of a start: the same in every browser tab and every Hub process.

It is a part of the saved state of the job: what has happened, each thing once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...message import Joined
from ...translation import translated
from ..hub.state_writer import commit_later
from .card import card_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..hub.jupyterhub import JobSpawner
    from .card import StartingSpawner
    from .messages import StartDescription

_POLL_INTERVAL_S = 0.5
"""Time between two looks for something new to show."""


def append(spawner: JobSpawner, percent: int, text: str) -> None:
    """Add what the user is told; the percentage never goes back."""
    if spawner.job.progressed(percent, text) and spawner.job.id:
        commit_later(spawner)


class Told:
    """What one page was told so far."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._card: dict[str, Any] = {}

    def events(self, card: dict[str, Any], description: StartDescription) -> list[dict[str, Any]]:
        """Return JupyterHub's events for what is new: sentences, and the card if it has changed.

        They are in the language of the reader; what is new does not depend on it.

        Texts of the scheduler go in `message`, which pages escape, never in `html_message`.
        """
        events = []
        for stage in card["history"]:
            if stage["text"] != description.headline:
                events += self._event(card, {stage["text"]: stage["text"]})
        alarm = {card["alarm"]: card["alarm"]} if card["alarm"] else {}
        events += self._event(card, {**alarm, **dict(description.sentences())})
        if card != self._card and not events:
            events = [{"progress": card["percent"]}]
        if events:
            self._card = card
            events[-1]["batchspawner"] = translated(card)
        return events

    def _event(self, card: dict[str, Any], sentences: dict[str, str]) -> list[dict[str, Any]]:
        """Return the event for the sentences that are new; none if there are none."""
        new = [text for key, text in sentences.items() if key not in self._keys]
        self._keys.update(sentences)
        message = translated(Joined(". ", new))
        return [{"progress": card["percent"], "message": message}] if new else []


async def progress_events(spawner: StartingSpawner) -> AsyncIterator[dict[str, Any]]:
    """Yield what was told of this start so far, and then everything new.

    It depends on nothing but the spawner's state, so that every tab shows the same.
    """
    told = Told()
    while True:
        await spawner.backend.update_estimate()
        description = spawner.backend.describe()
        append(spawner, description.percent, description.headline)
        for event in told.events(card_of(spawner), description):
            yield event
        await asyncio.sleep(_POLL_INTERVAL_S)
