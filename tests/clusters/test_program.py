"""What runs in the jobs of clusters: compared whole with tests/golden, and run by a real bash.

`BATCHSPAWNER_GOLDEN=1 pytest tests/clusters/test_program.py` writes the files again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from batchspawner.clusters.folders import JobFolder
from batchspawner.clusters.program import ClusterProgram, launch_command, listening
from batchspawner.errors import OptionsError

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = {
    "whole": ClusterProgram(
        n=4,
        controller=("python3", "-m", "ipyparallel.controller", "--ip=*"),
        engine=("python3", "-m", "ipyparallel.engine", "--mpi"),
        notebook=("python3", "-m", "jupyterlab"),
        launch=("srun", "--ntasks=4"),
        ipython_folder="/home/alice/.ipython",
        environment={"OMP_NUM_THREADS": "2", "NOTE": "it's mine"},
    ),
    "engines": ClusterProgram(
        n=2,
        engine=("ipengine",),
        profile="/home/alice/.ipython/profile_default",
        connection="/home/alice/.ipython/profile_default/security/ipcontroller-engine.json",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_program_is_as_recorded(case):
    text = CASES[case].render(JobFolder(Path("/home/alice/clusters/1")), templates=())
    file = GOLDEN / f"ipcluster-{case}.sh"
    if os.environ.get("BATCHSPAWNER_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_a_site_overrides_a_part_of_the_program(tmp_path):
    (tmp_path / "ipcluster.j2").write_text(
        '{% extends "packaged/ipcluster.j2" %}\n'
        "{% block environment %}\nmodule load python\n{{ super() }}{% endblock %}\n"
    )
    text = CASES["whole"].render(JobFolder(tmp_path), templates=(str(tmp_path),))
    assert "module load python\nexport OMP_NUM_THREADS=2\n" in text
    assert "ipyparallel.controller" in text


def test_a_variable_that_is_no_name_is_refused(tmp_path):
    with pytest.raises(OptionsError, match="'A B' is not allowed"):
        ClusterProgram(environment={"A B": "1"}).render(JobFolder(tmp_path))


@pytest.mark.parametrize(
    ("how", "command"),
    [
        ("", ()),
        ("srun", ("srun", "--ntasks=3")),
        ("/opt/slurm/bin/srun --mpi=pmix", ("/opt/slurm/bin/srun", "--mpi=pmix", "--ntasks=3")),
        ("mpiexec --oversubscribe", ("mpiexec", "--oversubscribe", "-n", "3")),
    ],
)
def test_ranks_are_started_by_a_command_with_their_number(how, command):
    assert launch_command(how, 3) == command


def test_a_controller_listens_to_other_nodes_where_nothing_else_is_said():
    assert listening(("--ip=10.0.0.1",)) == ()
    assert listening(()) == ("--ip=*",)


@pytest.fixture
def program(tmp_path):
    """Run a program whose parts are shell commands."""
    started = []

    def run(**parts):
        shell = {name: ("sh", "-c", text) for name, text in parts.items() if isinstance(text, str)}
        parts = {"n": 2, "ipython_folder": str(tmp_path), **parts, **shell}
        folder = JobFolder(tmp_path)
        folder.write("job_id", "7\n")
        path = folder.write("program.sh", ClusterProgram(**parts).render(folder))
        started.append(
            subprocess.Popen(
                ["bash", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.communicate()


READY = 'p=${1#*=}; mkdir -p "$p/security"; echo x > "$p/security/ipcontroller-engine.json"; '


def controller(then):
    """Return a controller that writes its file and then does something."""
    # The shell takes the first argument, the profile, for its own name.
    return READY.replace("${1#*=}", "${0#*=}") + then


def test_each_element_of_an_array_keeps_a_log_of_its_own(program, tmp_path):
    for text in ("echo one", "echo other"):
        process = program(engine=text, profile=str(tmp_path), elements=2, n=1)
        assert process.communicate(timeout=20)[0] == ""
    folder = JobFolder(tmp_path)
    logs = folder.logs_of_elements()
    assert sorted(path.read_text() for path in logs) == ["one\n", "other\n"]
    assert [path.stat().st_mode & 0o777 for path in logs] == [0o600, 0o600]
    assert sorted(folder.log_tail().split()) == ["one", "other"]


def test_engines_start_when_the_controller_has_written_its_file(program, tmp_path):
    started = time.monotonic()
    late = "sleep 0.5; " + controller("exec sleep 60")
    process = program(controller=late, engine="echo engine; exit 3")
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("engine\nengine\n", 3)
    assert time.monotonic() - started > 0.5
    assert not (tmp_path / "profile_job_7").exists()


def test_a_controller_that_ends_early_fails_the_job(program):
    process = program(controller="echo no licence; exit 5", engine="echo engine")
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out.splitlines() == [
        "no licence",
        "batchspawner: the controller ended before it was ready; what it said is above",
    ]


def test_the_end_of_the_controller_ends_the_engines(program):
    process = program(controller=controller("sleep 0.3; exit 4"), engine="exec sleep 600")
    process.communicate(timeout=20)
    assert process.returncode == 4


def test_a_terminated_job_ends_its_parts_and_removes_its_profile(program, tmp_path):
    process = program(controller=controller("exec sleep 600"), engine="echo up; exec sleep 600")
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert (process.returncode, (tmp_path / "profile_job_7").exists()) == (143, False)
