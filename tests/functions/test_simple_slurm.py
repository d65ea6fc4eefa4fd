"""What options of simple_slurm do, in its own forms, on a queue that is not Slurm."""

from __future__ import annotations

import datetime

import pytest

import batchspawner.functions as slurminade
from batchspawner.errors import JobCancelled
from batchspawner.functions.dispatch.dependencies import taken_dependencies
from tests.functions import tasks
from tests.functions.tasks import SECONDS

speak = slurminade.slurmify(tasks.speak)
wait_for_file = slurminade.slurmify(tasks.wait_for_file)
fail = slurminade.slurmify(tasks.fail)


@pytest.fixture(autouse=True)
def dispatcher(queue, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    slurminade.set_dispatcher(slurminade.BatchDispatcher("local"))
    slurminade.set_default_configuration()
    slurminade.set_dispatch_limit(100)
    yield
    slurminade.set_dispatcher(None)
    slurminade.set_dispatch_limit(100)


def test_the_values_of_its_example_are_taken(tmp_path):
    conf = {
        "cpus_per_task": 1,
        "gres": ["gpu:kepler:2", "gpu:tesla:2", "mps:400"],
        "ignore_pbs": True,
        "contiguous": "",
        "wait": False,
        "job_name": "name",
        "output": "%x.out",
        "time": datetime.timedelta(minutes=3, seconds=4),
    }
    assert slurminade.sbatch("echo hello", conf).result(SECONDS) == 0
    assert (tmp_path / "name.out").read_text() == "hello\n"


FORMS = {
    "dictionary": lambda job: {"afterok": job},
    "dictionary of a list": lambda job: {"afterok": [job]},
    "text": lambda job: f"afterok:{job}",
    "list": lambda job: [f"afterok:{job}", f"afterany:{job}"],
    "two jobs": lambda job: f"afterok:{job}:{job},afterany:{job}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_dependency_is_honoured_in_each_of_its_forms(tmp_path, form):
    go = tmp_path / "go"
    first = wait_for_file.distribute(str(go))
    second = slurminade.sbatch(f"test -e {go}", {"dependency": form(first.get_job_id())})
    assert not second.running()
    go.touch()
    assert second.result(SECONDS) == 0


def test_a_dependency_on_a_job_that_fails_cancels_the_other():
    first = fail.distribute("no")
    second = speak.with_options(dependency=f"afterok:{first.get_job_id()}").distribute("never")
    assert isinstance(second.exception(SECONDS), JobCancelled)
    assert isinstance(first.exception(SECONDS), ValueError)


def test_conditions_that_only_slurm_has_stay_options_of_the_scheduler():
    for text in ("afterok:1?afterok:2", "after:1+10", "aftercorr:1", "expand:1"):
        taken = taken_dependencies({"dependency": text})
        assert taken == ({"dependency": text}, ())


def test_a_command_is_waited_for_and_shown(capsys):
    future = slurminade.srun("echo one; exit 4", simple_slurm_kwargs={"job_name": "other"})
    assert (future.get_exit_code(), future.exception(0).status) == (4, 4)
    assert capsys.readouterr().out.startswith("one\n")
    assert slurminade.shell.distribute_and_wait(["echo", "two words"]).get_exit_code() == 0
    assert capsys.readouterr().out == "two words\n"
