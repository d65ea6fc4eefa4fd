"""Names of users and servers are names everywhere: in scripts, paths and commands."""

from __future__ import annotations

import pwd
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traitlets import default

from batchspawner import (
    CondorSpawner,
    GridengineSpawner,
    LocalQueueSpawner,
    LsfSpawner,
    MoabSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
)
from batchspawner.errors import OptionsError
from batchspawner.jobs import JobRequest
from batchspawner.schedulers import scheduler_class, scheduler_names
from batchspawner.spawners.backends.command_backend import CommandBackend
from batchspawner.spawners.backends.launcher_client import LauncherClient
from batchspawner.spawners.backends.unsafe_names import risky
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from tests.spawners.site import make_spawner

HOSTILE = [
    "ada; id",
    "$(id)",
    "`id`",
    "ada -u root",
    "-s",
    "--user=root",
    "a\nb",
    "a\n#SBATCH --uid=0",
    "../../etc/passwd",
    "..",
    "~root",
    "o'brien",
    'a"b',
    "DOM\\ada",
    "a b",
    "a\tb",
    "*",
    "#0",
    "a#",
    "a\0b",
    "{0.__class__}",
    "{{ 7 * 7 }}",
    "!id",
    "a|b",
    "Ada Lovelace <ada@example.org>",
    "\u202eada",
]
NAMES = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=30)
FAST = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
CLASSES = [
    CondorSpawner,
    GridengineSpawner,
    LocalQueueSpawner,
    LsfSpawner,
    MoabSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
]
PLAIN = ["ada", "ada@example.org", "a.b-c_d", "größe", "user+1", "x,y", "_"]


@pytest.fixture(autouse=True)
def _accounts(monkeypatch):
    """Make every name one of the machine's accounts, as a directory service might."""
    monkeypatch.setattr(
        pwd,
        "getpwnam",
        lambda name: pwd.struct_passwd((name, "x", 1000, 1000, "", "/home/ada", "/bin/sh")),
    )


def finished(coroutine):
    """Return the result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


class Renamed:
    """A spawner whose user and server can be called otherwise."""

    def __init__(self, cls, **traits) -> None:
        self.spawner = make_spawner(cls, req_homedir="/home/ada", **traits)

    def __call__(self, user: str, server: str = ""):
        self.spawner.user.name = self.spawner.req_username = user
        self.spawner.orm_spawner.name = server
        self.spawner._backend = None
        return self.spawner


def script_of(spawner) -> str:
    return finished(spawner._get_batch_script(**spawner.script_variables()))


@pytest.mark.parametrize("name", PLAIN)
def test_usual_names_are_no_risk(name):
    assert risky(name) == ()


@pytest.mark.parametrize("name", HOSTILE)
def test_names_with_syntax_are_known(name):
    assert risky("ada", name) == (name,)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_packaged_script_is_the_same_whatever_the_names(cls):
    renamed = Renamed(cls)
    # What of the environment travels by its name is another matter.
    renamed.spawner.req_keepvars = "PATH"
    harmless = script_of(renamed("ada"))

    @settings(FAST, max_examples=40)
    @given(NAMES, NAMES)
    def holds(user, server):
        try:
            script = script_of(renamed(user, server))
        except OptionsError:
            assert not user.isprintable()
        else:
            assert script == harmless

    holds()


@pytest.mark.parametrize(
    "script", ["#SBATCH -J {username}\n{cmd}\n", "#SBATCH -o {{ homedir }}/log\n{{ cmd }}\n"]
)
def test_a_sites_script_has_the_name_as_it_is_or_there_is_none(script):
    class Site(SlurmSpawner):
        @default("req_homedir")
        def _home(self):
            return f"/home/{self.user.name}"

    spawner = make_spawner(Site, batch_script=script)
    outcomes = set()

    @FAST
    @given(NAMES)
    def holds(name):
        spawner.user.name = spawner.req_username = name
        spawner.req_homedir = f"/home/{name}"
        try:
            lines = script_of(spawner).rstrip("\n").split("\n")
        except SpawnFailure:
            outcomes.add("refused")
            assert risky(name)
            return
        outcomes.add("rendered")
        assert len(lines) == len(script.rstrip("\n").split("\n"))
        assert len(shlex.split(lines[0].lstrip("#"))) == 3

    holds()
    assert outcomes == {"refused", "rendered"}


def test_a_template_that_quotes_a_name_gets_it_whole(tmp_path):
    (tmp_path / "slurm.j2").write_text("#!/bin/sh\necho {{ username | quote }}\n{{ cmd }}\n")
    renamed = Renamed(SlurmSpawner, template_paths=[str(tmp_path)])

    @FAST
    @given(NAMES)
    def holds(name):
        try:
            script = script_of(renamed(name))
        except OptionsError:
            assert not name.isprintable()
            return
        assert shlex.split(script.split("\n")[1]) == ["echo", name]

    holds()
    (tmp_path / "slurm.j2").write_text("#!/bin/sh\necho '{{ username }}'\n{{ cmd }}\n")
    renamed.spawner.template_paths = [str(tmp_path / ".")]
    with pytest.raises(SpawnFailure, match=r"username cannot be a part of the job script: .*quote"):
        script_of(renamed("o'brien"))


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("sudo -E -u {username}", ["sudo", "-E", "-u", "{}"]),
        ("sudo -u '{{ username }}' -H", ["sudo", "-u", "{}", "-H"]),
        ("ssh {username}@login sudo -u {username}", ["ssh", "{}@login", "sudo", "-u", "{}"]),
    ],
)
def test_a_name_is_one_word_of_exec_prefix_and_no_option(prefix, words):
    renamed = Renamed(SlurmSpawner, exec_prefix=prefix)

    @FAST
    @given(NAMES)
    def holds(name):
        try:
            runner = renamed(name).backend.client.runner
        except SpawnFailure:
            assert name.startswith(("-", "#")) or not name.isprintable()
            return
        found = [*runner.prefix, *getattr(runner, "inner", ())]
        assert found == [word.replace("{}", name) for word in words]

    holds()


def test_a_name_is_not_the_number_of_an_account():
    for more in ({}, {"launcher": "/opt/batchspawner-launcher"}):
        renamed = Renamed(SlurmSpawner, **more)
        with pytest.raises(SpawnFailure, match="'#0' cannot be a name in exec_prefix, 'sudo "):
            _ = renamed("#0").backend
        # That of a server does not come into it.
        assert renamed("ada", "#0").backend.client


def test_a_name_is_one_word_of_what_runs_the_launcher():
    renamed = Renamed(SlurmSpawner, launcher="/opt/batchspawner-launcher")
    client = renamed("ada; id").backend.client
    assert isinstance(client, LauncherClient)
    assert client._as_owner.prefix == ("sudo", "-n", "-u", "ada; id")


class Old(SlurmSpawner):
    """A site with commands of its own, for a shell."""

    batch_submit_cmd = "sub {queue}"
    exec_prefix = "sudo -u {username}"


def test_a_command_for_a_shell_has_a_usual_name_or_does_not_run():
    renamed = Renamed(Old)

    @FAST
    @given(NAMES)
    def holds(name):
        backend = renamed(name).backend
        assert isinstance(backend, CommandBackend)
        try:
            command = backend._command("batch_submit_cmd")
        except SpawnFailure:
            assert risky(name)
            return
        assert shlex.split(command) == ["sudo", "-u", name, "sub"]

    holds()


def test_a_command_that_does_not_name_the_user_runs_for_everybody():
    spawner = Renamed(Old)("ada; id", "$(id)")
    spawner.exec_prefix = ""
    assert spawner.backend._command("batch_submit_cmd") == " sub "


@pytest.mark.parametrize("name", scheduler_names())
def test_no_argument_of_a_submit_has_a_value_of_the_environment(name):
    scheduler = scheduler_class(name)()

    def argv(value):
        request = JobRequest("#!/bin/sh\n", "jh-0123456789ab", {"JUPYTERHUB_SERVER_NAME": value})
        return scheduler.submit(request).argv

    harmless = argv("calm")

    @FAST
    @given(NAMES)
    def holds(value):
        assert argv(value) == harmless

    holds()
