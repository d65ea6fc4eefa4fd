"""A notebook of one user: it reads cells, and writes what they print, as lines of JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


def main() -> None:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    answers = sys.stdout
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            shell.run_cell(json.loads(line))
        print(json.dumps([out.getvalue(), err.getvalue()]), file=answers, flush=True)


if __name__ == "__main__":
    print(os.getpid(), flush=True)
    main()
