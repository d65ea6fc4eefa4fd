"""Sites that speak to their scheduler with commands of their own: as in all releases."""

from __future__ import annotations

import re

import pytest

from batchspawner import BatchSpawnerRegexStates, JobStatus, MultiSlurmSpawner, SlurmSpawner
from batchspawner.spawners.customised import customisations
from batchspawner.spawners.managed import ManagedBackend
from batchspawner.spawners.shell import ShellBackend
from tests.spawners.site import OWNER, make_spawner


class Script:
    """Stand for `run_command`: expects commands in an order and gives what they print."""

    def __init__(self, *expected):
        self.expected, self.inputs, self.environments = list(expected), [], []

    async def __call__(self, cmd, input=None, env=None):  # noqa: A002
        pattern, answer = self.expected.pop(0)
        assert re.search(pattern, cmd), f"{cmd} came instead of {pattern}"
        self.inputs.append(input)
        self.environments.append(env)
        if isinstance(answer, Exception):
            raise answer
        return answer


class OldSite(BatchSpawnerRegexStates):
    """A class as sites wrote them: plain attributes and commands of their own."""

    exec_prefix = ""
    batch_submit_cmd = "sub {queue} && true"
    batch_query_cmd = "ask {{job_id}}"
    batch_cancel_cmd = "end {job_id}"
    state_pending_re = "WAIT"
    state_running_re = "RUN"
    state_unknown_re = "SILENCE"
    state_exechost_re = r"on (\S+)"
    batch_script = "#!/bin/sh\n#Q {queue} {keepvars}\n{cmd}\n"
    startup_poll_interval = 0.01
    req_queue = "day"


def scripted(cls=OldSite, *expected, **more):
    spawner = make_spawner(cls, **more)
    spawner.run_command = Script(*expected)
    return spawner


@pytest.mark.parametrize(
    ("config", "because"),
    [
        ({"SlurmSpawner": {"batch_submit_cmd": "sbatch --parsable -v"}}, ["batch_submit_cmd"]),
        ({"SlurmSpawner": {"state_exechost_exp": r"\1.example.org"}}, ["state_exechost_exp"]),
        ({"BatchSpawnerBase": {"batch_query_cmd": "true"}}, ["batch_query_cmd"]),
        ({"SlurmSpawner": {"req_memory": "4G", "batch_script": "{cmd}"}}, []),
        ({"SlurmSpawner": {"exec_prefix": ""}}, []),
    ],
)
def test_a_sites_own_commands_are_seen(config, because):
    spawner = make_spawner(SlurmSpawner, config)
    assert customisations(spawner) == because
    assert isinstance(spawner.backend, ShellBackend if because else ManagedBackend)


@pytest.mark.parametrize(
    "prefix", ["sudo -E -u {username} PATH=$PATH", "ssh login 'sudo -u {username}' |", "a; b"]
)
def test_a_prefix_that_only_a_shell_can_read_goes_to_one(prefix):
    spawner = make_spawner(SlurmSpawner, {"SlurmSpawner": {"exec_prefix": prefix}})
    assert isinstance(spawner.backend, ShellBackend)


@pytest.mark.parametrize("method", ["run_command", "query_job_status", "state_gethost"])
def test_a_sites_own_methods_are_seen(method):
    cls = type("Site", (SlurmSpawner,), {method: lambda self: None})
    assert customisations(make_spawner(cls)) == [method]


def test_our_own_classes_are_not_taken_for_a_sites():
    assert customisations(make_spawner(MultiSlurmSpawner)) == []


async def test_a_server_starts_with_the_commands_in_their_old_order():
    spawner = scripted(
        OldSite,
        (r"^ sub day && true$", "77"),
        (r"^ ask 77$", "WAIT"),
        (r"^ ask 77$", "RUN on node5"),
        (r"^ ask 77$", "RUN on node5"),
        (r"^ ask 77$", "RUN on node5"),
        (r"^ end 77$", ""),
        (r"^ ask 77$", ""),
    )
    spawner.mock_port = 4321
    assert await spawner.start() == ("node5", 4321)
    assert await spawner.poll() is None
    await spawner.stop()
    assert spawner.run_command.expected == []


async def test_the_submit_gets_script_and_environment_and_the_others_neither():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "WAIT"))
    await spawner.submit_batch_script()
    assert await spawner.query_job_status() is JobStatus.PENDING
    keepvars = ",".join(spawner.get_env())
    script = f"#!/bin/sh\n#Q day {keepvars}\nbatchspawner-singleuser jupyterhub-singleuser\n"
    assert spawner.run_command.inputs == [script, None]
    assert spawner.run_command.environments == [spawner.get_env(), None]


async def test_choices_of_the_user_go_into_the_script_but_never_into_commands():
    spawner = scripted(OldSite, ("^ sub day &&", "77"), user_options={"queue": "night"})
    await spawner.submit_batch_script()
    assert spawner.run_command.inputs[0].startswith("#!/bin/sh\n#Q night ")


@pytest.mark.parametrize("name", ["cmd", "keepvars", "homedir", "username"])
async def test_what_runs_and_as_whom_is_never_the_users_choice(name):
    spawner = scripted(OldSite, ("sub", "77"), user_options={name: "evil"})
    spawner.batch_script = "{cmd} {keepvars} {homedir} {username}"
    await spawner.submit_batch_script()
    assert "evil" not in spawner.run_command.inputs[0]


async def test_a_job_that_disappears_while_it_waits_ends_the_start():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "WAIT"), ("ask", ""))
    with pytest.raises(RuntimeError, match="disappeared while pending in the queue or died"):
        await spawner.start()
    assert spawner.job_id == ""


async def test_a_job_that_dies_before_the_server_reports_ends_the_start():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "RUN on a"), ("ask", ""))
    with pytest.raises(RuntimeError, match="died before launching the single-user server"):
        await spawner.start()


async def test_a_submit_without_an_id_ends_the_start():
    class Picky(OldSite):
        def parse_job_id(self, output):
            return str(int(output))

    spawner = scripted(Picky, ("sub", "no id here"))
    with pytest.raises(RuntimeError, match="no jobid in output"):
        await spawner.start()


async def test_a_failed_submit_raises_what_the_command_said():
    spawner = scripted(OldSite, ("sub", RuntimeError("queue closed")))
    with pytest.raises(RuntimeError, match="queue closed"):
        await spawner.start()


async def test_a_failed_query_may_still_say_something():
    spawner = scripted(OldSite, ("ask", RuntimeError("SILENCE")))
    spawner.job_id = "77"
    assert await spawner.query_job_status() is JobStatus.UNKNOWN
    assert spawner.job_status == "SILENCE"


async def test_a_query_that_fails_now_and_then_ends_no_server():
    failure = ("ask", RuntimeError("sudo: cannot connect"))
    spawner = scripted(OldSite, failure, failure, ("ask", "RUN on a"), failure, failure, failure)
    spawner.job_id = "77"
    assert [await spawner.poll() for _ in range(6)] == [None] * 5 + [1]


async def test_a_scheduler_that_knows_no_such_job_is_believed_at_once():
    spawner = scripted(OldSite, ("ask", RuntimeError("error: Invalid job id specified")))
    spawner.job_id = "77"
    assert await spawner.poll() == 1
    assert spawner.get_state() == {}


async def test_a_state_method_that_raises_ends_no_server():
    class Broken(OldSite):
        def state_isrunning(self):
            raise ValueError("what is this?")

    spawner = scripted(Broken, ("ask", "?"))
    spawner.job_id = "77"
    assert await spawner.poll() is None


async def test_real_commands_run_through_a_shell_with_the_variables_they_need(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "secret")
    spawner = make_spawner(OldSite)
    shown = await spawner.run_command(
        "cat; echo; env | cut -d= -f1 | sort", input="a", env={"X": "1"}
    )
    names = shown.splitlines()
    assert names[0] == "a"
    assert {"X", "PATH", "SLURM_CONF"} <= set(names)
    assert "JUPYTERHUB_CRYPT_KEY" not in names
    with pytest.raises(RuntimeError, match=r"^broken$"):
        await spawner.run_command("echo broken >&2; exit 3")


async def test_the_regular_expressions_of_slurm_read_what_squeue_prints():
    config = {
        "SlurmSpawner": {"batch_query_cmd": "squeue -h -j {job_id} -o '%T %B' ", "exec_prefix": ""}
    }
    spawner = make_spawner(SlurmSpawner, config)
    spawner.job_id = spawner.parse_job_id("Hello\n77;cluster\n")
    assert spawner.job_id == "77"
    for text, status in {
        "PENDING n/a": JobStatus.PENDING,
        "CONFIGURING a1": JobStatus.PENDING,
        "RUNNING a1.example.org": JobStatus.RUNNING,
        "slurm_load_jobs error: Unable to contact slurm controller": JobStatus.UNKNOWN,
        "": JobStatus.NOTFOUND,
    }.items():
        spawner.run_command = Script(("squeue -h -j 77", text))
        assert await spawner.query_job_status() is status
    spawner.job_status = "RUNNING a1.example.org"
    assert spawner.state_gethost() == "a1.example.org"


def test_a_node_name_is_resolved_as_configured():
    config = {"MultiSlurmSpawner": {"daemon_resolver": {"a1": "10.0.0.1"}}}
    spawner = make_spawner(MultiSlurmSpawner, config)
    for name, host in {"a1": "10.0.0.1", "a2": "a2"}.items():
        spawner.job_status = f"RUNNING {name}"
        assert spawner.state_gethost() == host


def test_the_state_holds_what_it_always_held():
    spawner = make_spawner(OldSite)
    assert spawner.get_state() == {}
    spawner.load_state({"job_id": "7", "job_status": "RUN on a"})
    assert spawner.get_state() == {"job_id": "7", "job_status": "RUN on a"}


def test_the_old_readme_example_loads_without_a_change():
    # The Torque class itself comes with the other schedulers; the commands here are its own.
    config = {
        "BatchSpawnerBase": {"req_nprocs": "2", "req_queue": "mesabi", "req_host": "h.example.org",
                             "req_runtime": "12:00:00", "req_memory": "4gb"},
        "SlurmSpawner": {"batch_script": "#!/bin/sh\n#PBS -q {queue}@{host}\n#PBS -l walltime="
                         "{runtime}\n#PBS -l nodes=1:ppn={nprocs}\n#PBS -l mem={memory}\n#PBS -v "
                         "{keepvars}\nmodule load python3\n{cmd}\n"},
    }  # fmt: skip
    variables = make_spawner(SlurmSpawner, config).get_req_subvars()
    assert [variables[name] for name in ("nprocs", "queue", "host", "runtime", "memory")] == [
        "2", "mesabi", "h.example.org", "12:00:00", "4gb",
    ]  # fmt: skip
    assert variables["username"] == OWNER
