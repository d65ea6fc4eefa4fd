from __future__ import annotations

import subprocess
import sys

import pytest

from batchspawner.schedulers import scheduler_class, scheduler_names
from batchspawner.schedulers.slurm.scheduler import Slurm

MODULE = """
from batchspawner.schedulers.slurm import Slurm
class Other(Slurm):
    name = "other"
nonsense = 7
"""
ENTRY_POINTS = """[batchspawner.schedulers]
other = others_scheduler:Other
broken = others_scheduler:nonsense
"""


def test_a_scheduler_is_found_by_its_name():
    assert scheduler_class("slurm") is Slurm


def test_an_unknown_scheduler_names_those_that_there_are():
    with pytest.raises(LookupError, match=r"no scheduler 'slrum'; known are .*slurm"):
        scheduler_class("slrum")


def test_another_distribution_adds_a_scheduler_by_an_entry_point(tmp_path):
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "others_scheduler.py").write_text(MODULE)
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from batchspawner.schedulers import scheduler_class, scheduler_names\n"
        "print(scheduler_class('other').__name__, 'other' in scheduler_names())\n"
        "try: scheduler_class('broken')\n"
        "except LookupError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == (
        "Other True\n'broken' is registered as 7, which is no Scheduler class\n"
    ), done.stderr


def test_the_names_are_sorted():
    assert scheduler_names() == sorted(scheduler_names())
