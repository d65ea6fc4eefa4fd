"""The function that slurminade runs in `benchmarks/functions.py`: it needs a file of its own."""

from __future__ import annotations

import slurminade


@slurminade.slurmify()
def note(file, number):
    with open(file, "a") as notes:
        notes.write(f"{number * number}\n")
