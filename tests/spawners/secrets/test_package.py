"""What travels openly with a job, what does not, and what an administrator is told about it."""

from __future__ import annotations

import json
import logging
import re
import shutil
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
from batchspawner.client.script_exports import with_variables
from batchspawner.commands import CommandResult
from batchspawner.errors import SchedulerError
from batchspawner.schedulers import scheduler_class
from batchspawner.schedulers.gridengine.scheduler import GridEngine
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.secrets import package
from batchspawner.spawners.secrets.claim import server_of
from batchspawner.spawners.secrets.package import pack
from tests.odd_values import ODD_VALUES
from tests.spawners.site import OWNER, TOKEN, make_spawner

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


@pytest.mark.parametrize("cls", [GridengineSpawner, CondorSpawner])
async def test_a_job_whose_code_has_no_private_place_is_not_submitted(cls, said):
    files = Files(SchedulerError("The file could not be written."))
    with pytest.raises(SpawnFailure) as failed:
        await packed(cls, files)
    assert str(failed.value) == (
        "The job is not submitted: no private file can be written for the job's owner: The file "
        "could not be written."
    )
    assert said == []


@pytest.mark.parametrize(
    "refusal",
    [
        "sudo: a password is required\n",
        "Sorry, user hub is not allowed to execute '/usr/bin/sh -c ...' as ada on login.\n",
    ],
)
async def test_the_line_that_sudo_lacks_is_named(refusal):
    result = CommandResult(("sudo", "sh"), 1, "", refusal)
    with pytest.raises(SpawnFailure) as failed:
        await packed(GridengineSpawner, Files(SchedulerError("It failed.", result)))
    line = f"{OWNER} ALL=({OWNER}) NOPASSWD:SETENV: {shutil.which('sh')}"
    assert str(failed.value).endswith(
        f"This line is missing in the rules of sudo: {line} (`batchspawner sudoers --scheduler "
        "gridengine` prints all of them)."
    )


@pytest.fixture
def nowhere():
    """What cannot write a file for the owner of a job, because there is no home of his."""
    return BatchClient("gridengine").leave


async def test_what_the_command_said_is_one_line_for_the_user(nowhere):
    spawner = make_spawner(GridengineSpawner, req_homedir="/proc/ada")
    with pytest.raises(SpawnFailure, match=r"^The job is not submitted: [^\n]*: mkdir: [^\n]*$"):
        await pack(spawner, GridEngine(), nowhere)


async def test_secrets_that_shall_be_in_a_file_and_cannot_go_nowhere():
    files = Files(SchedulerError("No space left on device"))
    with pytest.raises(SpawnFailure, match=r"The job is not submitted: .*: No space left"):
        await packed(SlurmSpawner, files, secret_transport="file")


async def test_secrets_in_the_environment_are_a_choice_that_is_warned_of_once(said):
    for _ in range(2):
        spawner, package = await packed(PBSSpawner, secret_transport="environment")
        assert {**package.environment} == {**spawner.get_env()}
    (text,) = said
    assert text == (
        "PBSSpawner: secret_transport is 'environment'. Sent in the job's environment, which on "
        "PBS can be read by every user of the cluster, by qstat -f: the server's token and all "
        "other secrets."
    )


OLD_SCRIPTS = pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\n/opt/site/start {cmd}\n", "does not start batchspawner-singleuser"),
        ("#!/bin/sh\ncurl -H $JUPYTERHUB_API_TOKEN x\n{cmd}\n", "uses JUPYTERHUB_API_TOKEN"),
    ],
)


def with_script(script: str) -> dict[str, str]:
    command = "/opt/old/wrapper" if "/opt/site" in script else "batchspawner-singleuser"
    return {"batch_script": script, "batchspawner_singleuser_cmd": command}


@OLD_SCRIPTS
async def test_an_old_script_that_needs_the_token_gets_it_where_nobody_else_looks(
    said, script, why
):
    env = {"DB_PASSWORD": "hunter2"}
    _, package = await packed(TorqueSpawner, environment=env, **with_script(script))
    assert f"export {TOKEN_NAME}='{TOKEN}'\n" in package.script
    assert "export DB_PASSWORD='hunter2'\n" in package.script
    assert {TOKEN, "hunter2"}.isdisjoint({**package.environment}.values())
    assert TOKEN not in package.shown
    assert (package.claim, said) == (None, [])


@OLD_SCRIPTS
async def test_an_old_script_that_needs_the_token_gets_it_with_a_warning(said, script, why):
    _, package = await packed(SlurmSpawner, **with_script(script))
    assert package.environment[TOKEN_NAME] == TOKEN
    (text,) = said
    assert text == (
        f"SlurmSpawner: the job script {why}. Sent in the job's environment, which on Slurm can be "
        "read by administrators, and coordinators of the account where Slurm stores environments "
        "(job_env): the server's token and all other secrets."
    )


@OLD_SCRIPTS
@pytest.mark.parametrize("cls", [GridengineSpawner, CondorSpawner])
async def test_an_old_script_for_which_everybody_would_see_the_token_is_refused(cls, script, why):
    with pytest.raises(SpawnFailure, match=rf"not submitted: the job script {why}\. It would send"):
        await packed(cls, **with_script(script))
    _, package = await packed(cls, secret_transport="environment", **with_script(script))
    assert package.environment[TOKEN_NAME] == TOKEN


async def test_an_old_script_gets_the_other_secret_that_it_names(said):
    script = '#!/bin/sh\nmount-data "$DATA_KEY"\n{cmd}\n'
    env = {"DATA_KEY": "s3cret", "DB_PASSWORD": "hunter2"}
    _, package = await packed(SlurmSpawner, batch_script=script, environment=env)
    assert package.environment["DATA_KEY"] == "s3cret"
    assert "DB_PASSWORD" not in package.environment
    assert is_code(package.environment[TOKEN_NAME])
    (text,) = said
    assert text.startswith("SlurmSpawner: the job script uses DATA_KEY. Sent in the job's ")
    assert text.endswith(": DATA_KEY.")


async def test_a_script_that_only_its_owner_can_read_sets_the_secret_that_it_names(said):
    script = '#!/bin/sh\nmount-data "$DATA_KEY"\n{cmd}\n'
    _, package = await packed(PBSSpawner, batch_script=script, environment={"DATA_KEY": "s3cret"})
    assert "export DATA_KEY='s3cret'\n" in package.script
    assert "DATA_KEY" not in package.environment
    assert "s3cret" not in package.shown
    assert said == []


async def test_a_prologue_gets_nothing_that_everybody_would_see_unless_that_is_allowed(said):
    traits = {"req_prologue": "mount $SHARE", "environment": {"SHARE": "s3cret"}}
    with pytest.raises(SpawnFailure) as failed:
        await packed(CondorSpawner, **traits)
    assert str(failed.value) == (
        "The job is not submitted: the job script uses SHARE. It would send SHARE in the job's "
        "environment, which on HTCondor can be read by whoever reaches the pool, by condor_q -l. "
        "What is not a secret can be named in req_keepvars_extra."
    )
    _, package = await packed(CondorSpawner, req_keepvars_extra="SHARE", **traits)
    assert package.environment["SHARE"] == "s3cret"
    assert said == []


UNUSUAL = {
    "DB_PASS": "hunter2",
    "PGPASS": "hunter3",
    "MYSQL_PWD": "hunter4",
    "GPG_PASSPHRASE": "hunter5",
    "DATABASE_URL": "postgres://ada:hunter6@db/x",
    "GITHUB_PAT": "ghp_hunter7",
    "JWT": "hunter8",
    "API_KEY_OPENAI": "hunter9",
    "COLOUR": "hunter10",
    "JUPYTERHUB_LICENCE": "hunter11",
}


@pytest.mark.parametrize(
    "cls", [GridengineSpawner, CondorSpawner, PBSSpawner, TorqueSpawner, MoabSpawner]
)
async def test_where_others_see_the_environment_only_what_is_harmless_is_in_it(cls):
    files = Files()
    _, package = await packed(cls, files, environment=UNUSUAL, env_keep=["PATH", "TZ"])
    sent = f"{package.script}{ {**package.environment} }{files.written}"
    assert [name for name in UNUSUAL if name in sent or UNUSUAL[name] in sent] == []
    (code,) = set(re.findall(r"[A-Za-z0-9_-]{43}\.claim-[0-9]+", sent))
    given = package.claim.environment(code)
    assert {name: given[name] for name in UNUSUAL} == UNUSUAL
    assert {"PATH", "JUPYTERHUB_API_URL", "JUPYTERHUB_USER"} <= set(package.environment)
    assert {"JPY_API_TOKEN", TOKEN_NAME}.isdisjoint(package.environment)


@pytest.mark.parametrize("name", sorted(set(UNUSUAL) - {"COLOUR", "JUPYTERHUB_LICENCE"}))
async def test_common_names_of_secrets_are_known_everywhere(name):
    _, package = await packed(SlurmSpawner, environment={name: UNUSUAL[name]})
    assert name not in package.environment


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
    opened = ",".join(ODD_VALUES)
    _, package = await packed(
        cls, environment=ODD_VALUES, secret_transport=transport, req_keepvars_extra=opened
    )
    found = arrived(package.script, {**package.environment})
    assert {name: found[name] for name in ODD_VALUES} == ODD_VALUES
    assert found["JUPYTERHUB_OAUTH_SCOPES"] == package.environment["JUPYTERHUB_OAUTH_SCOPES"]
    (names,) = re.findall("^#PBS -v (.*)$", package.script, re.MULTILINE)
    assert set(names.split(",")).isdisjoint(set(ODD_VALUES) - {"ODD_EMPTY"})
    assert "\r" not in package.script


async def test_a_script_that_is_no_shells_gets_such_values_with_the_token():
    script = "#!/bin/tcsh\n#PBS -v {keepvars}\n{cmd}\n"
    files = Files()
    _, package = await packed(PBSSpawner, files, batch_script=script, environment=ODD_VALUES)
    assert TOKEN_NAME not in package.environment
    ((path, content),) = files.written.items()
    assert package.environment[FILE] == path
    assert f",{FILE}," in package.script
    claimed = package.claim.environment(content[TOKEN_NAME])
    assert {name: claimed[name] for name in ODD_VALUES if name != "ODD_EMPTY"} == {
        name: value for name, value in ODD_VALUES.items() if value
    }
    assert "ODD_QUOTES" not in package.script


@pytest.mark.parametrize("cls", [CondorSpawner, GridengineSpawner])
async def test_values_of_several_lines_do_not_travel_where_they_would_be_cut(cls):
    environment = {"LINES": "one\ntwo"}
    _, package = await packed(cls, environment=environment, req_keepvars_extra="LINES")
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
