"""Give calls to workers, and see each of them to its end.

All of it runs in the library's event loop. Workers pull: one gets its next calls when it is about
to have none, as many at a time as it does in a few milliseconds. A call whose worker died is
failed, or done again by another where that can help; those behind it are not touched by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from ...concurrency import within
from ...errors import BatchError, JobLost, JobPreempted, NodeFailed
from ..protocol.results import mismatch, read_result
from ..protocol.worker import pack
from .tasks import PoolWorker

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .tasks import Task
    from .worker_providers import WorkerHandle, WorkerProvider

log = logging.getLogger(__name__)

RETRIED = (NodeFailed, JobPreempted, JobLost)
"""Ends of a job for which a call is not to blame."""

_SHORT = 0.005
"""Seconds that the calls that a worker has at a time may take together."""

_DEEPEST = 64

_MOMENT = 0.005
"""Seconds in which more calls may come before workers are asked for."""

_STUCK = 0.05
"""Seconds without an answer after which the calls behind the first are given to others."""

_LATE = 2.0
"""Seconds in which workers who were asked for may still come, where nothing is left to do."""

_USELESS = 3
"""Workers in a row that end without a call, after which no more are asked for."""

GIVE_BACK = pack({"type": "give back"})


class Pool:
    """Keep up to `size` workers of a crew busy.

    `retries` is how often a call is done again that a dead node or a preempted job has interrupted.
    A worker that has had nothing to do for `linger` seconds is sent home. `calls_each` is how many
    calls one does in its life, None for any number.
    """

    def __init__(
        self,
        crew: WorkerProvider,
        size: int,
        *,
        retries: int = 2,
        linger: float = 60.0,
        calls_each: int | None = None,
    ) -> None:
        self._crew, self._size, self._retries = crew, size, retries
        self._linger, self._calls_each = linger, calls_each
        self._waiting: deque[Task] = deque()
        self._members: set[PoolWorker] = set()
        self._coming = self._number = self._useless = 0
        self._closing = self._ending = False
        self._jobs: set[asyncio.Task[None]] = set()
        self._staffing: asyncio.TimerHandle | None = None
        self._ends: float | None = None
        self._closed = asyncio.Event()
        crew.on_hand, crew.on_failure = self._arrived, self._failed_to_come

    def add(self, tasks: list[Task]) -> None:
        """Take calls to be done."""
        self._waiting.extend(tasks)
        self._changed()

    def drop(self) -> None:
        """Cancel all calls that have not begun; one that is to be repeated has."""
        waiting, self._waiting = self._waiting, deque()
        for task in waiting:
            if task.started or not task.future.cancel():
                self._waiting.append(task)
            else:
                task.start()

    def close(self) -> None:
        """End when all calls have been done."""
        self._closing = True
        self._changed()

    async def leave(self) -> None:
        """Let each worker end after the call that it is at, though we may be gone by then."""
        self.drop()
        self.close()
        await asyncio.gather(*(member.hand.leave() for member in self._members))
        await self._crew.withdraw()

    async def closed(self) -> None:
        """Wait until all is done and every worker is gone."""
        await self._closed.wait()

    def _changed(self) -> None:
        if self._staffing is None:
            # What comes in the same moment is counted before workers are asked for.
            pause = _MOMENT if self._missing() > 0 else 0.0
            self._staffing = asyncio.get_running_loop().call_later(pause, self._staff)

    def _missing(self) -> int:
        """Return how many more workers could have something to do."""
        idle = sum(1 for member in self._members if not member.running)
        wanted = len(self._waiting) - idle - self._coming
        return min(wanted, self._size - len(self._members) - self._coming)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    def _staff(self) -> None:
        """Ask for as many workers as can have something to do."""
        self._staffing = None
        self._waiting = deque(one for one in self._waiting if one.started or self._alive(one))
        missing = self._missing()
        if missing > 0:
            self._coming += missing
            self._spawn(self._recruit(missing))
        elif self._closing and not (self._waiting or self._members or self._ending):
            self._end_soon()
        for member in self._members:
            member.news.set()

    def _end_soon(self) -> None:
        """End now, or in a moment where workers may still come, who would come for nothing."""
        loop = asyncio.get_running_loop()
        if self._ends is None:
            self._ends = loop.time() + _LATE
            loop.call_at(self._ends, self._changed)
        if not self._coming or loop.time() >= self._ends:
            self._ending = True
            self._spawn(self._end())

    async def _recruit(self, count: int) -> None:
        try:
            await self._crew.recruit(count)
        except Exception as error:  # noqa: BLE001  (the calls must hear of it)
            self._failed_to_come(count, error)

    async def _end(self) -> None:
        try:
            await self._crew.dismiss()
        finally:
            self._closed.set()

    def _alive(self, task: Task) -> bool:
        if task.future.cancelled():
            task.start()
            return False
        return True

    def _failed_to_come(self, count: int, error: BaseException) -> None:
        """Note that workers will not come; without any other, all calls fail with the reason."""
        self._coming = max(0, self._coming - count)
        if not self._members and not self._coming:
            while self._waiting:
                task = self._waiting.popleft()
                if task.start():
                    task.future.set_exception(error)
        self._changed()

    def _arrived(self, hand: WorkerHandle) -> None:
        self._coming = max(0, self._coming - 1)
        member = PoolWorker(hand)
        self._members.add(member)
        self._spawn(self._employ(member))

    async def _employ(self, member: PoolWorker) -> None:
        """Give calls to a worker until there are none, or until it is gone."""
        answers = asyncio.get_running_loop().create_task(self._listen(member))
        answers.add_done_callback(lambda _: member.news.set())
        try:
            while not answers.done() and await self._something_to_do(member, answers):
                await self._give(member)
            member.hand.finish()
            await answers
        except Exception as error:
            log.exception("Cannot speak with the worker %s", member.hand.name)
            member.hand.finish()
            self._bury(member, error)
        finally:
            self._members.discard(member)
            self._count(member)
            self._changed()

    def _count(self, member: PoolWorker) -> None:
        """Give up where workers come and go, each by a job, while the calls go on waiting."""
        self._useless = 0 if member.is_of_use or not self._waiting else self._useless + 1
        if self._useless < _USELESS:
            return
        self._useless = 0
        told = (
            f"{_USELESS} workers in a row have ended before they took a call, the last one was "
            f"{member.hand.name}"
        )
        if self._members:
            self._size = len(self._members)
            log.warning("%s; going on with the %d that work", told, self._size)
        else:
            told += ": was the end of its walltime too near, by its clock?"
            self._failed_to_come(0, BatchError(told))

    async def _something_to_do(self, member: PoolWorker, answers: asyncio.Task[None]) -> bool:
        """Wait for calls; return False where this worker gets no more of them."""
        while not answers.done() and not self._is_tired(member):
            if self._waiting and self._room(member):
                return True
            if not member.running:
                await self._relieve()
            if self._closing and not self._waiting and not self._crowded(member):
                return False
            member.news.clear()
            try:
                await within(self._patience(member), member.news.wait())
            except asyncio.TimeoutError:
                if not self._crowded(member):
                    return False
        return False

    def _room(self, member: PoolWorker) -> int:
        """Return how many more calls a worker should have."""
        share = -(-len(self._waiting) // (len(self._members) + self._coming))
        room = min(member.depth, share) - len(member.running)
        if self._calls_each is not None:
            room = min(room, self._calls_each - member.done - len(member.running))
        return max(0, room) if len(member.running) <= member.depth // 2 else 0

    def _crowded(self, member: PoolWorker) -> bool:
        """Say whether a worker has calls, or could relieve another of some."""
        return bool(member.running) or any(len(one.running) > 1 for one in self._members)

    def _patience(self, member: PoolWorker) -> float | None:
        if member.running:
            return None
        return _STUCK if self._crowded(member) else self._linger

    async def _relieve(self) -> None:
        """Ask back the calls that wait behind a long one, for a worker that has none."""
        now = asyncio.get_running_loop().time()
        for one in self._members:
            if len(one.running) > 1 and now - one.heard > _STUCK:
                one.heard = now
                await one.hand.send(GIVE_BACK)

    def _is_tired(self, member: PoolWorker) -> bool:
        enough = self._calls_each is not None and (
            member.done + len(member.running) >= self._calls_each
        )
        return enough or member.hand.is_ending

    async def _give(self, member: PoolWorker) -> None:
        count = self._room(member)
        frames: list[bytes] = []
        while self._waiting and count:
            task = self._waiting.popleft()
            if not task.start():
                continue
            if member.mismatch and "pickle" in (task.call.form, task.call.function.form):
                task.future.set_exception(member.mismatch)
                continue
            count -= 1
            task.future.job = member.hand.job
            if task.call.function.key not in member.known:
                member.known.add(task.call.function.key)
                frames.append(task.call.function.frame())
            self._number += 1
            member.running[self._number] = task
            frames.append(task.call.frame(self._number))
        member.is_of_use = True
        member.heard = asyncio.get_running_loop().time()
        await member.hand.send(b"".join(frames))

    async def _listen(self, member: PoolWorker) -> None:
        """Hear a worker's answers until it ends, and see to what it leaves."""
        async for header, data in member.hand.answers():
            if header["type"] == "hello":
                member.greeted = True
                member.mismatch = mismatch(header["python"])
            elif header["type"] == "given back":
                back = [member.running.pop(number) for number in header["ids"]]
                self._waiting.extendleft(back)
                member.depth = 1
                self._changed()
            else:
                self._answered(member, header, data)
                member.news.set()
        if not member.greeted:
            await self._never_came(member)
        elif member.running:
            self._bury(member, await member.hand.ending())

    async def _never_came(self, member: PoolWorker) -> None:
        """Take back all that a worker was given that died before it could begin."""
        error = await member.hand.ending()
        member.is_of_use = False
        self._waiting.extendleft(reversed(member.running.values()))
        member.running.clear()
        self._members.discard(member)
        self._failed_to_come(0, error)

    def _answered(self, member: PoolWorker, header: dict[str, Any], data: bytes) -> None:
        task = member.running.pop(header["id"])
        member.done += 1
        member.heard = asyncio.get_running_loop().time()
        member.depth = min(_DEEPEST, 2 * member.depth) if header["took"] < _SHORT else 1
        value, error = read_result(header, data)
        if error is not None:
            task.future.set_exception(error)
        else:
            task.future.set_result(value)

    def _bury(self, member: PoolWorker, reason: BaseException) -> None:
        """Fail or repeat the call that a dead worker was at, and repeat those behind it."""
        left = list(member.running.values())
        member.running.clear()
        if not left:
            return
        first = left.pop(0)
        again = isinstance(reason, RETRIED) and first.tries < self._retries
        if again:
            first.tries += 1
            log.warning("Repeating a call: %s", reason)
            left.insert(0, first)
        else:
            first.future.set_exception(reason)
        self._waiting.extendleft(reversed(left))
