"""The dispatcher in use: `BatchDispatcher` unless another one was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .batch import BatchDispatcher

if TYPE_CHECKING:
    from .base import Dispatcher

_current: Dispatcher | None = None


def get_dispatcher() -> Dispatcher:
    """Return the dispatcher in use, a `BatchDispatcher` for this machine by default."""
    global _current
    if _current is None:
        _current = BatchDispatcher()
    return _current


def set_dispatcher(dispatcher: Dispatcher | None) -> None:
    """Use another dispatcher for all calls from now on, None for the default one."""
    global _current
    _current = dispatcher


def join() -> None:
    """Make all later jobs wait for all earlier ones."""
    get_dispatcher().join()
