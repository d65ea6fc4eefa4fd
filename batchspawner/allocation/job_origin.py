"""Where a job comes from: the notebook and cell, or the script, that asked for it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"
"""The variable in which a Jupyter server gives a kernel the path of its notebook.

https://jupyter-server.readthedocs.io/en/latest/developers/contents.html
"""


@dataclass(frozen=True)
class Origin:
    """The notebook, with the number of its cell, or the script; empty if that is not known."""

    notebook: str = ""
    cell: int = 0
    script: str = ""

    @classmethod
    def of_kernel(cls, environment: Mapping[str, str]) -> Origin:
        """Return the origin of a kernel that is started with this environment."""
        return cls(notebook=environment.get(NOTEBOOK_VARIABLE, ""))

    @classmethod
    def here(cls) -> Origin:
        """Return the origin of what this process does: its notebook's cell, or its script."""
        number = _running_cell()
        if number is not None:
            return cls(notebook=os.environ.get(NOTEBOOK_VARIABLE, ""), cell=number)
        script = sys.argv[0] if sys.argv else ""
        return cls(script=str(Path(script).absolute())) if Path(script).is_file() else cls()


def _running_cell() -> int | None:
    """Return the number of the cell that this kernel runs, None if this is no kernel."""
    # A script that a cell starts has the kernel's environment, but no kernel in it.
    shell = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    if shell is None or not shell.initialized():
        return None
    running = shell.instance()
    if not hasattr(running, "kernel"):
        return None
    # IPython 9 counts a cell before it runs, earlier ones after it; its text is stored before.
    return max(0, len(running.history_manager.input_hist_parsed) - 1)
