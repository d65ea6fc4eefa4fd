"""Program that runs a notebook in a job: ``python -m batchspawner.labextension.run_notebook``.

It writes the notebook with its outputs after each cell, so that one can look at it meanwhile.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main(source: str, target: str) -> int:
    """Run the notebook `source`, write it to `target`; return the exit status."""
    nbformat: Any = import_module("nbformat")
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from traitlets.config import Config

    notebook: Any = nbformat.read(source, as_version=4)

    def write() -> None:
        new = Path(f"{target}.new")
        nbformat.write(notebook, new)
        new.replace(target)

    def written(cell_index: int, **_: Any) -> None:
        print(f"cell {cell_index + 1} of {len(notebook.cells)} is done", flush=True)
        write()

    write()
    client = NotebookClient(
        notebook,
        timeout=None,
        # Others on the node could connect to a port.
        config=Config({"KernelManager": {"transport": "ipc"}}),
        on_cell_executed=written,
        resources={"metadata": {"path": str(Path(target).parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
