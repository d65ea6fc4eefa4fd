"""The outcome of a start, for all that tell of it: metrics, history, home page and failed page."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from .failures.spawn_failure import failures_in
from .hub.history import recording_start
from .hub.jupyterhub import JobSpawner, hub_spawner
from .hub.metrics import counting_failures
from .progress.past_ends import noting_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tornado.web import RequestHandler

    from ..translation import Catalogue


class TranslatingSpawner(JobSpawner, Protocol):
    """A spawner that knows the language of its reader."""

    def catalogue(self, handler: RequestHandler | None = None) -> Catalogue: ...


@contextmanager
def noting_outcome(spawner: TranslatingSpawner) -> Iterator[None]:
    """Note how the start in the block ends; a failure is in the language of who has started."""
    in_language = failures_in(spawner.catalogue(getattr(hub_spawner(spawner), "handler", None)))
    counting = counting_failures(spawner.scheduler_name)
    with counting, recording_start(spawner), noting_failure(spawner), in_language:
        yield
