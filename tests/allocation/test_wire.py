"""What somebody who listens on the network learns of functions and cells: nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.wire import Wire, needs_wire

pytestmark = needs_wire

# Other words than in tests/kernels/test_wire.py, where some are heard, perhaps at the same time.
# They are joined in the job, so that an argument is no part of a function.
FUNCTIONS = """
import batchspawner.functions as f

@f.slurmify
def stalked(word):
    print("printed-" + word)
    return word.replace("okapi", "stalked") + "-result"

if __name__ == "__main__":
    with f.Executor("local", workers=1) as executor:
        print(executor.submit(stalked, "okapi-argument").result(50))
    print(stalked.distribute("okapi-argument").result(50))
"""
CELL = """
from IPython.core.interactiveshell import InteractiveShell

if __name__ == "__main__":
    shell = InteractiveShell.instance()
    shell.run_cell("%load_ext batchspawner.magics")
    cell = "echo okapi-argument | sed 's/okapi/stalked/; s/$/-result/'"
    shell.run_cell(f"%%execute --wlm=local\\n{cell}")
"""


@pytest.mark.parametrize(("script", "lines"), [(FUNCTIONS, 2), (CELL, 1)])
def test_nobody_hears_what_programs_say_with_their_jobs(script, lines, tmp_path):
    file = tmp_path / "script.py"
    file.write_text(script)
    environment = {
        **os.environ,
        "BATCHSPAWNER_SCHEDULER": "local",
        "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
        "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    argv = [sys.executable, str(file)]
    with Wire() as wire:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.count("stalked-argument-result\n") == lines, done.stdout + done.stderr
    needles = [b"okapi-argument", b"stalked-argument"]
    assert [one for one in needles if wire.carried(one)] == []
