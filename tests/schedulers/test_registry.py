from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import batchspawner
from batchspawner.schedulers import scheduler_class, scheduler_names
from batchspawner.schedulers.slurm.scheduler import Slurm

PACKAGE = Path(batchspawner.__file__).parent
# Where a built-in scheduler may be named, besides its package and the registry.
NAMED = {
    # The class attribute `scheduler_name`.
    *(f"batchspawner/spawners/{one}.py" for one in ("gridengine", "htcondor", "local", "lsf")),
    *(f"batchspawner/spawners/{one}.py" for one in ("oar", "slurm", "torque")),
    # The documented default of SlurmProvisioner.scheduler.
    "batchspawner/kernels/provisioner.py",
    # The demo shows the embedded queue.
    "batchspawner/cli/demo.py",
    "batchspawner/cli/demo_config.py",
}
# Where a variable of a job may be named.
VARIABLE = re.compile(r"(SLURM|SBATCH|PBS|SGE|LSB|OAR|_CONDOR)_\w+|JOB_ID")
VARIABLES = {
    # The file that HTCondor has transferred lies there; this program runs alone in a job.
    "batchspawner/singleuser.py",
    # What GridengineSpawner has always given to its jobs.
    "batchspawner/spawners/gridengine.py",
}

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


def test_a_scheduler_that_cannot_be_loaded_does_not_hinder_the_others(tmp_path):
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "others_scheduler.py").write_text(MODULE)
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from batchspawner.schedulers import scheduler_classes\n"
        "from batchspawner.templating import find_template\n"
        "print([one.name for one in scheduler_classes()][-1])\n"
        "print(find_template('other.j2', ())[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    # One that extends a scheduler of ours and has no template of its own uses that one's.
    assert done.stdout.splitlines() == ["other", str(PACKAGE.parent / "templates" / "slurm.j2")]
    assert "The scheduler 'broken' cannot be loaded: LookupError: 'broken' is reg" in done.stderr


def test_the_names_are_sorted():
    assert scheduler_names() == sorted(scheduler_names())


def texts() -> list[tuple[str, str]]:
    """Return every text in the code, except in docstrings and schedulers, with its file."""
    found = []
    for top in (PACKAGE, PACKAGE.parent / "wrapspawner"):
        for path in top.rglob("*.py"):
            file = str(path.relative_to(PACKAGE.parent))
            if not file.startswith("batchspawner/schedulers/"):
                nodes = ast.walk(ast.parse(path.read_text()))
                values = (one.value for one in nodes if isinstance(one, ast.Constant))
                found += [(file, value) for value in values if isinstance(value, str)]
    return found


def test_a_scheduler_is_named_by_itself_and_not_in_tables_elsewhere():
    names = {name for name in scheduler_names() if (PACKAGE / "schedulers" / name).is_dir()}
    assert {file for file, text in texts() if text in names} == NAMED


def test_the_variables_of_its_jobs_are_named_by_a_scheduler_itself():
    assert {file for file, text in texts() if VARIABLE.fullmatch(text)} == VARIABLES
