"""Interrupts (Ctrl-C) that come while a cell runs elsewhere."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")

MAX_PENDING = 2
"""Interrupts that may wait for us; one more raises KeyboardInterrupt wherever we are."""


class Interrupts:
    """Interrupts of this process, counted inside of a ``with``, which may be nested.

    A plain KeyboardInterrupt is raised between any two statements: it could cut an output in two,
    or come before there is anything that could be cancelled. Here, it only ends `during`.
    """

    def __init__(self) -> None:
        self._received = self._taken = self._depth = 0
        self._waiting = False
        self._previous: Callable[[int, FrameType | None], object] | None = None

    @property
    def pending(self) -> bool:
        """Whether an interrupt has come that nobody has taken."""
        return self._received > self._taken

    def take(self) -> bool:
        """Take one interrupt, and return whether there was one."""
        if not self.pending:
            return False
        self._taken += 1
        return True

    def during(self, wait: Callable[[], T]) -> T | None:
        """Return what `wait` returns, or None as soon as an interrupt is pending."""
        try:
            self._waiting = True
            result = None if self.pending else wait()
            self._waiting = False
        except KeyboardInterrupt:
            return None
        return result

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        self._received = self._taken = 0
        handler = signal.getsignal(signal.SIGINT)
        # Other threads get no signals; a process that ignores them goes on doing so.
        if callable(handler) and threading.current_thread() is threading.main_thread():
            self._previous = handler
            signal.signal(signal.SIGINT, self._handle)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
        if self.pending and kind is None:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._received += 1
        if self._waiting or self._received - self._taken > MAX_PENDING:
            self._waiting = False
            raise KeyboardInterrupt
