"""The life of a server of each class of 1.x, with the fakes that sites and their tests use.

`run_command` answers for the scheduler, and `mock_port` is the port that a job would report.
"""

from __future__ import annotations

import re

import pytest

from batchspawner import (
    BatchSpawnerRegexStates,
    CondorSpawner,
    GridengineSpawner,
    JobStatus,
    LsfSpawner,
    MoabSpawner,
    MultiSlurmSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
    UserEnvMixin,
)
from tests.spawners.site import OWNER, make_spawner, start

NODE, PORT = "cn7", 54321
SERVER = "batchspawner-singleuser jupyterhub-singleuser"
AROUND = {"req_prologue": "module load x", "req_epilogue": "rm scratch"}
INSIDE = f"^module load x\n(?s:.*){SERVER}(?s:.*)^rm scratch$"


class Life:
    """What one class asks its scheduler: a submit, queries while it waits and runs, a cancel."""

    def __init__(self, cls, traits, commands, answers, script, job_id="12345", **more):
        self.cls, self.traits, self.script, self.job_id = cls, traits, script, job_id
        self.submit, self.query, self.cancel = (f"sudo -E -u {OWNER} {one}" for one in commands)
        self.accepted, *self.waiting, self.running = answers
        self.gone = more.get("gone", "")

    def expected(self) -> list[tuple[str, str]]:
        """Return the commands in their order, and what each prints."""
        running = [(self.query, self.running)] * 3
        waiting = [(self.query, text) for text in self.waiting]
        end = [(self.cancel, ""), (self.query, self.gone)]
        return [(self.submit, self.accepted), *waiting, *running, *end]


def listing(state: str) -> str:
    """Return what `qstat -xml` prints of a job, and of one of somebody else."""
    kind = "running" if state == "r" else "pending"
    queue = f"<queue_name>all.q@{NODE}</queue_name>" if state == "r" else ""
    job = f"<JB_job_number>12345</JB_job_number><state>{state}</state>{queue}"
    other = "<job_list state='running'><JB_job_number>7</JB_job_number></job_list>"
    return f"<job_info><job_list state='{kind}'>{job}</job_list>{other}</job_info>"


SLURM_COMMANDS = (
    "sbatch --parsable",
    "squeue -h -j 12345 -o '%T %B'",
    "scancel 12345",
)
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
SLURM_ANSWERS = ("12345", "PENDING ", SILENT, "CONFIGURING n/a", f"RUNNING {NODE}")
AMOUNTS = {"req_nprocs": "5", "req_memory": "5678"}

LIVES = [
    Life(
        TorqueSpawner,
        {**AMOUNTS, **AROUND, "req_options": "-W x=FLAGS", "req_runtime": "08:00:00"},
        ("qsub", "qstat -x 12345.head", "qdel 12345.head"),
        (
            "12345.head",
            "<job_state>Q</job_state><exec_host></exec_host>",
            f"<job_state>R</job_state><exec_host>{NODE}/1</exec_host>",
        ),
        [INSIDE, "ppn=5", "mem=5678", "walltime=08:00:00", "^#PBS -W x=FLAGS$"],
        job_id="12345.head",
    ),
    Life(
        MoabSpawner,
        {**AMOUNTS, **AROUND, "req_options": "-W x=FLAGS"},
        ("msub", "mdiag -j 12345 --xml", "mjobctl -c 12345"),
        ("12345", 'State="Idle"', f'State="Running" AllocNodeList="{NODE}:4"'),
        [INSIDE, "ppn=5", "mem=5678", "^#PBS -W x=FLAGS$"],
    ),
    Life(
        PBSSpawner,
        {**AMOUNTS, "req_options": "-W group_list=x", "req_host": "h1", "req_runtime": "08:00:00"},
        ("qsub", "qstat -fx 12345", "qdel 12345"),
        ("12345", "job_state = Q", f"job_state = R\nexec_host = {NODE}/2*1"),
        [SERVER, "select=1", "ncpus=5", "mem=5678", "walltime=08:00:00", "@h1", "^#PBS -W group"],
    ),
    Life(
        SlurmSpawner,
        {
            **AMOUNTS,
            **AROUND,
            "req_options": "--exclusive",
            "req_runtime": "3-05:10:10",
            "req_reservation": "course",
            "req_gres": "gpu:2",
        },
        SLURM_COMMANDS,
        SLURM_ANSWERS,
        [
            INSIDE.replace("batchspawner-s", "srun batchspawner-s"),
            "^#SBATCH --cpus-per-task=5$",
            "^#SBATCH --mem=5678$",
            "^#SBATCH --time=3-05:10:10$",
            "^#SBATCH --reservation=course$",
            "^#SBATCH --gres=gpu:2$",
            "^#SBATCH --exclusive$",
        ],
    ),
    Life(
        SlurmSpawner,
        {"req_keepvars": "ABCDE", "req_keepvars_extra": "XYZ", "req_srun": ""},
        SLURM_COMMANDS,
        SLURM_ANSWERS,
        ["^#SBATCH --export=ABCDE,XYZ(,|$)", f"^{SERVER}"],
    ),
    Life(MultiSlurmSpawner, AMOUNTS, SLURM_COMMANDS, SLURM_ANSWERS, ["--cpus-per-task=5$"]),
    Life(
        GridengineSpawner,
        {"req_options": "-l exclusive"},
        ("qsub", "qstat -xml", "qdel 12345"),
        ('Your job 12345 ("x") has been submitted', listing("qw"), listing("r")),
        [SERVER, r"^#\$ -l exclusive$"],
        gone="<job_info></job_info>",
    ),
    Life(
        CondorSpawner,
        {**AMOUNTS, "req_options": "+Group = 1"},
        (
            "condor_submit",
            'condor_q 12345 -format "%s, " JobStatus -format "%s" RemoteHost -format "\n" True',
            "condor_rm 12345",
        ),
        ("1 job(s) submitted to cluster 12345.", "1, ", f"2, slot1@{NODE}"),
        [f"exec {SERVER}", "^RequestCpus = 5$", "^RequestMemory = 5678$", r"^\+Group = 1$"],
    ),
    Life(
        LsfSpawner,
        {**AMOUNTS, **AROUND, "req_queue": "day", "req_options": "-P project"},
        ("bsub", 'bjobs -a -noheader -o "STAT EXEC_HOST" 12345', "bkill 12345"),
        ("Job <12345> is submitted to queue <day>.", "PEND -", f"RUN {NODE}"),
        [INSIDE, r"^#BSUB\s+-q\s+day$"],
    ),
]


def answering(life: Life):
    """Return a spawner of a subclass as sites' tests have it, and the commands that it ran."""
    script: list[str] = []
    left = life.expected()

    class Answering(life.cls):
        mock_port = PORT

        async def run_command(self, cmd, input=None, env=None):  # noqa: A002
            command, answer = left.pop(0)
            assert cmd == command
            script.extend([input] if input else [])
            return answer

    name = life.cls.__name__
    config = {name: {"startup_poll_interval": 0.01, "exec_prefix": "sudo -E -u {username}"}}
    spawner = make_spawner(Answering, config, secret_transport="environment", **life.traits)
    return spawner, left, script


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.cls.__name__)
async def test_a_server_lives_by_the_commands_of_1x_in_their_order(life):
    spawner, left, script = answering(life)
    assert await spawner.poll() == 1
    assert spawner.get_state() == {}
    assert left == life.expected()
    assert await start(spawner) == (NODE, PORT)
    assert (spawner.job_id, spawner.ip, spawner.port) == (life.job_id, NODE, PORT)
    assert await spawner.poll() is None
    # The log is ours: where a failure after a restart of the Hub is read.
    state = {name: one for name, one in spawner.get_state().items() if name != "job_log"}
    assert state == {"job_id": life.job_id, "job_status": life.running}
    await spawner.stop()
    assert await spawner.poll() == 1
    assert (left, spawner.get_state()) == ([], {})
    (text,) = script
    missing = [one for one in life.script if not re.search(one, text, re.MULTILINE)]
    assert missing == [], text


class Echo(BatchSpawnerRegexStates):
    """A class as the README of 1.x teaches it, with commands of the shell."""

    exec_prefix = ""
    batch_script = "{cmd}"
    batch_submit_cmd = "cat > /dev/null; echo 12345"
    batch_query_cmd = f"echo RUN {NODE}"
    batch_cancel_cmd = "echo STOP"
    state_pending_re = "PEND"
    state_running_re = "RUN"
    state_unknown_re = "UNKNOWN"
    state_exechost_re = "RUN (.*)$"
    startup_poll_interval = 0.01
    mock_port = PORT


def echo(cls=Echo):
    return make_spawner(cls, secret_transport="environment")


async def test_the_state_of_one_hub_is_taken_by_the_next():
    spawner = echo()
    await start(spawner)
    state = spawner.get_state()
    assert state == {"job_id": "12345", "job_status": f"RUN {NODE}"}
    again = echo()
    again.clear_state()
    assert again.get_state() == {}
    again.load_state(state)
    assert (again.job_id, again.get_state()) == ("12345", state)


async def test_a_server_that_jupyterhub_has_no_row_for_saves_no_address():
    spawner = echo()
    spawner.orm_spawner.server = None
    await spawner.start()
    assert spawner.get_state() == {"job_id": "12345", "job_status": f"RUN {NODE}"}


@pytest.mark.parametrize(
    ("trait", "command"), [("batch_submit_cmd", "cat > /dev/null"), ("batch_query_cmd", "echo x")]
)
async def test_a_start_that_fails_leaves_nothing(trait, command):
    spawner = echo()
    setattr(spawner, trait, command)
    with pytest.raises(RuntimeError):
        await start(spawner)
    assert await spawner.query_job_status() is JobStatus.NOTFOUND
    assert (spawner.job_id, spawner.job_status) == ("", "")


@pytest.mark.parametrize(
    ("text", "poll", "job_id"),
    [("x", 1, ""), ("UNKNOWN", None, "12345"), ("PEND", None, "12345")],
)
async def test_a_poll_reads_the_last_query(text, poll, job_id):
    spawner = echo()
    await start(spawner)
    spawner.batch_query_cmd = f"echo {text}"
    assert (await spawner.poll(), spawner.job_id) == (poll, job_id)


async def test_a_job_that_stop_has_seen_gone_is_gone_whatever_the_query_says_then():
    spawner = echo()
    await start(spawner)
    spawner.batch_query_cmd = "echo NOPE"
    await spawner.stop()
    spawner.batch_query_cmd = "false"
    assert await spawner.poll() == 1


async def test_a_site_may_override_the_script_and_the_methods_of_states():
    class Site(Echo):
        state_running_re = state_pending_re = "never"

        async def _get_batch_script(self, **variables):
            assert variables["cmd"] == SERVER
            return await super()._get_batch_script(**variables) + "\n"

        def state_isrunning(self):
            return self.job_status.startswith("RUN")

        def state_ispending(self):
            return False

        def state_gethost(self):
            return self.job_status.split()[1].upper()

    assert await echo(Site).start() == (NODE.upper(), PORT)


async def test_a_site_may_answer_for_the_query_itself():
    class Site(Echo):
        batch_query_cmd = "false"

        async def query_job_status(self):
            self.job_status = f"RUN {NODE}"
            return JobStatus.RUNNING

    spawner = echo(Site)
    assert await start(spawner) == (NODE, PORT)
    assert await spawner.poll() is None


@pytest.mark.parametrize("cls", [SlurmSpawner, MultiSlurmSpawner, CondorSpawner])
def test_the_environment_of_a_login_comes_from_a_method_that_sites_override(cls):
    class Site(cls):
        def user_env(self, env):
            return {**super().user_env(env), "SITE": "x"}

    assert issubclass(cls, UserEnvMixin)
    environment = make_spawner(Site).get_env()
    assert {name: environment[name] for name in ("USER", "SITE")} == {"USER": OWNER, "SITE": "x"}
    assert {"HOME", "SHELL"} <= set(environment)
