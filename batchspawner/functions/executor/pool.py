"""Pool of workers: it assigns tasks to workers, and settles the future of each task.

All of it runs in the library's event loop. Workers pull: one gets its next calls when it has few
left, as many at a time as it does in a few milliseconds. If a worker dies, the call that it was at
fails or is repeated by another worker; the calls behind it are always done by others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from ...concurrency import BackgroundTasks, within
from ...errors import BatchError, JobLost, JobPreempted, NodeFailed
from ..protocol.results import python_mismatch
from ..protocol.worker import pack
from .tasks import PoolWorker

if TYPE_CHECKING:
    from ..protocol.payload import PackedCall
    from ..protocol.worker import Header
    from .tasks import Task
    from .worker_providers import WorkerHandle, WorkerProvider

log = logging.getLogger(__name__)

RETRIED = (NodeFailed, JobPreempted, JobLost)
"""Ends of a job that are not the fault of a call, which is therefore repeated."""

_BATCH_TARGET_S = 0.005
"""Seconds that the calls which a worker has at a time may take together."""

_REQUEST_DELAY_S = 0.005
"""Seconds in which more calls may be added before workers are requested."""

_RECALL_DELAY_S = 0.05
"""Seconds without an answer after which the calls behind the first are given to others."""

_LATE_WORKER_TIMEOUT_S = 2.0
"""Seconds for which workers that were requested are awaited when all calls are done."""

_MAX_USELESS_WORKERS = 3
"""Workers in a row that end without having had a call, after which no more are requested."""

GIVE_BACK = pack({"type": "give back"})


class Pool:
    """Up to `size` workers of a provider, and the tasks for them.

    `retries` is how often a call is repeated after a dead node or a preempted job. A worker that
    has been idle for `linger` seconds is ended. `calls_each` is how many calls a worker does
    before it is replaced, None for no limit. `initializer` is what each worker does first.
    """

    def __init__(
        self,
        provider: WorkerProvider,
        size: int,
        *,
        retries: int = 2,
        linger: float = 60.0,
        calls_each: int | None = None,
        initializer: PackedCall | None = None,
    ) -> None:
        self._provider, self._retries = provider, retries
        self._full_size = self._size = size
        self._linger, self._calls_each = linger, calls_each
        self._initializer = initializer
        self._waiting: deque[Task] = deque()
        self._workers: set[PoolWorker] = set()
        self._requested = self._last_number = self._useless = 0
        self._closing = self._ending = False
        self._background = BackgroundTasks()
        self._staffing: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._closed = asyncio.Event()
        provider.on_worker, provider.on_failure = self._worker_started, self._request_failed
        provider.on_requeue = self._requeued

    def add(self, tasks: list[Task]) -> None:
        """Add tasks to be done."""
        if self._provider.progress is not None:
            self._provider.progress.add([task.future for task in tasks])
        self._waiting.extend(tasks)
        self._changed()

    def cancel_waiting(self) -> None:
        """Cancel all tasks that have not begun; one that is to be repeated has."""
        waiting, self._waiting = self._waiting, deque()
        for task in waiting:
            if task.started or not task.future.cancel():
                self._waiting.append(task)
            else:
                task.start()

    def close(self) -> None:
        """End the pool as soon as all tasks are done."""
        self._closing = True
        self._changed()

    async def detach(self) -> None:
        """Make each worker end after its current call, even if this process is gone by then."""
        self.cancel_waiting()
        self.close()
        await asyncio.gather(*(worker.handle.detach() for worker in self._workers))
        await self._provider.cancel_requests()

    async def closed(self) -> None:
        """Wait until all tasks are done and every worker has ended."""
        await self._closed.wait()

    def _changed(self) -> None:
        if self._staffing is None:
            # Calls that are added together are counted before workers are requested.
            delay = _REQUEST_DELAY_S if self._missing() else 0.0
            self._staffing = asyncio.get_running_loop().call_later(delay, self._staff)

    def _missing(self) -> int:
        """Return how many more workers could have something to do."""
        free = self._size - len(self._workers) - self._requested
        if free <= 0:
            return 0
        idle = sum(1 for worker in self._workers if not worker.running)
        wanted = len(self._waiting) - idle - self._requested
        return max(0, min(wanted, free))

    def _staff(self) -> None:
        """Request as many workers as could have something to do; close the pool if all is done."""
        self._staffing = None
        self._waiting = deque(one for one in self._waiting if one.is_wanted())
        missing = self._missing()
        if missing:
            self._requested += missing
            self._background.start(self._request_workers(missing))
        elif self._closing and not (self._waiting or self._workers or self._ending):
            self._end_when_requests_are_settled()
        for worker in self._workers:
            worker.changed.set()

    def _end_when_requests_are_settled(self) -> None:
        """End, if no requested worker may still arrive or has had its time to."""
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + _LATE_WORKER_TIMEOUT_S
            loop.call_at(self._deadline, self._changed)
        if not self._requested or loop.time() >= self._deadline:
            self._ending = True
            self._background.start(self._end())

    async def _request_workers(self, count: int) -> None:
        try:
            await self._provider.request_workers(count)
        except Exception as error:  # noqa: BLE001  (the futures report it)
            self._request_failed(count, error)

    async def _end(self) -> None:
        try:
            await self._provider.close()
        finally:
            if self._provider.progress is not None:
                self._provider.progress.close()
            self._closed.set()

    def _request_failed(self, count: int, error: BaseException) -> None:
        """Count workers that will not start; without any other, fail all waiting tasks."""
        self._requested = max(0, self._requested - count)
        if not self._workers and not self._requested:
            while self._waiting:
                task = self._waiting.popleft()
                if task.start():
                    task.future.set_exception(error)
        self._changed()

    def _requeued(self, count: int) -> None:
        """Count workers that will start again as requested."""
        self._requested += count

    def _worker_started(self, handle: WorkerHandle) -> None:
        self._requested = max(0, self._requested - 1)
        worker = PoolWorker(handle, self._initializer)
        self._workers.add(worker)
        self._background.start(self._run_worker(worker))

    async def _run_worker(self, worker: PoolWorker) -> None:
        """Send calls to a worker until there are none, or until it has ended."""
        answers = asyncio.get_running_loop().create_task(self._read_answers(worker))
        answers.add_done_callback(lambda _: worker.changed.set())
        try:
            while not answers.done() and await self._has_calls_for(worker, answers):
                await self._send_calls(worker)
            worker.handle.finish()
            await answers
        except Exception as error:
            log.exception("Cannot speak with the worker %s", worker.handle.name)
            worker.handle.finish()
            self._fail_or_requeue(worker, error)
        finally:
            self._workers.discard(worker)
            self._count_useless(worker)
            self._changed()

    def _count_useless(self, worker: PoolWorker) -> None:
        """Stop requesting workers if they keep ending without a call while calls are waiting."""
        useless = worker.has_failed or (not worker.has_had_calls and bool(self._waiting))
        self._useless = self._useless + 1 if useless else 0
        if self._useless < _MAX_USELESS_WORKERS:
            return
        problem = (
            f"{self._useless} workers in a row have ended before they took a call, the last one "
            f"was {worker.handle.name}"
        )
        self._size = len(self._workers) + self._requested
        if self._size:
            log.warning("%s; going on with %d, no more are requested", problem, self._size)
        else:
            # Calls that are added later are tried again.
            self._size = self._full_size
            problem += ": was the end of its walltime too near, by its clock?"
            self._request_failed(0, BatchError(problem))

    async def _has_calls_for(self, worker: PoolWorker, answers: asyncio.Task[None]) -> bool:
        """Wait for calls for a worker; return False if it gets no more of them."""
        while not answers.done() and not worker.is_used_up(self._calls_each):
            if self._waiting and self._free_slots(worker):
                return True
            if not worker.running:
                await self._recall_calls()
            if self._closing and not self._waiting and not self._may_get_calls(worker):
                return False
            worker.changed.clear()
            try:
                await within(self._idle_timeout(worker), worker.changed.wait())
            except asyncio.TimeoutError:
                # Both may happen at once: that the wait ends, and that calls come.
                if not self._waiting and not self._may_get_calls(worker):
                    return False
        return False

    def _free_slots(self, worker: PoolWorker) -> int:
        """Return how many more calls a worker should get now."""
        # Workers that are about to be requested get their share, too: it must not end up behind a
        # long call of this one.
        workers = len(self._workers) + self._requested + self._missing()
        share = -(-len(self._waiting) // workers)
        slots = min(worker.depth, share) - len(worker.running)
        if self._calls_each is not None:
            slots = min(slots, self._calls_each - worker.calls_done - len(worker.running))
        return max(0, slots) if len(worker.running) <= worker.depth // 2 else 0

    def _may_get_calls(self, worker: PoolWorker) -> bool:
        """Return whether a worker has calls, or could get some that another one gives back."""
        return bool(worker.running) or any(len(one.running) > 1 for one in self._workers)

    def _idle_timeout(self, worker: PoolWorker) -> float | None:
        if worker.running:
            return None
        return _RECALL_DELAY_S if self._may_get_calls(worker) else self._linger

    async def _recall_calls(self) -> None:
        """Ask workers to give back the calls that wait behind a long one, for an idle worker."""
        now = asyncio.get_running_loop().time()
        for one in self._workers:
            if len(one.running) > 1 and now - one.last_heard > _RECALL_DELAY_S:
                one.last_heard = now
                await one.handle.send(GIVE_BACK)

    async def _send_calls(self, worker: PoolWorker) -> None:
        count = self._free_slots(worker)
        frames: list[bytes] = []
        while self._waiting and count:
            task = self._waiting.popleft()
            if not task.start():
                continue
            if worker.mismatch and (task.is_pickled or worker.initializer_is_pickled):
                task.future.set_exception(worker.mismatch)
                continue
            count -= 1
            self._last_number += 1
            frames += worker.frames_of(self._last_number, task)
        worker.has_had_calls = True
        worker.last_heard = asyncio.get_running_loop().time()
        await worker.handle.send(b"".join(frames))

    async def _read_answers(self, worker: PoolWorker) -> None:
        """Process a worker's answers until it ends, and then the tasks that it leaves.

        Raises BatchError for what no worker of ours sends: a call may have written it there.
        """
        try:
            async for header, data in worker.handle.answers():
                self._handle_answer(worker, header, data)
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            name = worker.handle.name
            raise BatchError(f"{name} has sent what no worker sends: {error!r}") from error
        if not worker.has_started:
            await self._take_back_all(worker)
        elif worker.running:
            self._fail_or_requeue(worker, await worker.handle.exit_reason())

    def _handle_answer(self, worker: PoolWorker, header: Header, data: bytes) -> None:
        if header["type"] == "hello":
            worker.has_started = True
            worker.mismatch = python_mismatch(header["python"])
        elif header["type"] == "given back":
            back = {number: worker.running[number] for number in header["ids"]}
            for number in back:
                del worker.running[number]
            self._waiting.extendleft(back.values())
            worker.depth = 1
            self._changed()
        else:
            self._settle(worker, header, data)
            worker.changed.set()

    async def _take_back_all(self, worker: PoolWorker) -> None:
        """Requeue all tasks of a worker that died before it could begin."""
        error = await worker.handle.exit_reason()
        worker.has_failed = True
        self._waiting.extendleft(reversed(worker.running.values()))
        worker.running.clear()
        self._workers.discard(worker)
        self._request_failed(0, error)

    def _settle(self, worker: PoolWorker, header: Header, data: bytes) -> None:
        """Settle the future of the task that a frame answers."""
        task, is_short = worker.running[header["id"]], header["took"] < _BATCH_TARGET_S
        value, error = self._provider.read_result(header, data, worker.handle.spool)
        # Only now: a task of an answer that cannot be read is not lost.
        del worker.running[header["id"]]
        worker.note_answer(is_short=is_short)
        if error is not None:
            task.future.set_exception(error)
        else:
            task.future.set_result(value)

    def _fail_or_requeue(self, worker: PoolWorker, reason: BaseException) -> None:
        """Fail or repeat the call that a dead worker was at, and requeue those behind it."""
        left = list(worker.running.values())
        worker.running.clear()
        if not left:
            return
        first = left.pop(0)
        if isinstance(reason, RETRIED) and first.tries < self._retries:
            first.tries += 1
            log.warning("Repeating a call: %s", reason)
            left.insert(0, first)
        else:
            first.future.set_exception(reason)
        self._waiting.extendleft(reversed(left))
