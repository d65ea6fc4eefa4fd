"""The job of a server: who changes it, and what is saved of it."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest
from jupyterhub.spawner import Spawner

import batchspawner
import wrapspawner
from batchspawner import SlurmSpawner
from batchspawner.spawners.hub import jupyterhub as hub
from batchspawner.spawners.server_job import ServerJob
from tests.spawners.site import make_spawner

ROOT = Path(batchspawner.__file__).parent
FILES = sorted((ROOT / "spawners").rglob("*.py"))
FIELDS = {field.name for field in fields(ServerJob)}

# As this release writes it.
STATE = {
    "job_id": "17",
    "job_status": "RUNNING node1",
    "job_tag": "jh-0123456789ab",
    "job_host": "node1",
    "job_port": 4321,
    "reported_host": "10.0.0.9",
    "reported_port": 4321,
    "unconfirmed_port": 4321,
    "job_claim": {"digest": "d", "sealed": "s"},
    "job_log": "/home/ada/17.log",
    "job_log_begins": 12,
    "job_log_changed": 1600000000.25,
    "submitted_at": 1700000000.5,
    "waited": 2.5,
    "story": [[0, "Submitting the job to Slurm", 1700000000.5], [60, "Job 17 runs on node1", 7.5]],
    "requested": {"queue": "gpu", "cores": "2"},
}
JOB = {
    "id": "17",
    "native_status": "RUNNING node1",
    "tag": "jh-0123456789ab",
    "host": "node1",
    "port": 4321,
    "reported_host": "10.0.0.9",
    "reported_port": 4321,
    "unconfirmed_port": 4321,
    "claim": {"digest": "d", "sealed": "s"},
    "log_path": "/home/ada/17.log",
    "log_offset": 12,
    "log_changed_at": 1600000000.25,
    "submitted_at": 1700000000.5,
    "waited": 2.5,
    "progress": [
        (0, "Submitting the job to Slurm", 1700000000.5),
        (60, "Job 17 runs on node1", 7.5),
    ],
    "requested": {"queue": "gpu", "cores": "2"},
}


def known(job: ServerJob) -> dict:
    """Return the fields of a job that are not empty."""
    return {name: getattr(job, name) for name in FIELDS if getattr(job, name)}


def test_every_field_has_its_key_in_the_saved_state():
    job = ServerJob.from_state(STATE)
    assert known(job) == JOB
    assert list(job.to_state().items()) == list(STATE.items())


def test_a_job_of_which_nothing_is_known_has_no_state():
    assert ServerJob().to_state() == {}
    assert known(ServerJob.from_state({})) == {}


def test_a_state_of_release_1_3_is_read():
    job = ServerJob.from_state({"job_id": "17", "job_status": "RUNNING node1"})
    assert known(job) == {"id": "17", "native_status": "RUNNING node1"}
    assert job.to_state() == {"job_id": "17", "job_status": "RUNNING node1"}


@pytest.mark.parametrize("wrong", [None, 7, ["7"], {"a": 1}, "x"])
def test_what_has_another_type_in_a_state_is_left_out(wrong):
    job = ServerJob.from_state({**dict.fromkeys(STATE, wrong), "job_tag": "jh-0123456789ab"})
    assert job.tag == "jh-0123456789ab"
    kinds = {type(getattr(job, name)) for name in JOB}
    assert kinds == {str, int, float, dict, list}
    assert job.progress == []


def test_a_time_that_was_saved_as_a_whole_number_is_one():
    assert ServerJob.from_state({"submitted_at": 1700000000}).submitted_at == 1700000000.0


async def test_a_job_that_has_ended_leaves_nothing():
    job = ServerJob.from_state(STATE)
    job.alarmed("ALARM")
    job.reported(4322)
    report = job.report
    job.ended()
    assert vars(job) == vars(ServerJob())
    assert job.report is not report


async def test_a_report_without_a_host_keeps_the_one_before():
    job = ServerJob()
    job.reported(4321, "10.0.0.9", confirms=True)
    job.reported(5555)
    assert (job.reported_host, job.reported_port, job.unconfirmed_port) == ("10.0.0.9", 5555, 0)
    assert job.report.is_set()


def test_the_percentage_of_the_progress_never_goes_back():
    job = ServerJob()
    assert job.progressed(20, "It waits") is True
    assert job.progressed(10, "It was put back") is True
    assert job.progressed(20, "It waits") is False
    assert job.progressed(60, "It runs") is True
    told = [(stage.percent, stage.text) for stage in job.progress]
    assert told == [(20, "It waits"), (20, "It was put back"), (60, "It runs")]


def test_the_progress_that_an_earlier_release_saved_has_no_times():
    job = ServerJob.from_state({"story": [[0, "Submitting"], [20, "It waits"], ["x"], [1, 2]]})
    assert job.progress == [(0, "Submitting", 0.0), (20, "It waits", 0.0)]


def test_a_class_of_a_site_sets_id_and_status_as_it_always_did():
    spawner = make_spawner(SlurmSpawner)
    spawner.job_id, spawner.job_status = "17", "RUNNING node1"
    assert (spawner.job.id, spawner.job.native_status) == ("17", "RUNNING node1")
    assert spawner.get_state() == {"job_id": "17", "job_status": "RUNNING node1"}
    for name in ("job_id", "job_status"):
        with pytest.raises(TypeError, match=f"{name} must be text, not 17"):
            setattr(spawner, name, 17)


def test_what_is_known_of_the_job_can_be_read_on_its_spawner():
    spawner = make_spawner(SlurmSpawner)
    spawner.load_state(STATE)
    names = ("job_id", "job_status", "job_tag", "job_host", "job_port")
    assert {name: getattr(spawner, name) for name in names} == {name: STATE[name] for name in names}
    assert spawner.port == 4321


def stored(tree: ast.AST) -> list[ast.Attribute]:
    """Return the attributes that a module assigns or deletes."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_job_changes_itself(path):
    if path.name == "server_job.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    changed = [
        ast.unparse(node)
        for node in stored(tree)
        if node.attr in FIELDS and ast.unparse(node.value).split(".")[-1] in {"job", "_job"}
    ]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    by_name = [ast.unparse(node) for node in calls if ast.unparse(node.func) == "setattr"]
    # Under another name, the test would not see an assignment.
    renamed = [
        node.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arg)
        and node.annotation is not None
        and "ServerJob" in ast.unparse(node.annotation)
        and node.arg != "job"
    ]
    assert (changed, by_name, renamed) == ([], [], [])


def annotated(tree: ast.AST) -> list[tuple[str, ast.expr | None]]:
    """Return the names of arguments and annotated variables, each with its type."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            found.append((node.arg, node.annotation))
        elif isinstance(node, ast.AnnAssign):
            found.append((ast.unparse(node.target).split(".")[-1], node.annotation))
    return found


def test_no_spawner_is_of_any_type():
    untyped = [
        f"{path}: {name}"
        for path in [*ROOT.rglob("*.py"), *Path(wrapspawner.__file__).parent.rglob("*.py")]
        for name, kind in annotated(ast.parse(path.read_text(encoding="utf-8")))
        if name in {"spawner", "outer", "wrapper", "child"}
        and (kind is None or "Any" in ast.unparse(kind))
    ]
    assert untyped == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_module_touches_what_is_private_in_jupyterhub(path):
    if path == Path(hub.__file__):
        return
    private = {name for name in vars(Spawner) if re.match("_(?!_)", name)}
    # In the folders below, `self` is no spawner.
    ours = {"super()"} if path.parent.name == "spawners" else {"super()", "self"}
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ours
    }
    assert used & private == set()


def test_what_the_types_promise_of_jupyterhub_is_there():
    tree = ast.parse(Path(hub.__file__).read_text(encoding="utf-8"))
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    promised = {
        name
        for node in classes["Spawner"].body
        for name in (
            [node.name]
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            else [node.target.id]
            if isinstance(node, ast.AnnAssign)
            else [target.id for target in node.targets]
            if isinstance(node, ast.Assign)
            else []
        )
    }
    assert "poll_interval" in promised
    assert {name for name in promised if not hasattr(Spawner, name)} == set()
