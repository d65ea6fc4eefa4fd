"""What travels openly with a job, what does not, and what an administrator is told about it."""

from __future__ import annotations

import json
import logging
import re
import subprocess

import pytest

from batchspawner import (
    CondorSpawner,
    GridengineSpawner,
    LsfSpawner,
    MoabSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
)
from batchspawner.client.batch_client import BatchClient
from batchspawner.errors import SchedulerError
from batchspawner.schedulers import scheduler_class
from batchspawner.schedulers.gridengine.scheduler import GridEngine
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.secrets import package
from batchspawner.spawners.secrets.claim import server_of
from batchspawner.spawners.secrets.package import pack
from batchspawner.spawners.secrets.script_exports import with_variables
from tests.spawners.site import TOKEN, make_spawner

TOKEN_NAME, FILE = "JUPYTERHUB_API_TOKEN", "BATCHSPAWNER_PRIVATE_FILE"


@pytest.fixture(autouse=True)
def _nothing_said_before(monkeypatch):
    monkeypatch.setattr(package, "_warned", set())


@pytest.fixture
def said():
    """What the log says; a new database takes caplog's handler away."""
    texts: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record):
            texts.append(record.getMessage())

    handler = Handler(logging.WARNING)
    logging.getLogger("traitlets").addHandler(handler)
    yield texts
    logging.getLogger("traitlets").removeHandler(handler)


class Files:
    """Remembers the files that were to be written for the owner of the job."""

    def __init__(self, error: SchedulerError | None = None):
        self.written, self.error = {}, error

    async def leave(self, folder, name, text):
        if self.error:
            raise self.error
        self.written[f"{folder}/{name}"] = json.loads(text)


async def packed(cls, files: Files | None = None, **traits):
    spawner = make_spawner(cls, {"BatchSpawnerBase": traits}, req_homedir="/home/ada")
    scheduler = scheduler_class(cls.scheduler_name)()
    return spawner, await pack(spawner, scheduler, (files or Files()).leave)


def is_code(text: str) -> bool:
    return server_of(text) is not None


@pytest.mark.parametrize("cls", [SlurmSpawner, LsfSpawner, OarSpawner])
async def test_some_schedulers_show_the_environment_to_nobody(cls):
    _, package = await packed(cls)
    assert is_code(package.environment[TOKEN_NAME])
    assert package.script == package.shown
    assert TOKEN not in package.script + str({**package.environment})


@pytest.mark.parametrize("cls", [TorqueSpawner, PBSSpawner])
async def test_others_show_the_environment_but_not_the_script(cls):
    _, package = await packed(cls)
    assert TOKEN_NAME not in package.environment
    (line,) = set(package.script.splitlines()) - set(package.shown.splitlines())
    assert line.startswith(f"export {TOKEN_NAME}='")
    assert is_code(line.split("'")[1])
    assert TOKEN not in package.script + str({**package.environment})


@pytest.mark.parametrize("cls", [GridengineSpawner, CondorSpawner])
async def test_and_some_show_both_so_that_a_file_is_left(cls):
    files = Files()
    _, package = await packed(cls, files)
    ((path, content),) = files.written.items()
    assert path.startswith("/home/ada/.batchspawner/")
    assert package.environment[FILE] == path
    assert TOKEN_NAME not in package.environment
    assert list(content) == [TOKEN_NAME]
    assert is_code(content[TOKEN_NAME])
    assert TOKEN not in package.script + str({**package.environment})


@pytest.mark.parametrize(
    ("lines", "changed"),
    [
        ("ShouldTransferFiles = False\nQueue\n", "ShouldTransferFiles = False\nQueue\n"),
        ("should_transfer_files = NO\nqueue 1\n", "should_transfer_files = NO\nqueue 1\n"),
        ("Queue\n", "transfer_input_files = {file}\nQueue\n"),
        (
            "should_transfer_files = YES\ntransfer_input_files = a, b\nqueue\n",
            "should_transfer_files = YES\ntransfer_input_files = a, b, {file}\nqueue\n",
        ),
    ],
)
async def test_a_pool_that_transfers_files_takes_it_along(lines, changed):
    files = Files()
    start = "Executable = /bin/sh\nArguments = batchspawner-singleuser\n"
    _, package = await packed(CondorSpawner, files, batch_script=f"{start}{lines}#{{cmd}}\n")
    (path,) = files.written
    assert package.script.startswith(start + changed.format(file=path))


async def test_a_scheduler_that_passes_on_named_variables_only_passes_on_the_file():
    _, package = await packed(GridengineSpawner)
    (line,) = (line for line in package.script.splitlines() if line.startswith("#$ -v "))
    names = line.split()[-1].split(",")
    assert {FILE, "BATCHSPAWNER_JOB_ID_VARIABLE"} <= set(names)
    assert TOKEN_NAME not in names
    assert "JPY_API_TOKEN" not in names


async def test_secrets_of_the_site_travel_with_the_claim_and_the_rest_openly():
    env = {"DB_PASSWORD": "hunter2", "COLOUR": "red", "MY_TOKEN": "kept"}
    _, package = await packed(SlurmSpawner, environment=env, req_keepvars_extra="MY_TOKEN")
    assert "DB_PASSWORD" not in package.environment
    assert (package.environment["COLOUR"], package.environment["MY_TOKEN"]) == ("red", "kept")
    given = package.claim.environment(package.environment[TOKEN_NAME])
    assert (given["DB_PASSWORD"], given[TOKEN_NAME]) == ("hunter2", TOKEN)
    assert "COLOUR" not in given


async def test_everything_can_be_withheld_that_the_job_can_begin_without():
    _, package = await packed(SlurmSpawner, environment={"COLOUR": "red"}, secret_variables=["*"])
    given = package.claim.environment(package.environment[TOKEN_NAME])
    assert given["COLOUR"] == "red"
    assert {"PATH", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_URL"} <= set(package.environment)


async def test_a_file_can_take_the_place_of_the_claim():
    files = Files()
    _, package = await packed(SlurmSpawner, files, secret_transport="file")
    ((path, content),) = files.written.items()
    assert (content[TOKEN_NAME], package.environment[FILE]) == (TOKEN, path)
    assert package.claim is None
    assert TOKEN not in package.script + str({**package.environment})


async def test_a_file_that_cannot_be_written_leaves_the_code_in_the_environment(said):
    files = Files(SchedulerError("The file could not be written."))
    _, package = await packed(GridengineSpawner, files)
    assert is_code(package.environment[TOKEN_NAME])
    assert TOKEN not in str({**package.environment})
    (text,) = said
    assert text == (
        "GridengineSpawner: no private file can be written for the job's owner: The file could "
        "not be written. So a code that is good for one use travels in the job's environment, "
        "which on Grid Engine can be read by every user of the cluster, by qstat -j."
    )


@pytest.fixture
def nowhere():
    """What cannot write a file for the owner of a job, because there is no home of his."""
    return BatchClient("gridengine").leave


async def test_what_the_command_said_is_one_line_of_one_warning_for_all_users(said, nowhere):
    for user in ("ada", "ben"):
        spawner = make_spawner(GridengineSpawner, req_homedir=f"/proc/{user}")
        await pack(spawner, GridEngine(), nowhere)
    (text,) = said
    assert text.startswith(
        "GridengineSpawner: no private file can be written for the job's owner: mkdir: "
    )
    assert "/proc/ada" in text
    assert "\n" not in text


async def test_what_the_command_said_is_one_line_for_the_user(nowhere):
    spawner = make_spawner(PBSSpawner, req_homedir="/proc/ada", secret_transport="file")
    with pytest.raises(SpawnFailure, match=r"^The job is not submitted: [^\n]*: mkdir: [^\n]*$"):
        await pack(spawner, GridEngine(), nowhere)


async def test_secrets_that_shall_be_in_a_file_and_cannot_go_nowhere():
    files = Files(SchedulerError("No space left on device"))
    with pytest.raises(SpawnFailure, match=r"The job is not submitted: .*: No space left"):
        await packed(SlurmSpawner, files, secret_transport="file")


OPEN = (
    "So the server's token and all other secrets travel in the job's environment, which on "
    "PBS can be read by every user of the cluster, by qstat -f."
)


async def test_secrets_in_the_environment_are_a_choice_that_is_warned_of_once(said):
    for _ in range(2):
        spawner, package = await packed(PBSSpawner, secret_transport="environment")
        assert {**package.environment} == {**spawner.get_env()}
    assert said == [f"PBSSpawner: secret_transport is 'environment'. {OPEN}"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\n/opt/site/start {cmd}\n", "does not start batchspawner-singleuser"),
        ("#!/bin/sh\ncurl -H $JUPYTERHUB_API_TOKEN x\n{cmd}\n", "uses JUPYTERHUB_API_TOKEN"),
    ],
)
async def test_an_old_script_that_needs_the_token_gets_it_with_a_warning(said, script, why):
    command = "/opt/old/wrapper" if "/opt/site" in script else "batchspawner-singleuser"
    _, package = await packed(
        TorqueSpawner, batch_script=script, batchspawner_singleuser_cmd=command
    )
    assert package.environment[TOKEN_NAME] == TOKEN
    (text,) = said
    assert text == (
        f"TorqueSpawner: the job script {why}. So the server's token and all other secrets "
        "travel in the job's environment, which on Torque can be read by every user of the job's "
        "node, in the files of pbs_mom."
    )


async def test_an_old_script_gets_the_other_secret_that_it_names(said):
    script = '#!/bin/sh\nmount-data "$DATA_KEY"\n{cmd}\n'
    env = {"DATA_KEY": "s3cret", "DB_PASSWORD": "hunter2"}
    _, package = await packed(SlurmSpawner, batch_script=script, environment=env)
    assert package.environment["DATA_KEY"] == "s3cret"
    assert "DB_PASSWORD" not in package.environment
    assert is_code(package.environment[TOKEN_NAME])
    (text,) = said
    assert text == (
        "SlurmSpawner: the job script uses DATA_KEY. So this travels in the job's environment, "
        "which on Slurm can be read by administrators, and coordinators of the account where "
        "Slurm stores environments (job_env)."
    )


async def test_so_does_a_prologue_that_the_template_encodes(said):
    env = {"DATA_KEY": "s3cret"}
    _, package = await packed(CondorSpawner, req_prologue="mount $DATA_KEY", environment=env)
    assert package.environment["DATA_KEY"] == "s3cret"
    assert "the job script uses DATA_KEY" in said[0]


def test_a_variable_is_set_behind_the_directives_and_before_the_first_command():
    script = "#!/bin/bash\n#PBS -N x\n\n# Say hello.\necho hello\n"
    assert with_variables(script, {"A": "1", "B": "2"}) == (
        "#!/bin/bash\n#PBS -N x\n\n# Say hello.\nexport A='1'\nexport B='2'\necho hello\n"
    )
    assert with_variables("#!/bin/sh", {"A": "1"}) == "#!/bin/sh\nexport A='1'\n"


@pytest.mark.parametrize(
    "first", ["#!/usr/bin/env python3", "#!/bin/tcsh", "#!/bin/sh\n#PBS -q x -S /bin/csh"]
)
def test_nothing_is_set_in_a_script_of_another_language(first):
    assert with_variables(f"{first}\necho hello\n", {"A": "1"}) is None


NASTY = {
    "QUOTES": 'say "hi" it\'s',
    "JSON": '{"theme": "dark", "list": [1, 2]}',
    "BACKSLASH": "a\\b\\\\c\\",
    "COMMA": "a,b=c,d",
    "DOLLAR": "$HOME `id` $(id) !x",
    "LINES": "one\ntwo\n\n",
    "DIRECTIVE": "\n#PBS -q express\n",
    "WINDOWS": "one\r\ntwo 100% 'x' \\n\r\n",
    "EQUALS": "a=b==c",
    "BLANKS": "  a\tb  ",
    "UTF8": "Grüße 北京",
    "LONG": "x,'" * 30_000,
    "EMPTY": "",
}


def arrived(script: str, environment: dict[str, str]) -> dict[str, str]:
    """Run a job script as PBS does, with its directives' variables only, and return the rest."""
    (names,) = re.findall("^#PBS -v (.*)$", script, re.MULTILINE)
    given = {name: environment[name] for name in names.split(",") if name in environment}
    tail = "exec env -0"
    script = re.sub("^.*batchspawner-singleuser.*$", tail, script, flags=re.MULTILINE)
    done = subprocess.run(
        ["/bin/bash"], input=script.encode(), env=given, capture_output=True, check=True
    )
    pairs = (one.partition("=") for one in done.stdout.decode().split("\0"))
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("transport", ["claim", "environment"])
@pytest.mark.parametrize("cls", [PBSSpawner, TorqueSpawner, MoabSpawner])
async def test_every_value_arrives_as_it_is_although_pbs_would_change_it(cls, transport):
    _, package = await packed(cls, environment=NASTY, secret_transport=transport)
    found = arrived(package.script, {**package.environment})
    assert {name: found[name] for name in NASTY} == NASTY
    assert found["JUPYTERHUB_OAUTH_SCOPES"] == package.environment["JUPYTERHUB_OAUTH_SCOPES"]
    (names,) = re.findall("^#PBS -v (.*)$", package.script, re.MULTILINE)
    assert set(names.split(",")).isdisjoint(set(NASTY) - {"EMPTY"})
    assert "\r" not in package.script


async def test_a_script_that_is_no_shells_gets_such_values_with_the_token():
    script = "#!/bin/tcsh\n#PBS -v {keepvars}\n{cmd}\n"
    _, package = await packed(PBSSpawner, batch_script=script, environment=NASTY)
    claimed = package.claim.environment(package.environment[TOKEN_NAME])
    assert {name: claimed[name] for name in NASTY if name != "EMPTY"} == {
        name: value for name, value in NASTY.items() if value
    }
    assert "QUOTES" not in package.script


@pytest.mark.parametrize("cls", [CondorSpawner, GridengineSpawner])
async def test_values_of_several_lines_do_not_travel_where_they_would_be_cut(cls):
    _, package = await packed(cls, environment={"LINES": "one\ntwo"})
    if cls is GridengineSpawner:
        assert "export LINES='one\ntwo'\n" in package.script
    else:
        assert "LINES" not in package.environment


async def test_the_log_shows_no_secret_that_the_script_sets():
    traits = {"environment": {"DB_PASSWORD": "it's"}, "secret_transport": "environment"}
    _, package = await packed(PBSSpawner, **traits)
    assert "export DB_PASSWORD='it'" in package.script
    assert "export DB_PASSWORD=..." in package.shown


@pytest.mark.parametrize("value", ["x" * 2**17, "a\0b"])
async def test_what_no_program_can_be_started_with_is_found_out_before_submitting(value):
    with pytest.raises(SpawnFailure, match=r"not submitted: .* the variable BIG"):
        await packed(SlurmSpawner, environment={"BIG": value})
