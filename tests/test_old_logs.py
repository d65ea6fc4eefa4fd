"""The logs that servers leave in the homes of their users, and when they go."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from batchspawner import singleuser

if TYPE_CHECKING:
    from pathlib import Path

OURS = [
    ".jupyterhub.slurm.12.log",
    ".jupyterhub.oar.12.out",
    "jupyterhub_slurmspawner_12.log",
]
OTHERS = ["jupyterhub_notes.log", "simulation_12.log", ".jupyterhub.slurm.log", "12.log"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(home: Path, days: float, *names: str) -> None:
    then = time.time() - days * 86400
    for name in names:
        (home / name).touch()
        os.utime(home / name, (then, then))


def left(home: Path, **environment: str) -> list[str]:
    singleuser.remove_old_logs(environment)
    return sorted(one.name for one in home.iterdir())


def test_old_logs_of_servers_go_and_nothing_else(home):
    write(home, 31, *OURS, *OTHERS)
    assert left(home) == sorted(OTHERS)


def test_logs_of_the_last_days_stay(home):
    write(home, 29, *OURS)
    assert left(home) == sorted(OURS)
    assert left(home, BATCHSPAWNER_LOG_DAYS="28") == []


@pytest.mark.parametrize("days", ["0", "all"])
def test_a_site_can_keep_all(home, days):
    write(home, 400, *OURS)
    assert left(home, BATCHSPAWNER_LOG_DAYS=days) == sorted(OURS)


def test_a_link_and_what_it_names_stay(home):
    write(home, 31, "thesis.tex")
    (home / OURS[0]).symlink_to(home / "thesis.tex")
    assert left(home) == sorted([OURS[0], "thesis.tex"])
