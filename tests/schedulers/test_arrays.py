"""One submit makes an array of jobs where the scheduler has such a thing."""

from __future__ import annotations

import pytest

from batchspawner.client.job_scripts import job_request
from batchspawner.errors import OptionsError
from batchspawner.jobs import JobRequest
from batchspawner.schedulers import scheduler_class, scheduler_names
from tests.recorded import recorded, shown

ASKED = {
    "gridengine": ("qsub", "-terse", "-N", "tag", "-t", "1-7"),
    "htcondor": ("condor_submit", "-terse", "-a", 'My.BatchspawnerTag="tag"'),
    "lsf": ("bsub", "-J", "tag[1-7]"),
    "oar": ("sh", "-c", "...", "oarsub", "", "tag", "--array", "7"),
    "pbspro": ("qsub", "-N", "tag", "-J", "1-7"),
    "slurm": ("sbatch", "--parsable", "--comment=tag", "--array=1-7"),
    "torque": ("qsub", "-N", "tag", "-t", "1-7"),
}
ELEMENTS = [
    ("gridengine", "12", "12.3"),
    ("htcondor", "12", "12.3"),
    ("lsf", "12", "12[3]"),
    ("oar", "12[]", "14"),
    ("pbspro", "12[].server", "12[3].server"),
    ("slurm", "12", "12_3"),
    ("slurm", "12;east", "12_3;east"),
    ("torque", "12[].server", "12[3].server"),
]


def call(name, **more):
    return scheduler_class(name)().submit(JobRequest("x = 1\nQueue\n", "tag", **more))


def test_these_schedulers_have_arrays():
    assert [name for name in scheduler_names() if scheduler_class(name).arrays] == sorted(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_an_array_is_asked_for(name):
    assert shown(call(name, elements=7).argv) == ASKED[name]


@pytest.mark.parametrize("name", ASKED)
def test_one_element_is_a_plain_job(name):
    assert call(name, elements=1) == call(name)


def test_htcondor_queues_a_description_several_times():
    assert call("htcondor", elements=7).input == "x = 1\nQueue 7\n"


@pytest.mark.parametrize(("name", "array", "element"), ELEMENTS)
def test_an_element_has_an_id_of_its_own(name, array, element):
    scheduler = scheduler_class(name)()
    assert scheduler.checked(scheduler.element(array, "3")) == element


def test_lsf_gives_an_array_a_name_where_it_has_no_tag():
    request = JobRequest("", elements=2)
    assert scheduler_class("lsf")().submit(request).argv == ("bsub", "-J", "array[1-2]")


def test_a_scheduler_without_arrays_refuses_one():
    with pytest.raises(OptionsError, match="the local queue has no arrays of jobs here"):
        job_request(
            scheduler_class("local")(), "true", front_end="x", name="x", log="x", elements=2
        )


@pytest.mark.parametrize(
    ("name", "refusal", "smaller"),
    [
        ("gridengine", "qsub_array_refused", True),
        ("gridengine", "qsub_bad_queue", False),
        ("htcondor", "submit_array_refused", True),
        ("htcondor", "submit_refused", False),
    ],
)
def test_a_refusal_says_whether_a_smaller_array_may_be_accepted(name, refusal, smaller):
    scheduler = scheduler_class(name)()
    words = recorded(name, refusal).text
    assert bool(scheduler.array_refused.search(words)) is smaller
