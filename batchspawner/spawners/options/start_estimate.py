"""When a server would start with what is chosen in the form, before anything is submitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...client.expected_start import PROMPT_S, StartQuestions
from ...errors import OptionsError
from ...jobs import JobRequest
from ..backends.exec_prefix import check_account
from ..backends.scheduler_backend import SchedulerBackend
from ..backends.selection import backend_of
from ..backends.unsafe_names import risky_names
from ..progress.wait_statistics import median_wait
from .alternatives import alternatives, fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..backends.backend import BackendSpawner
    from .base import Value
    from .queue_info import QueueInfo
    from .schema import Schema

    class EstimatedSpawner(BackendSpawner, Protocol):
        """Spawner whose start can be estimated."""

        async def _get_batch_script(self, **subvars: Any) -> str: ...


_MAX_ALTERNATIVES = 3


@dataclass(frozen=True)
class StartEstimate:
    """An estimate: `wait_s` are seconds, None for unknown.

    `source` says where it comes from: "scheduler", "free" or "waits". `refusal` are the
    scheduler's words about a job that it would not take. `change` are other values of fields with
    which the server would start at once.
    """

    wait_s: float | None = None
    source: str = ""
    refusal: str = ""
    change: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_prompt(self) -> bool:
        """Whether there is no wait to speak of."""
        return self.wait_s is not None and self.wait_s <= PROMPT_S


async def estimate_start(
    spawner: EstimatedSpawner, schema: Schema, values: Mapping[str, Value], info: QueueInfo
) -> StartEstimate:
    """Return when a server would start with checked values, and a change that starts it now.

    What the scheduler says counts, then what is free, then how long recent servers waited.
    """
    asked = _Question(spawner, info)
    found = await asked.estimate(values)
    if found.is_prompt or (found.source != "scheduler" and found.wait_s is None):
        return found
    for change in alternatives(schema, values, info)[:_MAX_ALTERNATIVES]:
        try:
            other = schema.check({**values, **change})
        except OptionsError:
            continue
        if (await asked.estimate(other)).is_prompt:
            return StartEstimate(found.wait_s, found.source, found.refusal, change)
    return found


class _Question:
    """Estimates for one user."""

    def __init__(self, spawner: EstimatedSpawner, info: QueueInfo) -> None:
        self._spawner, self._info = spawner, info
        # As before a submit.
        check_account(spawner)
        backend = None if risky_names(spawner) else backend_of(spawner)
        self._client = backend.client if isinstance(backend, SchedulerBackend) else None

    async def estimate(self, values: Mapping[str, Value]) -> StartEstimate:
        told = await self._ask(values)
        if told is not None:
            return told
        queue = self._queue(values)
        if fits(queue, values, self._info):
            return StartEstimate(0.0, "free")
        wait = median_wait(self._spawner.scheduler_name, queue)
        return StartEstimate(wait, "" if wait is None else "waits")

    def _queue(self, values: Mapping[str, Value]) -> str:
        configured = self._spawner.get_req_subvars()
        named = values.get("queue") or configured.get("partition") or configured.get("queue")
        native = next((one.name for one in self._info.queues if one.is_default), "")
        return str(named or native)

    async def _ask(self, values: Mapping[str, Value]) -> StartEstimate | None:
        """Return the scheduler's estimate; None if it has none, or is asked too often."""
        client = self._client
        if client is None:
            return None
        request = JobRequest(await self._script(values))
        command = client.scheduler.expected_start(request)
        if command is None:
            return None
        # Only the launcher's own verbs run as the user there.
        runner = client.query_runner if self._spawner.launcher else client.runner
        questions = StartQuestions.of(client.scheduler)
        shared = self._shared(request.script)
        told = await questions.answer(self._spawner.user.name, shared, command, runner)
        return None if told is None else StartEstimate(told.wait_s, "scheduler", told.refusal)

    async def _script(self, values: Mapping[str, Value]) -> str:
        """Return a job script with the same resources; it starts nothing, and has no secret."""
        variables = self._spawner.get_req_subvars()
        cleared = {"partition": ""} if "queue" in values else {}
        nothing = {"cmd": "true", "path": "", "prologue": "", "epilogue": ""}
        variables = {**variables, **cleared, **values, **nothing}
        return await self._spawner._get_batch_script(**variables)

    def _shared(self, script: str) -> str:
        """Return a script as it is for every user who asks for the same."""
        variables = self._spawner.get_req_subvars()
        for name in ("homedir", "username"):
            if value := str(variables.get(name, "")):
                script = script.replace(value, f"<{name}>")
        return script
