"""Sites that speak to their scheduler with commands of their own: as in all releases."""

from __future__ import annotations

import asyncio
import os
import re

import pytest
from jupyterhub.app import JupyterHub

from batchspawner import (
    BatchSpawnerRegexStates,
    CondorSpawner,
    GridengineSpawner,
    JobStatus,
    LsfSpawner,
    MoabSpawner,
    MultiSlurmSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
)
from batchspawner.spawners.backends.command_backend import CommandBackend
from batchspawner.spawners.backends.customisations import customisations
from batchspawner.spawners.backends.scheduler_backend import SchedulerBackend
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.hub.tags import hub_word
from batchspawner.spawners.secrets.claim import server_of
from batchspawner.spawners.secrets.package import NEXT
from tests.spawners.site import OWNER, make_spawner, make_spawners, start


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
        return answer() if callable(answer) else answer


class Crowd:
    """Stand for `run_command` of several spawners, and count how many submit at a time."""

    def __init__(self):
        self.inside = self.most = 0

    async def __call__(self, cmd, input=None, env=None):  # noqa: A002
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.01)
        self.inside -= 1
        return "7"


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
    assert isinstance(spawner.backend, CommandBackend if because else SchedulerBackend)


@pytest.mark.parametrize("cls", [TorqueSpawner, MoabSpawner])
def test_torque_and_moab_keep_the_commands_of_a_site_that_has_its_own(cls):
    for name in ("batch_submit_cmd", "batch_query_cmd", "batch_cancel_cmd", "state_running_re"):
        spawner = make_spawner(cls, {"TorqueSpawner": {name: "own"}})
        assert isinstance(spawner.backend, CommandBackend)
    spawner = make_spawner(cls, {"TorqueSpawner": {"batch_script": "{cmd}", "req_queue": "day"}})
    assert isinstance(spawner.backend, SchedulerBackend)
    assert spawner.backend.client.scheduler.name == cls.scheduler_name


@pytest.mark.parametrize(
    "prefix", ["sudo -E -u {username} PATH=$PATH", "ssh login 'sudo -u {username}' |", "a; b"]
)
def test_a_prefix_that_only_a_shell_can_read_goes_to_one(prefix):
    spawner = make_spawner(SlurmSpawner, {"SlurmSpawner": {"exec_prefix": prefix}})
    assert isinstance(spawner.backend, CommandBackend)


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
    assert await start(spawner) == ("node5", 4321)
    assert await spawner.poll() is None
    await spawner.stop()
    assert spawner.run_command.expected == []


async def test_the_submit_gets_script_and_environment_and_the_others_neither():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "WAIT"))
    await spawner.submit_batch_script()
    assert await spawner.query_job_status() is JobStatus.PENDING
    environment = {**spawner.get_env()}
    del environment["JPY_API_TOKEN"]
    word = f"{hub_word(spawner)}-{spawner.orm_spawner.id}"
    environment[NEXT] = f"{spawner.req_homedir}/.batchspawner/{word}-next"
    script = (
        f"#!/bin/sh\n#Q day {','.join(environment)}\n"
        "batchspawner-singleuser jupyterhub-singleuser\n"
    )
    code = spawner.run_command.environments[0]["JUPYTERHUB_API_TOKEN"]
    assert server_of(code) == spawner.orm_spawner.id
    assert spawner.run_command.inputs == [script, None]
    assert spawner.run_command.environments == [{**environment, "JUPYTERHUB_API_TOKEN": code}, None]


async def test_choices_of_the_user_go_into_the_script_but_never_into_commands():
    spawner = scripted(OldSite, ("^ sub day &&", "77"), user_options={"queue": "night"})
    spawner.options_form = "<input name=queue>"
    await spawner.submit_batch_script()
    assert spawner.run_command.inputs[0].startswith("#!/bin/sh\n#Q night ")


async def test_a_job_that_disappears_while_it_waits_ends_the_start():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "WAIT"), ("ask", ""))
    with pytest.raises(RuntimeError, match="disappeared while pending in the queue or died"):
        await spawner.start()
    assert spawner.job_id == ""


async def test_a_job_that_dies_before_the_server_reports_ends_the_start():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "RUN on a"), ("ask", ""))
    with pytest.raises(RuntimeError, match="died before launching the single-user server"):
        await spawner.start()


async def test_a_job_that_dies_shows_the_end_of_its_log(tmp_path, monkeypatch):
    log = tmp_path / "77.log"
    log.write_text("module: command not found\nJUPYTERHUB_API_TOKEN=abcd-efgh\n")

    class Writing(OldSite):
        batch_script = f"#!/bin/sh\n#SBATCH --output={tmp_path}/%j.log\n{{cmd}}\n"

    monkeypatch.setattr(CommandBackend, "owner", lambda _: os.getuid())
    spawner = scripted(Writing, ("sub", "77"), ("ask", "RUN on a"), ("ask", ""))
    with pytest.raises(SpawnFailure) as caught:
        await spawner.start()
    assert str(caught.value) == (
        "Something that the server needs is missing on the node. The Jupyter batch job started "
        "but died before launching the single-user server. See the log for what is missing. If "
        "you have chosen an environment, choose another one; else tell the administrator. Job 77. "
        f"Its log is {log}. It ends with:\n"
        "module: command not found\nJUPYTERHUB_API_TOKEN=[hidden]"
    )


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


README = """
import batchspawner
c = get_config()
c.JupyterHub.spawner_class = "batchspawner.TorqueSpawner"
c.Spawner.http_timeout = 120
c.BatchSpawnerBase.req_nprocs = "2"
c.BatchSpawnerBase.req_queue = "mesabi"
c.BatchSpawnerBase.req_host = "mesabi.xyz.edu"
c.BatchSpawnerBase.req_runtime = "12:00:00"
c.BatchSpawnerBase.req_memory = "4gb"
c.TorqueSpawner.batch_script = \'\'\'#!/bin/sh
#PBS -q {queue}@{host}
#PBS -l walltime={runtime}
#PBS -l nodes=1:ppn={nprocs}
#PBS -l mem={memory}
#PBS -N jupyterhub-singleuser
#PBS -v {keepvars}
module load python3
{cmd}
\'\'\'
c.TorqueSpawner.state_exechost_exp = r"int-\\1.mesabi.xyz.edu"
"""


async def test_the_old_readme_example_works_without_a_change(tmp_path):
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(README)
    app = JupyterHub()
    app.load_config_file(str(file))
    assert app.spawner_class is TorqueSpawner
    spawner = make_spawner(TorqueSpawner, dict(app.config))
    spawner.startup_poll_interval = 0.01
    spawner.mock_port = 4321
    running = "<Job><job_state>R</job_state><exec_host>cn7/3</exec_host></Job>"
    spawner.run_command = Script(
        (f"^sudo -E -u {OWNER} qsub$", "12.mesabi"),
        (f"^sudo -E -u {OWNER} qstat -x 12.mesabi$", "<Job><job_state>Q</job_state></Job>"),
        (r"qstat -x 12\.mesabi$", running),
        (r"qstat -x 12\.mesabi$", running),
        (rf"^sudo -E -u {OWNER} qdel 12\.mesabi$", ""),
        (r"qstat -x 12\.mesabi$", ""),
    )
    assert await spawner.start() == ("int-cn7.mesabi.xyz.edu", 4321)
    await spawner.stop()
    assert spawner.run_command.expected == []
    tokens = {"JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN"}
    environment = {k: v for k, v in spawner.get_env().items() if k not in tokens}
    # `-v NAME` would change these: an old Torque cuts them, OpenPBS spoils their quotes.
    spoiled = [name for name, value in environment.items() if set(value) & set('["=&?')]
    assert "JUPYTERHUB_OAUTH_SCOPES" in spoiled
    keepvars = [name for name in environment if name not in spoiled]
    keepvars += ["BATCHSPAWNER_JOB_ID_VARIABLE", NEXT]
    script = re.sub(r"export JUPYTERHUB_API_TOKEN='.*'\n", "", spawner.run_command.inputs[0])
    exports = "".join(f"export {name}='{environment[name]}'\n" for name in spoiled)
    assert script == (
        "#!/bin/sh\n#PBS -q mesabi@mesabi.xyz.edu\n#PBS -l walltime=12:00:00\n"
        "#PBS -l nodes=1:ppn=2\n#PBS -l mem=4gb\n#PBS -N jupyterhub-singleuser\n"
        f"#PBS -v {','.join(keepvars)}\n{exports}module load python3\n"
        "batchspawner-singleuser jupyterhub-singleuser\n"
    )


GRIDENGINE = """<?xml version='1.0'?><job_info><queue_info><job_list state="running">
<JB_job_number>7</JB_job_number><state>r</state><queue_name>all.q@node1.example.org</queue_name>
</job_list></queue_info><job_info><job_list state="pending"><JB_job_number>8</JB_job_number>
<state>qw</state><queue_name></queue_name></job_list></job_info></job_info>"""


@pytest.mark.parametrize(
    ("cls", "submitted", "job_id"),
    [
        (SlurmSpawner, "12;main", "12"),
        (TorqueSpawner, "12.headnode", "12.headnode"),
        (MoabSpawner, "12", "12"),
        (PBSSpawner, "12.headnode", "12.headnode"),
        (GridengineSpawner, 'Your job 12 ("x") has been submitted', "12"),
        (CondorSpawner, "Submitting job(s).\n1 job(s) submitted to cluster 12.", "12"),
        (LsfSpawner, "Job <12> is submitted to default queue <normal>.", "12"),
        (OarSpawner, "[ADMISSION RULE] Set default walltime.\nOAR_JOB_ID=12", "12"),
    ],
)
@pytest.mark.parametrize("before", ["", "Welcome to login1.\nWork is on 2026-12-24.\n\n"])
def test_the_id_is_found_in_what_each_scheduler_prints(cls, submitted, job_id, before):
    assert make_spawner(cls).parse_job_id(before + submitted) == job_id


@pytest.mark.parametrize("cls", [TorqueSpawner, MoabSpawner, PBSSpawner])
def test_the_id_is_found_before_a_notice(cls):
    printed = "Hello\n12.headnode\nqsub: your project has 3 hours left"
    assert make_spawner(cls).parse_job_id(printed) == "12.headnode"


def test_the_last_line_is_the_id_for_a_class_of_a_site():
    assert make_spawner(OldSite).parse_job_id("Welcome\njob-12") == "job-12"


@pytest.mark.parametrize(
    ("cls", "text", "status", "host"),
    [
        (SlurmSpawner, "PENDING n/a", JobStatus.PENDING, None),
        (SlurmSpawner, "RUNNING n1", JobStatus.RUNNING, "n1"),
        (TorqueSpawner, "<job_state>H</job_state>", JobStatus.PENDING, None),
        (MoabSpawner, '<job State="Idle"/>', JobStatus.PENDING, None),
        (MoabSpawner, '<job State="Running" AllocNodeList="n1:4"/>', JobStatus.RUNNING, "n1"),
        (PBSSpawner, "job_state = R\nexec_host = n1/0*2", JobStatus.RUNNING, "n1"),
        (GridengineSpawner, GRIDENGINE, JobStatus.RUNNING, "node1.example.org"),
        (GridengineSpawner, GRIDENGINE.replace(">7<", ">9<"), JobStatus.NOTFOUND, None),
        (CondorSpawner, "1, ", JobStatus.PENDING, None),
        (CondorSpawner, "2, slot1_1@n1.example.org", JobStatus.RUNNING, "n1.example.org"),
        (LsfSpawner, "PEND -", JobStatus.PENDING, None),
        (LsfSpawner, "PSUSP -", JobStatus.PENDING, None),
        (LsfSpawner, "RUN n1:n1", JobStatus.RUNNING, "n1"),
        (LsfSpawner, "RUN 2*n1:n2", JobStatus.RUNNING, "n1"),
        (LsfSpawner, "DONE n1", JobStatus.NOTFOUND, None),
        (LsfSpawner, "", JobStatus.NOTFOUND, None),
        (OarSpawner, '{"7" : {"state" : "toLaunch"}}', JobStatus.PENDING, None),
        (OarSpawner, '{"7" : {"state" : "Terminated"}}', JobStatus.NOTFOUND, None),
        (
            OarSpawner,
            '"state" : "Running", "assigned_network_address" : [\n "n1"\n]',
            JobStatus.RUNNING,
            "n1",
        ),
    ],
)
@pytest.mark.parametrize("before", ["", "Welcome to <login1>.\nWork is on 2026-12-24.\n\n"])
async def test_what_each_scheduler_says_of_a_job_is_understood(cls, text, status, host, before):
    spawner = make_spawner(cls)
    spawner.job_id = "7"
    spawner.run_command = Script(("7|qstat -xml", before + text))
    assert await spawner.query_job_status() is status
    if host:
        assert spawner.state_gethost() == host


@pytest.mark.parametrize(
    ("cls", "name"), [(GridengineSpawner, "SGE_ROOT"), (LsfSpawner, "LSF_ENVDIR")]
)
def test_a_job_gets_what_its_schedulers_commands_need(cls, name, monkeypatch):
    monkeypatch.setenv(name, "/opt/x")
    assert make_spawner(cls).get_env()[name] == "/opt/x"


def test_htcondor_gets_its_quotes_doubled():
    spawner = make_spawner(CondorSpawner, {"CondorSpawner": {"cmd": ["a", "'b'", '"c"']}})
    assert spawner.cmd_formatted_for_batch() == "batchspawner-singleuser a ''b'' \"\"c\"\""


async def test_a_default_script_of_every_class_can_be_rendered():
    classes = (TorqueSpawner, MoabSpawner, PBSSpawner, GridengineSpawner, CondorSpawner, LsfSpawner)
    for cls in classes:
        spawner = make_spawner(cls)
        script = await spawner._get_batch_script(**spawner.script_variables())
        assert "batchspawner-singleuser jupyterhub-singleuser" in script


async def test_submits_of_a_sites_own_commands_take_turns_too():
    spawners = make_spawners(OldSite, 6, submit_concurrency=2)
    crowd = Crowd()
    for one in spawners:
        one.run_command = crowd
    submits = [asyncio.ensure_future(one.submit_batch_script()) for one in spawners]
    while not crowd.inside:
        await asyncio.sleep(0)
    assert spawners[-1].backend.describe().text == (
        "Submitting the job. 3 other submits come first"
    )
    await asyncio.gather(*submits)
    assert crowd.most == 2
    assert [one.job_id for one in spawners] == ["7"] * 6


async def test_a_submit_command_that_hangs_keeps_nobody_else_waiting():
    hanging, other = make_spawners(OldSite, 2, submit_concurrency=1, start_timeout=1)
    hanging.batch_submit_cmd, other.batch_submit_cmd = "sleep 600", "echo 8"
    first, second = (one.submit_batch_script() for one in (hanging, other))
    ended, _ = await asyncio.gather(first, second, return_exceptions=True)
    assert str(ended) == "The submit command did not end within 1 s, and was ended:  sleep 600"
    assert other.job_id == "8"


async def test_what_stop_has_seen_end_is_gone_without_another_question():
    spawner = scripted(
        OldSite,
        (r"^ sub day && true$", "77"),
        (r"^ ask 77$", "RUN on node5"),
        (r"^ ask 77$", "RUN on node5"),
        (r"^ end 77$", ""),
        (r"^ ask 77$", ""),
    )
    spawner.mock_port = 4321
    await start(spawner)
    await spawner.stop()
    assert await spawner.poll() == 1
    assert spawner.get_state() == {}
    assert spawner.run_command.expected == []


async def test_the_state_of_a_served_job_is_that_of_1x():
    spawner = scripted(
        OldSite,
        (r"^ sub day && true$", "77"),
        (r"^ ask 77$", "RUN on node5"),
        (r"^ ask 77$", "RUN on node5"),
    )
    spawner.mock_port = 4321
    spawner.secret_transport = "environment"
    await start(spawner)
    assert spawner.get_state() == {"job_id": "77", "job_status": "RUN on node5"}
