"""Put a liar before a scheduler's commands: whoever runs them gets what a test wants him to get."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.hubs import wait_for

if TYPE_CHECKING:
    from pathlib import Path

LIAR = """#!/bin/sh
# {name}, as the file beside it says.
mode() {{ cat {folder}/{name}.mode 2>/dev/null; }}
# Nobody may be there any more to end us.
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
    """Stand before commands; `tell` says how each lies, and "" lets it say the truth."""

    def __init__(self, folder: Path, path: str, *names: str) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755, parents=True)
        # Whoever submits as himself leaves his notes here.
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

    def tell(self, name: str, mode: str, text: str = "") -> None:
        (self.folder / f"{name}.text").write_text(text)
        (self.folder / f"{name}.mode").write_text(mode)

    def lies(self, name: str) -> int:
        """Return how many lies were told."""
        return len((self.folder / f"{name}.lies").read_text().splitlines())

    def wait_for_lies(self, name: str, number: int, seconds: float = 60.0) -> None:
        before = self.lies(name)
        wait_for(lambda: self.lies(name) >= before + number, seconds, f"{number} lies of {name}")
