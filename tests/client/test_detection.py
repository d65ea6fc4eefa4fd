"""Which scheduler a machine has: by its commands here, and by a script on a login host."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from batchspawner.client import job_scripts
from batchspawner.client.job_scripts import detect, detection_script
from batchspawner.schedulers.base import Detection
from batchspawner.schedulers.slurm import Slurm

FOUND = [
    ((), False, "local"),
    (("sbatch",), False, "slurm"),
    (("condor_submit",), False, "htcondor"),
    (("bsub",), False, "lsf"),
    (("oarsub",), False, "oar"),
    (("msub",), False, "moab"),
    (("qconf",), False, "gridengine"),
    (("qsub",), False, "torque"),
    (("qsub",), True, "pbspro"),
    # These come with a qsub of their own, or with one that understands Torque's options.
    (("qsub", "qconf"), True, "gridengine"),
    (("qsub", "msub"), False, "moab"),
    (("qsub", "sbatch"), True, "slurm"),
    (("qconf", "sbatch"), False, "slurm"),
    # The file alone is left of a PBS that was removed.
    ((), True, "local"),
]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a machine with these commands, and with the configuration of PBS or without."""

    def make(commands, has_pbs_conf):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in commands:
            (folder / name).write_text("#!/bin/sh\n")
            (folder / name).chmod(0o755)
        file = tmp_path / "pbs.conf"
        if has_pbs_conf:
            file.write_text("PBS_SERVER=head\n")
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("PBS_CONF_FILE", str(file))
        monkeypatch.delenv("BATCHSPAWNER_SCHEDULER", raising=False)

    return make


def printed() -> str:
    shell = shutil.which("sh", path="/usr/bin:/bin")
    done = subprocess.run([shell, "-c", detection_script()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("commands", "has_pbs_conf", "name"), FOUND)
def test_a_scheduler_is_recognised_by_its_commands(machine, commands, has_pbs_conf, name):
    machine(commands, has_pbs_conf)
    assert detect() == name


VERSIONS = [
    ("echo pbs_version = 23.06.06", "pbspro"),
    ("echo pbs_version = 19.1.3 >&2", "pbspro"),
    ("printf 'Version: 6.1.3\\nCommit: 1234567\\n'", "torque"),
    ("echo qsub: illegal option >&2; exit 2", "torque"),
]


@pytest.mark.parametrize(("version", "name"), VERSIONS)
def test_pbs_pro_without_its_file_is_recognised_by_its_version(machine, tmp_path, version, name):
    machine(("qsub",), False)
    (tmp_path / "bin" / "qsub").write_text(f"#!/bin/sh\n{version}\n")
    assert (detect(), printed()) == (name, name)


@pytest.mark.parametrize(("commands", "has_pbs_conf", "name"), FOUND)
def test_a_login_host_finds_the_same(machine, commands, has_pbs_conf, name):
    machine(commands, has_pbs_conf)
    # Jobs of another machine cannot be those of our own embedded queue.
    assert printed() == ("" if name == "local" else name)


def test_without_the_variable_pbs_pro_is_recognised_by_its_usual_file(machine, monkeypatch):
    machine(("qsub",), False)
    monkeypatch.delenv("PBS_CONF_FILE")
    seen = []
    monkeypatch.setattr(job_scripts.Path, "exists", lambda self: not seen.append(str(self)))
    assert (detect(), seen) == ("pbspro", ["/etc/pbs.conf"])
    assert 'test -e "${PBS_CONF_FILE:-/etc/pbs.conf}"' in detection_script()


def test_the_variable_chooses_here_and_there(machine, monkeypatch):
    machine(("sbatch",), False)
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "oar")
    assert (detect(), printed()) == ("oar", "oar")


def test_a_variable_that_names_no_scheduler_is_an_error(machine, monkeypatch):
    machine(("sbatch",), False)
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "slrum")
    with pytest.raises(LookupError, match="there is no scheduler 'slrum'"):
        detect()


def test_a_scheduler_of_another_distribution_is_recognised_too(machine, monkeypatch):
    class Other(Slurm):
        name = "other"
        detection = Detection("tsp")

    monkeypatch.setattr(job_scripts, "scheduler_classes", lambda: (Slurm, Other))
    machine(("tsp",), False)
    assert (detect(), printed()) == ("other", "other")
