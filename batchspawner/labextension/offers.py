"""What this machine's scheduler offers: for the forms, and for programs."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..client.availability import cached_answer
from ..client.batch_client import BatchClient
from ..client.expected_start import PROMPT_S, StartQuestions
from ..client.job_scripts import find_scheduler, job_request
from ..errors import OptionsError
from ..message import Message, capital, counted, headed
from ..runners import own_name
from ..units import memory, say_duration, say_memory, say_minutes, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..client.expected_start import ExpectedStart
    from ..queues import Queue
    from ..schedulers.base import Scheduler

_COUNT = re.compile("[0-9]{1,9}")

ASKED = ("queue", "nprocs", "memory", "gpus", "runtime")
"""What an estimate takes into account."""


async def queues() -> dict[str, Any]:
    """Return the queues with their limits and free cores, and the user's accounts."""
    client = BatchClient(find_scheduler())
    scheduler, runner = client.scheduler, client.query_runner
    offered = await cached_answer(scheduler, runner).get()
    accounts = await cached_answer(scheduler, runner, "accounts").get()
    return {
        "scheduler": scheduler.name,
        "title": scheduler.title,
        "queues": [asdict(one) for one in offered.value or ()],
        "accounts": list((accounts.value or {}).get(own_name(), ())),
        "age": offered.age,
        "is_stale": offered.is_stale,
    }


async def estimate(wanted: Mapping[str, str]) -> dict[str, Any]:
    """Return when a job that asks for this would start.

    `answer` is ``free`` (at once, or so much is free), ``busy`` (later), ``impossible`` (the
    scheduler would refuse it, the queue has no such node, or is closed) or ``unknown``; `words`
    explains it. What the scheduler says about the job itself counts, where it says that
    (`Scheduler.expected_start`): then `source` is ``scheduler``, and `expected_start`, in seconds
    since the epoch, the start that it expects. Else what is free now counts, which is no promise.
    """
    client = BatchClient(find_scheduler())
    offered = await cached_answer(client.scheduler, client.query_runner).get()
    try:
        answer, words = judged(client.scheduler, offered.value or (), wanted)
        told = None if answer == "impossible" else await _asked(client, wanted)
    except OptionsError as error:
        answer, words, told = "impossible", error.message, None
    found = {"answer": answer, "words": words, "age": offered.age, "expected_start": None}
    if told is None or (told.wait_s is None and not told.refusal):
        return {**found, "source": "free"}
    return {**found, **_said(client.scheduler, told), "source": "scheduler", "age": None}


async def _asked(client: BatchClient, wanted: Mapping[str, str]) -> ExpectedStart | None:
    """Return what the scheduler says about a job that asks for this, None if it says nothing."""
    scheduler = client.scheduler
    resources: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    request = job_request(
        scheduler, "true", front_end="kernels", name="estimate", log="/dev/null", **resources
    )
    request = client.with_usual_options(request)
    command = scheduler.expected_start(request)
    if command is None:
        return None
    questions = StartQuestions.of(scheduler)
    asked = f"{shlex.join(request.arguments)}\n{request.script}"
    return await questions.answer(own_name(), asked, command, client.runner)


def _said(scheduler: Scheduler, told: ExpectedStart) -> dict[str, Any]:
    title = Message(capital(scheduler.title))
    if told.refusal or told.wait_s is None:
        words = Message(
            "%(scheduler)s would refuse the job: %(text)s", scheduler=title, text=told.refusal
        )
        return {"answer": "impossible", "words": words}
    start = time.time() + told.wait_s
    if told.wait_s <= PROMPT_S:
        words = Message("%(scheduler)s would start the job at once.", scheduler=title)
        return {"answer": "free", "words": words, "expected_start": start}
    words = Message(
        "%(scheduler)s expects to start the job in %(time)s.",
        scheduler=title,
        time=say_minutes(told.wait_s),
    )
    return {"answer": "busy", "words": words, "expected_start": start}


def judged(
    scheduler: Scheduler, known: Sequence[Queue], wanted: Mapping[str, str]
) -> tuple[str, Message]:
    """Return the answer of an estimate and its words. Raises OptionsError for a wrong value."""
    name = wanted.get("queue", "")
    queue = next((one for one in known if (one.name == name if name else one.is_default)), None)
    if queue is None:
        return "unknown", _unknown(scheduler)
    where = Message("the queue")
    if queue.name:
        where = Message("the queue %(name)s", name=queue.name)
    if not queue.is_open:
        return "impossible", Message("A job in %(queue)s cannot start: it is closed.", queue=where)
    over = _over_limit(queue, wanted)
    if over:
        return "impossible", Message(
            "A job in %(queue)s can have at most %(amount)s.", queue=where, amount=over
        )
    fits = queue.has_free(_count("nprocs", wanted), _memory(wanted), _count("gpus", wanted, 0))
    if fits is None:
        return "unknown", _unknown(scheduler)
    free = Message(
        "%(free)s of %(total)s cores are free in %(queue)s",
        free=queue.free_cores,
        total=queue.all_cores,
        queue=where,
    )
    if not fits:
        return "busy", headed(free, Message("the job will wait."))
    told = Message("the job may start at once, unless others wait before it.")
    return "free", headed(free, told)


def _over_limit(queue: Queue, wanted: Mapping[str, str]) -> Message | None:
    """Return the limit of a queue that a job would be over, None if there is no such limit."""
    limits: list[tuple[int, int | None, Callable[[int], Message]]] = [
        (_count("nprocs", wanted), queue.cores, _cores),
        (_memory(wanted), queue.memory, _of_memory),
        (_count("gpus", wanted, 0), queue.gpus, _gpus),
        (_runtime(wanted), queue.runtime, say_duration),
    ]
    over = (say(limit) for number, limit, say in limits if limit is not None and number > limit)
    return next(over, None)


def _unknown(scheduler: Scheduler) -> Message:
    title = Message(capital(scheduler.title))
    return Message("%(scheduler)s does not tell what is free.", scheduler=title)


def _cores(number: int) -> Message:
    return counted("%(value)s core", "%(value)s cores", number, value=number)


def _of_memory(size: int) -> Message:
    return Message("%(value)s of memory", value=say_memory(size))


def _gpus(number: int) -> Message:
    return counted("%(value)s GPU", "%(value)s GPUs", number, value=number)


def _count(name: str, wanted: Mapping[str, str], default: int = 1) -> int:
    text = wanted.get(name, "")
    if not text:
        return default
    if not _COUNT.fullmatch(text):
        raise OptionsError(name, text, Message("give a whole number"))
    return int(text)


def _memory(wanted: Mapping[str, str]) -> int:
    text = wanted.get("memory", "")
    return memory("memory", text) if text else 0


def _runtime(wanted: Mapping[str, str]) -> int:
    text = wanted.get("runtime", "")
    return seconds("runtime", text) if text else 0
