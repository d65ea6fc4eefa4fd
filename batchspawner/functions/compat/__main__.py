"""Program that runs a script in which ``import slurminade`` means this library.

The arguments are those of Python: a script with its own, or ``-m`` with the name of a module.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..protocol.main_module import interpreter


def main(argv: list[str]) -> None:
    """Replace this process by a Python that runs the script. Raises SystemExit without one."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.exit("usage: python -m batchspawner.functions.compat SCRIPT [ARGUMENT ...]")
    # The environment is also that of the jobs.
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    os.execv(sys.executable, [*interpreter(sys.executable), *argv])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
