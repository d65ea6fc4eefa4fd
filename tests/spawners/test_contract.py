"""The names, defaults and places that configurations of existing sites rely on."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import batchspawner
import wrapspawner
from batchspawner import (
    BatchSpawnerBase,
    BatchSpawnerRegexStates,
    CondorSpawner,
    GridengineSpawner,
    JobStatus,
    LocalQueueSpawner,
    LsfSpawner,
    MoabSpawner,
    MultiSlurmSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
    UserEnvMixin,
)

OLD_NAMES = (
    "BatchSpawnerBase BatchSpawnerRegexStates TorqueSpawner MoabSpawner PBSSpawner SlurmSpawner "
    "MultiSlurmSpawner GridengineSpawner CondorSpawner LsfSpawner UserEnvMixin "
    "JobStatus format_template Spawner Template Unicode Integer Float Dict default "
    "set_user_setuid re os pwd asyncio ET Enum"
).split()

DEFAULTS = {
    BatchSpawnerBase: {
        "start_timeout": 300,
        "ip": "0.0.0.0",
        "exec_prefix": "sudo -E -u {username}",
        "batch_script": "",
        "batchspawner_singleuser_cmd": "batchspawner-singleuser",
        "batch_submit_cmd": "",
        "batch_query_cmd": "",
        "batch_cancel_cmd": "",
        "startup_poll_interval": 0.5,
        **dict.fromkeys(
            "req_queue req_host req_memory req_nprocs req_ngpus req_runtime req_partition "
            "req_account req_options req_prologue req_epilogue req_keepvars_extra".split(),
            "",
        ),
    },
    BatchSpawnerRegexStates: dict.fromkeys(
        "state_pending_re state_running_re state_unknown_re state_exechost_re "
        "state_exechost_exp".split(),
        "",
    ),
    SlurmSpawner: {
        **dict.fromkeys("req_cluster req_qos req_reservation req_gres".split(), ""),
        "req_srun": "srun",
        "batch_submit_cmd": "sbatch --parsable",
        "batch_query_cmd": "squeue -h -j {job_id} -o '%T %B'",
        "batch_cancel_cmd": "scancel {job_id}",
        "state_pending_re": "^(?:PENDING|CONFIGURING)",
        "state_running_re": "^(?:RUNNING|COMPLETING)",
        "state_unknown_re": "^slurm_load_jobs error: (?:Socket timed out on send/recv"
        "|Unable to contact slurm controller)",
        "state_exechost_re": r"\s+((?:[\w_-]+\.?)+)$",
    },
    MultiSlurmSpawner: {"daemon_resolver": {}},
    TorqueSpawner: {
        "batch_submit_cmd": "qsub",
        "batch_query_cmd": "qstat -x {job_id}",
        "batch_cancel_cmd": "qdel {job_id}",
        "state_pending_re": "<job_state>[QH]</job_state>",
        "state_running_re": "<job_state>R</job_state>",
        "state_exechost_re": r"<exec_host>((?:[\w_-]+\.?)+)/\d+",
    },
    MoabSpawner: {
        "batch_submit_cmd": "msub",
        "batch_query_cmd": "mdiag -j {job_id} --xml",
        "batch_cancel_cmd": "mjobctl -c {job_id}",
        "state_pending_re": 'State="Idle"',
        "state_running_re": 'State="Running"',
        "state_exechost_re": r'AllocNodeList="([^\r\n\t\f :"]*)',
    },
    PBSSpawner: {
        "batch_submit_cmd": "qsub",
        "batch_query_cmd": "qstat -fx {job_id}",
        "state_pending_re": "job_state = [QH]",
        "state_running_re": "job_state = R",
        "state_exechost_re": r"exec_host = ([\w_-]+)/",
    },
    GridengineSpawner: {
        "batch_submit_cmd": "qsub",
        "batch_query_cmd": "qstat -xml",
        "batch_cancel_cmd": "qdel {job_id}",
    },
    CondorSpawner: {
        "batch_submit_cmd": "condor_submit",
        "batch_query_cmd": 'condor_q {job_id} -format "%s, " JobStatus -format "%s" RemoteHost '
        '-format "\n" True',
        "batch_cancel_cmd": "condor_rm {job_id}",
        "state_pending_re": "^1,",
        "state_running_re": "^2,",
        "state_exechost_re": r"^\w*, .*@([^ ]*)",
    },
    LsfSpawner: {
        "batch_submit_cmd": "bsub",
        "batch_query_cmd": 'bjobs -a -noheader -o "STAT EXEC_HOST" {job_id}',
        "batch_cancel_cmd": "bkill {job_id}",
    },
}


@pytest.mark.parametrize(
    ("cls", "trait", "value"),
    [(cls, trait, value) for cls, traits in DEFAULTS.items() for trait, value in traits.items()],
)
def test_a_trait_has_the_default_of_all_releases(cls, trait, value):
    found = cls.class_traits()[trait]
    assert found.default() == value
    assert found.metadata["config"] is True


@pytest.mark.parametrize("trait", ["req_username", "req_homedir", "req_keepvars"])
def test_what_is_reckoned_for_each_user_is_no_configuration(trait):
    assert not SlurmSpawner.class_traits()[trait].metadata.get("config")


def test_the_classes_inherit_as_they_always_have():
    assert [cls for cls in MultiSlurmSpawner.__mro__ if cls.__module__.startswith("batchspawner")][
        :5
    ] == [
        MultiSlurmSpawner,
        SlurmSpawner,
        UserEnvMixin,
        BatchSpawnerRegexStates,
        BatchSpawnerBase,
    ]
    assert LocalQueueSpawner.__mro__.index(UserEnvMixin) == 1
    assert CondorSpawner.__bases__ == (UserEnvMixin, BatchSpawnerRegexStates)
    assert (MoabSpawner.__base__, PBSSpawner.__base__) == (TorqueSpawner, TorqueSpawner)
    assert TorqueSpawner.__base__ is BatchSpawnerRegexStates
    assert (GridengineSpawner.__base__, LsfSpawner.__base__) == (BatchSpawnerBase,) * 2


@pytest.mark.parametrize("module", ["batchspawner", "batchspawner.batchspawner"])
@pytest.mark.parametrize("name", OLD_NAMES)
def test_a_name_is_found_where_it_always_was(module, name):
    assert getattr(importlib.import_module(module), name) is not None


def test_everything_can_be_imported_with_a_star():
    names: dict = {}
    exec("from batchspawner import *", names)
    assert set(OLD_NAMES) <= set(names)
    assert (names["__version__"], names["version_info"]) == (
        batchspawner.__version__,
        batchspawner.version_info,
    )


def test_the_old_answers_of_a_query_keep_their_numbers():
    assert {status.name: status.value for status in JobStatus} == {
        "NOTFOUND": 0,
        "RUNNING": 1,
        "PENDING": 2,
        "UNKNOWN": 3,
    }


def test_importing_the_package_loads_no_framework():
    code = (
        "import sys, batchspawner; "
        "heavy = {'jupyterhub', 'traitlets', 'tornado', 'jinja2', 'asyncio'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_imported_by_a_hub_the_package_registers_its_handler_once():
    code = (
        "import jupyterhub.app, batchspawner, batchspawner.api, batchspawner.batchspawner\n"
        "from jupyterhub.apihandlers import default_handlers\n"
        "print([h.__name__ for p, h in default_handlers if p == '/api/batchspawner'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "['BatchSpawnerAPIHandler']\n"


def test_a_spawner_is_found_by_its_short_name():
    from importlib.metadata import entry_points

    points = entry_points()
    group = "jupyterhub.spawners"
    ours = points.select(group=group) if hasattr(points, "select") else points[group]
    found = {point.name: point.load() for point in ours if point.value.startswith("batchspawner")}
    assert found == {
        "condor": CondorSpawner,
        "gridengine": GridengineSpawner,
        "localqueue": LocalQueueSpawner,
        "lsf": LsfSpawner,
        "moab": MoabSpawner,
        "multislurm": MultiSlurmSpawner,
        "oar": OarSpawner,
        "pbs": PBSSpawner,
        "slurm": SlurmSpawner,
        "torque": TorqueSpawner,
    }


def test_the_old_wrapspawner_beside_us_is_warned_of(tmp_path):
    info = tmp_path / "wrapspawner-1.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrapspawner\nVersion: 1.0.1\n")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import batchspawner.spawners"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "wrapspawner 1.0.1 is installed beside batchspawner" in done.stderr
    assert "pip uninstall wrapspawner" in done.stderr


def test_profiles_are_found_under_the_name_of_this_package():
    assert batchspawner.ProfilesSpawner is wrapspawner.ProfilesSpawner
    assert batchspawner.WrapSpawner is wrapspawner.WrapSpawner
