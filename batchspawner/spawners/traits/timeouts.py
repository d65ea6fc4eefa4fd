"""How long a start may take: in the queue, and from the job's start until its server answers."""

from __future__ import annotations

from typing import Any

from jupyterhub.utils import maybe_future
from traitlets import HasTraits, Integer

from ..backends.start_clock import StartLimits


class StartTimeout(Integer):  # type: ignore[type-arg]
    """Trait that knows whether a site has set it, its default value included."""

    def set(self, obj: Any, value: Any) -> None:
        super().set(obj, value)
        obj.is_start_timeout_set = True


class TimeoutTraits(HasTraits):
    """Limits of a start, from which the one that JupyterHub keeps is derived."""

    queue_timeout = Integer(
        None,
        allow_none=True,
        min=0,
        help="Seconds that a job may wait in the queue until it runs; 0: no limit. "
        "`start_timeout` then begins when the job runs. Without it, there is no limit either, "
        "unless `start_timeout` is set: that then counts the queue, too, as in batchspawner 1.x.",
    ).tag(config=True)

    start_timeout = StartTimeout(
        300,
        help="Seconds from the job's start until its server must answer. If it is set and "
        "`queue_timeout` is not, the wait in the queue is included, as in batchspawner 1.x.",
    ).tag(config=True)

    is_start_timeout_set = False
    """Whether `start_timeout` was set, by the configuration or by code of the site."""

    _site_timeout: tuple[int, bool] | None = None

    @property
    def start_limits(self) -> StartLimits:
        """Limits of a start, by what is set."""
        if self.queue_timeout is not None:
            return StartLimits(self.queue_timeout or None, self.start_timeout)
        # A subclass of a site may have a trait of its own, or a plain number.
        is_ours = isinstance(getattr(type(self), "start_timeout", None), StartTimeout)
        if self.is_start_timeout_set or not is_ours:
            return StartLimits(total_s=self.start_timeout)
        return StartLimits(start_s=self.start_timeout)

    async def run_pre_spawn_hook(self) -> None:
        """Run the hook, and then tell JupyterHub how long it waits for the start.

        JupyterHub reads `start_timeout` when it has called `start`, which sets it back.
        """
        await maybe_future(super().run_pre_spawn_hook())  # type: ignore[misc]
        self._site_timeout = (self.start_timeout, self.is_start_timeout_set)
        self.start_timeout = self.start_limits.hub_s

    def restore_start_timeout(self) -> None:
        """Set `start_timeout` back to what the site has set, once JupyterHub has read it."""
        if self._site_timeout is not None:
            self.start_timeout, is_set = self._site_timeout
            self.is_start_timeout_set = is_set
            self._site_timeout = None
