"""Notebook cells as batch jobs: ``%load_ext batchspawner.magics``, then ``%%execute``.

A profile can set the defaults in its ``ipython_config.py``, as traits of `ExecuteMagics` or by
names of this module::

    c.InteractiveShellApp.exec_lines = [
        'import batchspawner.magics as m; m._DEFAULT_MGR = "ssh"',
        'm._DEFAULT_LINE_CMD_ARGS = "--host=node1"',
    ]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

_DEFAULT_MGR: str | None = None
"""The scheduler for lines that name none; None leaves that to the trait ``default_wlm``."""

_DEFAULT_LINE_CMD_ARGS: str | Mapping[str, str] | None = None
"""Options for all lines, or by the scheduler's name; None leaves them to ``default_args``."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; IPython calls it for ``%load_ext``."""
    from .execute import ExecuteMagics, ModuleDefaults

    # The names may be set at any time.
    defaults = lambda: ModuleDefaults(_DEFAULT_MGR, _DEFAULT_LINE_CMD_ARGS)  # noqa: E731
    shell.register_magics(ExecuteMagics(shell, defaults))
