"""Do what is left to do before the interpreter ends."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  (its own ending has to come after ours)
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def before_exit(act: Callable[[], None]) -> None:
    """Have a function called while threads can still be started, which `atexit` is too late for."""
    process = os.getpid()

    def act_here() -> None:
        # A process that was forked ends, too, but has none of our threads.
        if os.getpid() == process:
            act()

    getattr(threading, "_register_atexit", atexit.register)(act_here)
