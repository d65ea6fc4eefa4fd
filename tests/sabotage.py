"""Commands of a scheduler that lie, hang or lose an answer when a test wants it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.hubs import wait_for

if TYPE_CHECKING:
    from pathlib import Path

LIAR = """#!/bin/sh
# {name}, as the file beside it says; its clock is right, whatever that of its caller is.
unset LD_PRELOAD
mode() {{ cat {folder}/{name}.mode 2>/dev/null; }}
# Whoever would end it may have ended itself.
stay() {{ while [ "$(mode)" = "$1" ]; do sleep 0.5; done; exit 1; }}
case $(mode) in
    nonsense) echo "Lorem ipsum: no such thing" >&2; status=1 ;;
    hang) echo x >> {folder}/{name}.lies; stay hang ;;
    empty) status=0 ;;
    half) {real} "$@" | head -c 150; status=0 ;;
    lost) {real} "$@" >> {folder}/{name}.truth; cat {folder}/{name}.text >&2; status=1 ;;
    slow) echo x >> {folder}/{name}.lies; sleep 6; exec {real} "$@" ;;
    late) {real} "$@" >> {folder}/{name}.truth; echo x >> {folder}/{name}.lies; stay late ;;
    *) exec {real} "$@" ;;
esac
echo x >> {folder}/{name}.lies
exit $status
"""


class Liars:
    """Commands in front of the real ones on PATH; `answer` sets how each of them lies."""

    def __init__(self, folder: Path, path: str, *names: str) -> None:
        self.folder, self.names = folder, names
        folder.mkdir(mode=0o755, parents=True)
        # Commands that run as a user write their notes here.
        folder.chmod(0o1777)
        for name in names:
            real = shutil.which(name, path=path)
            file = folder / name
            file.write_text(LIAR.format(name=name, folder=folder, real=real))
            file.chmod(0o755)
            for notes in (folder / f"{name}.lies", folder / f"{name}.truth"):
                notes.touch()
                notes.chmod(0o666)
        self.path = os.pathsep.join([str(folder), path])

    def answer(self, name: str, mode: str, text: str = "") -> None:
        """Set how a command lies from now on; with an empty mode it answers truly."""
        (self.folder / f"{name}.text").write_text(text)
        (self.folder / f"{name}.mode").write_text(mode)

    def answer_truly(self) -> None:
        """Make all commands answer as the real ones do."""
        for name in self.names:
            self.answer(name, "")

    def lies(self, name: str) -> int:
        """Return how often a command has lied."""
        return len((self.folder / f"{name}.lies").read_text().splitlines())

    def wait_for_lies(self, name: str, number: int, seconds: float = 60.0) -> None:
        before = self.lies(name)
        wait_for(lambda: self.lies(name) >= before + number, seconds, f"{number} lies of {name}")
