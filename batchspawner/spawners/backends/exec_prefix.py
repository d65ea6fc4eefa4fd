"""The runners that an `exec_prefix` stands for."""

from __future__ import annotations

import pwd
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from ...client.batch_client import BatchClient
from ...runners import LocalRunner, Runner, SshRunner
from ...templating import names_in
from ..failures.spawn_failure import SpawnFailure
from .launcher_client import LauncherClient

if TYPE_CHECKING:
    from traitlets import TraitType

    from ...schedulers.base import Scheduler

_BECOMES_USER = {"sudo", "runuser", "su", "doas"}
# Options of ssh that take an argument: https://man.openbsd.org/ssh
_SSH_ARGUMENT = re.compile(r"-[A-Za-z]*[BbcDEeFIiJLlmOoPpQRSWw]")


_NOBODY = 65534

# What setpriv, doas and others read as a user id.
_NUMBER = re.compile(r"\+?(?:[0-9]+|0[xX][0-9A-Fa-f]+)")


class PrefixedSpawner(Protocol):
    """Spawner whose commands run as another user."""

    exec_prefix: str
    launcher: str
    req_username: str
    smallest_uid: int

    def traits(self) -> dict[str, TraitType[Any, Any]]: ...


def prefix_of(spawner: PrefixedSpawner) -> str:
    """Return the template of the words before a command, which run it as another user."""
    prefix = spawner.exec_prefix
    # The launcher takes no environment, and its rule for sudo allows none.
    trait = spawner.traits().get("exec_prefix")
    if spawner.launcher and trait is not None and prefix == trait.default_value:
        return "sudo -n -u {username}"
    return prefix


def check_account(spawner: PrefixedSpawner) -> None:
    """Raise SpawnFailure if commands could run as a system account, such as root."""
    name, used = spawner.req_username, names_in(prefix_of(spawner))
    if used is not None and "username" not in used:
        return
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        is_elsewhere = re.match(r"\s*(?:\S*/)?(?:gsi)?ssh\s", prefix_of(spawner))
        if _NUMBER.fullmatch(name) and not is_elsewhere:
            raise SpawnFailure(
                f"The job is not submitted: there is no account {name}, and some commands take "
                "that for a user id."
            ) from None
        return  # the account is one of another machine
    if uid < spawner.smallest_uid or uid == _NOBODY:
        raise SpawnFailure(
            f"The job is not submitted: {name} is a system account (user id {uid}). User ids from "
            f"{spawner.smallest_uid} may have servers; smallest_uid of the configuration sets that."
        )


def runners_of(words: tuple[str, ...], *, shared: bool) -> tuple[Runner, Runner]:
    """Return the runner that submits and cancels, and the one that lists the jobs.

    `words` are those of `exec_prefix`; `shared` says that one user may list all jobs, so that
    listing needs no sudo.
    """
    outer, inner = _split_ssh(words)
    runner: Runner = SshRunner(outer, inner) if outer else LocalRunner(inner)
    if not shared or not inner or PurePath(inner[0]).name not in _BECOMES_USER:
        return runner, runner
    return runner, SshRunner(outer) if outer else LocalRunner()


def client_of(
    scheduler: Scheduler, words: tuple[str, ...], launcher: str, owner: str
) -> BatchClient:
    """Return the client of a scheduler for one owner of jobs.

    `words` are those of `exec_prefix`, `launcher` is the path of the launcher or empty.
    """
    runners = runners_of(words, shared=scheduler.shared)
    if not launcher:
        return BatchClient(scheduler, *runners, owner)
    if not scheduler.shared:
        raise ValueError(
            f"c.BatchSpawnerBase.launcher cannot be used with {scheduler.title}: only the owner "
            "of its jobs may list them. Unset it."
        )
    return LauncherClient(scheduler, launcher, owner, *runners)


def _split_ssh(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split into the ssh command up to its host, and what goes before the command there."""
    if not words or PurePath(words[0]).name not in {"ssh", "gsissh"}:
        return (), words
    index = 1
    while index < len(words) and words[index].startswith("-"):
        index += 2 if _SSH_ARGUMENT.fullmatch(words[index]) else 1
    return words[: index + 1], words[index + 1 :]
