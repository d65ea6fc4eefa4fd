"""What slurminade does in `benchmarks/functions.py`: its functions must be in the main script."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import slurminade


@slurminade.slurmify()
def note(file, number):
    with open(file, "a") as notes:
        notes.write(f"{number * number}\n")


def main(tasks: int, folder: Path) -> None:
    from functions import tell

    file = folder / "notes"
    os.chdir(folder)
    begun = time.perf_counter()
    with slurminade.JobBundling(max_size=100):
        for number in range(tasks):
            note.distribute(str(file), number)
    while not file.exists() or len(lines := file.read_text().split()) < tasks:
        time.sleep(0.005)
    tell(time.perf_counter() - begun, sum(map(int, lines)), tasks)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
