"""A system to which anything happens, for MINUTES minutes, by the choice of SEED (`make chaos`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.databases import DATABASES
from tests.chaos.history import history_of, shrink, written
from tests.chaos.invariants import check
from tests.chaos.queues import QUEUES
from tests.chaos.system import System

if TYPE_CHECKING:
    from pathlib import Path

SITE = os.environ.get("SITE") or "local"
DATABASE = os.environ.get("DATABASE") or "sqlite"
MINUTES = float(os.environ.get("MINUTES") or 10)
ROUNDS = 5
"""Rounds until the system is ended, and another begins with the next seed."""

SHRINK_ATTEMPTS = 12

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(60 * MINUTES + 7200),
    *(
        pytest.mark.skipif(bool(one.unavailable), reason=one.unavailable)
        for one in (QUEUES[SITE], DATABASES[DATABASE])
    ),
]


def broken_by(history, folder: Path) -> tuple[int, list[str]]:
    """Return the number of rounds until an invariant was broken, and the broken ones."""
    system = System(folder, SITE, DATABASE)
    with contextlib.closing(system):
        for number, steps in enumerate(history, 1):
            system.begin_round()
            for step in steps:
                print(time.strftime("%X"), step, flush=True)
                system.take(step.action, step.target)
                time.sleep(step.pause_s)
            system.repair()
            broken = check(system)
            if broken and system.hub_may_stick:
                print(f"  round {number}: the Hub is started again: {'; '.join(broken)}")
                system.kill_hub()
                system.start_hub()
                broken = check(system)
            print(f"  round {number}: {'; '.join(broken) or 'sound'}", flush=True)
            if broken:
                return number, broken
        system.stop_everything()
    return len(history), []


def test_whatever_happens_the_system_becomes_sound_again(tmp_path):
    end = time.monotonic() + 60 * MINUTES
    first = seed = int(os.environ.get("SEED") or time.time())
    while time.monotonic() < end:
        history, folder = history_of(seed, ROUNDS), tmp_path / str(seed)
        print(f"SEED={seed}", flush=True)
        rounds, broken = broken_by(history, folder)
        if broken:
            short = shortest(history[:rounds], tmp_path)
            pytest.fail(
                f"SEED={seed}: {'; '.join(broken)}\nThe Hub's log is {folder / 'hub' / 'hub.log'}."
                f"\n{written(history[:rounds])}\nThe shortest that fails as well:\n{written(short)}"
            )
        shutil.rmtree(folder)
        seed += 1
    print(f"Nothing was broken by SEED={first} to {seed - 1}.")


def shortest(history, folder: Path):
    """Return the shortest history that breaks an invariant, too, as far as found in MINUTES."""
    number = iter(range(SHRINK_ATTEMPTS))
    end = time.monotonic() + 60 * MINUTES

    def fails(candidate) -> bool:
        if time.monotonic() > end:
            return False
        return bool(broken_by(candidate, folder / f"shorter-{next(number)}")[1])

    return shrink(history, fails, SHRINK_ATTEMPTS)
