"""The launcher, with commands that record how they were called."""

from __future__ import annotations

import io
import json
import os
import pwd
import sys
from typing import TYPE_CHECKING

from batchspawner import launcher
from batchspawner.launcher import Launcher, Rules

if TYPE_CHECKING:
    from pathlib import Path

TAG = "jh-0123456789ab"
ME = pwd.getpwuid(os.getuid())

# Every command of these rules says how it was called, and in which environment.
TOOL = """#!{python} -I
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "calls"), "a") as file:
    read = "" if sys.argv[1] == "show" else sys.stdin.read()
    print(json.dumps([sys.argv[1:], read, dict(os.environ)]), file=file)
if sys.argv[1] == "show":
    with open(os.path.join(folder, "shown")) as file:
        print(file.read(), end="")
print("said by", sys.argv[1], file=sys.stderr)
sys.exit(int(os.environ.get("BATCHSPAWNER_EXIT", "0")))
"""


class Desk:
    """A launcher with commands that record how they were called."""

    def __init__(self, folder: Path, **rules) -> None:
        self.folder = folder
        tool = folder / "tool"
        tool.write_text(TOOL.format(python=sys.executable))
        tool.chmod(0o755)
        self.account = ME
        self.shown(TAG)
        self.rules = {
            "group": "none",
            "environment": {"PATH": "/usr/bin:/bin", "SITE": "1"},
            "submit": [str(tool), "submit", "--comment={tag}", "{names}"],
            "show": [str(tool), "show", "{job_id}"],
            "cancel": [str(tool), "cancel", "{job_id}"],
            "signal": [str(tool), "signal", "{signal}", "{job_id}"],
            "log": str(folder / "job-{job_id}.log"),
            **rules,
        }

    def shown(self, text: str) -> None:
        """Set what the scheduler shows of a job."""
        (self.folder / "shown").write_text(text)

    def ask(self, **request) -> int:
        return self.send(json.dumps(request).encode())

    def send(self, data: bytes) -> int:
        request = launcher.read_request(io.BytesIO(data))
        return Launcher(Rules(self.rules), self.account).handle(request)

    @property
    def calls(self) -> list:
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def words(self) -> list:
        return [words for words, _, _ in self.calls]


def submit(**more) -> dict:
    request = {
        "verb": "submit",
        "tag": TAG,
        "script": "#!/bin/sh\n",
        "environment": {},
        "files": {},
    }
    return {**request, **more}
