"""As whom the commands of the scheduler run, and as whom they never run."""

from __future__ import annotations

import pwd

import pytest

from batchspawner import BatchSpawnerBase, SlurmSpawner
from batchspawner.spawners.backends import exec_prefix
from batchspawner.spawners.backends.exec_prefix import check_account
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from tests.spawners.backends.test_command_backend import OldSite, scripted
from tests.spawners.site import make_spawner

UIDS = {"root": 0, "daemon": 1, "slurm": 999, "nobody": 65534, "ada": 1000, "old": 501}


@pytest.fixture(autouse=True)
def _accounts(monkeypatch):
    def look_up(name):
        return pwd.struct_passwd((name, "x", UIDS[name], 100, "", f"/home/{name}", "/bin/sh"))

    monkeypatch.setattr(exec_prefix.pwd, "getpwnam", look_up)


def spawner_of(name: str, **traits) -> BatchSpawnerBase:
    return make_spawner(SlurmSpawner, **{"smallest_uid": 1000, "req_username": name, **traits})


@pytest.mark.parametrize("name", ["root", "daemon", "slurm", "nobody"])
@pytest.mark.parametrize(
    "prefix", ["sudo -E -u {username}", "ssh login sudo -u {{ username }}", "su - {username} -c"]
)
def test_no_command_runs_as_a_system_account(name, prefix):
    with pytest.raises(SpawnFailure) as failed:
        check_account(spawner_of(name, exec_prefix=prefix))
    assert str(failed.value) == (
        f"The job is not submitted: {name} is a system account (user id {UIDS[name]}). User ids "
        "from 1000 may have servers; smallest_uid of the configuration sets that."
    )


@pytest.mark.parametrize("name", ["0", "00", "+0", "0x0", "1001", "4294967296"])
def test_no_command_runs_as_the_account_with_the_number_that_a_name_is(name):
    # As which setpriv and doas would run them.
    with pytest.raises(SpawnFailure) as failed:
        check_account(spawner_of(name, exec_prefix="setpriv --reuid={username} --init-groups"))
    assert str(failed.value) == (
        f"The job is not submitted: there is no account {name}, and some commands take that for a "
        "user id."
    )
    # There, accounts have such names.
    check_account(spawner_of(name, exec_prefix="ssh login sudo -u {username}"))


def test_the_launcher_is_no_way_around_that():
    with pytest.raises(SpawnFailure, match="root is a system account"):
        check_account(spawner_of("root", launcher="/usr/local/sbin/batchspawner-launcher"))


@pytest.mark.parametrize(
    ("name", "traits"),
    [
        ("ada", {}),
        ("old", {"smallest_uid": 500}),
        ("root", {"smallest_uid": 0}),
        ("root", {"exec_prefix": ""}),
        ("root", {"exec_prefix": "ssh -l service login"}),
        ("of-another-host", {"exec_prefix": "ssh login sudo -u {username}"}),
    ],
)
def test_others_may_have_servers(name, traits):
    check_account(spawner_of(name, **traits))


class PrefixedSite(OldSite):
    exec_prefix = "sudo -E -u {username}"


@pytest.mark.parametrize("cls", [SlurmSpawner, PrefixedSite])
async def test_a_start_is_refused_before_anything_is_submitted(cls):
    spawner = scripted(cls, smallest_uid=1000, req_username="root")
    with pytest.raises(SpawnFailure, match="root is a system account"):
        await spawner.submit_batch_script()
    assert spawner.run_command.inputs == []
