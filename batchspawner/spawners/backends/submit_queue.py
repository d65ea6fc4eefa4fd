"""A fair queue of submits: only so many at a time, and users take turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Slot:
    """Place of one submit in the queue."""

    def __init__(self, queue: SubmitQueue, who: str) -> None:
        self._queue = queue
        self.who = who
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def ahead(self) -> int:
        """Number of submits that come before this one; 0 when it is its turn."""
        return 0 if self.admitted.done() else self._queue.ahead_of(self)


class SubmitQueue:
    """Queue of submits, `limit` at a time. Users take turns; those of one user keep their order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._waiting: OrderedDict[str, deque[Slot]] = OrderedDict()

    def reserve(self, who: str) -> Slot:
        """Return a slot at the end of a user's submits; `turn` waits for it."""
        slot = Slot(self, who)
        self._waiting.setdefault(who, deque()).append(slot)
        self._admit()
        return slot

    @contextlib.asynccontextmanager
    async def turn(self, slot: Slot) -> AsyncIterator[None]:
        """Wait for the turn of a slot, and give it to the next one at the end."""
        try:
            await slot.admitted
        except asyncio.CancelledError:
            self._leave(slot)
            raise
        try:
            yield
        finally:
            self._inside -= 1
            self._admit()

    def ahead_of(self, slot: Slot) -> int:
        """Return how many slots come before this one."""
        mine = self._waiting[slot.who].index(slot)
        users = list(self._waiting)
        before = users.index(slot.who)
        return mine + sum(
            min(len(self._waiting[who]), mine + (1 if place < before else 0))
            for place, who in enumerate(users)
            if who != slot.who
        )

    def _admit(self) -> None:
        while self._waiting and self._inside < self.limit:
            who, slots = self._waiting.popitem(last=False)
            slot = slots.popleft()
            if slots:
                # To the end of the round: everybody else comes first.
                self._waiting[who] = slots
            if not slot.admitted.cancelled():
                self._inside += 1
                slot.admitted.set_result(None)

    def _leave(self, slot: Slot) -> None:
        """Give up a slot whose owner waits no longer."""
        if slot.admitted.done() and not slot.admitted.cancelled():
            self._inside -= 1
            self._admit()
            return
        slots = self._waiting.get(slot.who)
        if slots and slot in slots:
            slots.remove(slot)
            if not slots:
                del self._waiting[slot.who]


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SubmitQueue]] = WeakKeyDictionary()


def shared_queue(name: str, limit: int) -> SubmitQueue:
    """Return the queue of submits to a scheduler that all servers of this event loop share."""
    queues = _queues.setdefault(asyncio.get_running_loop(), {})
    queue = queues.setdefault(name, SubmitQueue(limit))
    queue.limit = max(1, limit)
    return queue
