"""Let in only so many submits at a time, and let no user wait behind another's many."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Slot:
    """Hold a place in the queue of a gate."""

    def __init__(self, gate: SubmitQueue, who: str) -> None:
        self._gate = gate
        self.who = who
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def ahead(self) -> int:
        """How many are admitted before this one; 0 when it is its turn."""
        return 0 if self.admitted.done() else self._gate.ahead_of(self)


class SubmitQueue:
    """Admit `limit` at a time; those who wait take turns by user, each user's in their order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._waiting: OrderedDict[str, deque[Slot]] = OrderedDict()

    def ticket(self, who: str) -> Slot:
        """Return a place at the end of a user's queue; `entered` waits for its turn."""
        ticket = Slot(self, who)
        self._waiting.setdefault(who, deque()).append(ticket)
        self._admit()
        return ticket

    @contextlib.asynccontextmanager
    async def entered(self, ticket: Slot) -> AsyncIterator[None]:
        """Wait for a ticket's turn, and give the place to the next one at the end."""
        try:
            await ticket.admitted
        except asyncio.CancelledError:
            self._leave(ticket)
            raise
        try:
            yield
        finally:
            self._inside -= 1
            self._admit()

    def ahead_of(self, ticket: Slot) -> int:
        """Return how many tickets will be admitted before this one."""
        mine = self._waiting[ticket.who].index(ticket)
        users = list(self._waiting)
        before = users.index(ticket.who)
        return mine + sum(
            min(len(self._waiting[who]), mine + (1 if place < before else 0))
            for place, who in enumerate(users)
            if who != ticket.who
        )

    def _admit(self) -> None:
        while self._waiting and self._inside < self.limit:
            who, tickets = self._waiting.popitem(last=False)
            ticket = tickets.popleft()
            if tickets:
                # To the end of the round: everybody else comes first.
                self._waiting[who] = tickets
            if not ticket.admitted.cancelled():
                self._inside += 1
                ticket.admitted.set_result(None)

    def _leave(self, ticket: Slot) -> None:
        """Give up a ticket whose holder waits no longer."""
        if ticket.admitted.done() and not ticket.admitted.cancelled():
            self._inside -= 1
            self._admit()
            return
        tickets = self._waiting.get(ticket.who)
        if tickets and ticket in tickets:
            tickets.remove(ticket)
            if not tickets:
                del self._waiting[ticket.who]


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SubmitQueue]] = WeakKeyDictionary()


def shared_gate(name: str, limit: int) -> SubmitQueue:
    """Return the one gate of this event loop in front of a scheduler."""
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    gate = gates.setdefault(name, SubmitQueue(limit))
    gate.limit = max(1, limit)
    return gate
