"""Recording of the transcripts that tests/recorded.py reads, from a real scheduler."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.recorded import FOLDER, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchspawner.commands import Command


def record(
    scheduler: str,
    name: str,
    call: Command,
    version: str,
    *,
    prefix: tuple[str, ...] = (),
    environment: Mapping[str, str],
    hide: Mapping[str, str],
) -> str:
    """Run a command, write its transcript without what is private, and return its output.

    `hide` maps texts of this machine to neutral ones; moments are rounded to ten seconds.
    """
    done = subprocess.run(
        (*prefix, *call.argv),
        input=call.input,
        cwd="/",
        env={**environment, **call.environment},
        capture_output=True,
        text=True,
    )
    text = f"# recorded from {version}\n$ {shlex.join(shown(call.argv))}\n{done.stdout}"
    if done.stderr:
        text += f"[stderr]\n{done.stderr}"
    text += f"[exit {done.returncode}]\n"
    for private, neutral in hide.items():
        text = text.replace(private, neutral)
    text = re.sub(r"\b(1\d{9})(\.\d+)?\b", lambda match: str(int(match[1]) // 10 * 10), text)
    (FOLDER / scheduler).mkdir(parents=True, exist_ok=True)
    (FOLDER / scheduler / f"{name}.txt").write_text(text)
    return done.stdout.strip()
