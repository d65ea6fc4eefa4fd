"""What the Hub needs on its own machine: commands, the right to run them, a scheduler."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CommandNotFound, SchedulerError
from ..jobs import JobRequest
from ..runners import ask, tool_environment
from .findings import CheckAborted, Finding, ok, skipped, warning, wrong

if TYPE_CHECKING:
    from ..client.batch_client import BatchClient
    from ..commands import Command
    from .configuration import CheckedSpawner

_NO_RIGHT = re.compile(
    r"password is required|a terminal is required|not allowed to execute|may not run sudo"
    r"|not in the sudoers|no tty present|sorry, user",
    re.IGNORECASE,
)
_TAG = "batchspawner-check"
_SLOW_ANSWER_S = 5.0


@dataclass(frozen=True)
class Target:
    """What the checks work on: a spawner, its client, and its section of the configuration."""

    spawner: CheckedSpawner
    client: BatchClient
    section: str

    @property
    def user(self) -> str:
        return self.spawner.user.name


def make_target(spawner: CheckedSpawner) -> Target:
    """Return what the checks work on. Raises CheckAborted if the site has its own commands."""
    from ..spawners.backends.scheduler_backend import SchedulerBackend

    section = type(spawner).__name__
    backend = spawner.backend
    if not isinstance(backend, SchedulerBackend):
        text = (
            f"{section} uses commands of the configuration (batch_submit_cmd and others, or an "
            "exec_prefix that only a shell can read); these are not checked"
        )
        raise CheckAborted(skipped("commands", text))
    return Target(spawner, backend.client, section)


def check_user(target: Target) -> Finding:
    """Check that the user has an account on this machine. Raises CheckAborted."""
    try:
        entry = pwd.getpwnam(target.user)
    except KeyError:
        text = f"there is no user {target.user} on this machine"
        cure = "batchspawner check --user NAME   (a user of the cluster)"
        raise CheckAborted(wrong("user", text, cure)) from None
    text = f"{entry.pw_name} has the user id {entry.pw_uid} and the home folder {entry.pw_dir}"
    return ok("user", text)


def check_commands(target: Target) -> Finding:
    """Check that the scheduler's commands are there. Raises CheckAborted."""
    scheduler = target.client.scheduler
    names = _programs(target)
    path = tool_environment()["PATH"]
    missing = [name for name in names if not shutil.which(name, path=path)]
    if missing:
        text = f"{', '.join(missing)}: not found on this machine; PATH is {path}"
        cure = (
            f"Start the Hub with the folder of {missing[0]} on its PATH, such as\n"
            f"Environment=PATH=/opt/{scheduler.name}/bin:/usr/bin:/bin   (in its systemd unit)"
        )
        raise CheckAborted(wrong("commands", text, cure))
    return ok("commands", f"{', '.join(names)}: found")


def _programs(target: Target) -> list[str]:
    """Return the names of the commands that submit, query and cancel a job."""
    scheduler = target.client.scheduler
    ids = (one for one in ("1", "1.host") if scheduler.job_id_pattern.fullmatch(one))
    job_id = next(ids, "1")
    commands: list[Command[Any]] = [
        scheduler.submit(JobRequest("", _TAG)),
        scheduler.find(_TAG),
        scheduler.cancel(job_id),
        *scheduler.query([job_id]),
    ]
    return sorted({command.argv[0] for command in commands} - {"sh"})


async def check_scheduler(target: Target) -> list[Finding]:
    """Query the scheduler as the user who owns the job. Raises CheckAborted."""
    scheduler, found = target.client.scheduler, []
    prefix = " ".join(getattr(target.client.runner, "prefix", ()))
    began = time.monotonic()
    try:
        await ask(scheduler, scheduler.find(_TAG), target.client.runner)
    except CommandNotFound as error:
        raise CheckAborted(wrong("rights", str(error), _prefix_cure(target))) from error
    except SchedulerError as error:
        raise CheckAborted(_no_answer(target, error)) from error
    seconds = time.monotonic() - began
    who = f"through {prefix}" if prefix else "as the user of the Hub"
    found.append(ok("rights", f"commands run as {target.user}, {who}"))
    if seconds > _SLOW_ANSWER_S:
        text = f"{scheduler.title} took {seconds:.1f} s to answer; starts and stops will be slow"
        found.append(warning("scheduler", text))
    else:
        text = f"{scheduler.title} answers in {seconds * 1000:.0f} ms"
        found.append(ok("scheduler", text, answer_seconds=round(seconds, 3)))
    return found


def _no_answer(target: Target, error: SchedulerError) -> Finding:
    reason = error.result.text if error.result else error.message
    if _NO_RIGHT.search(reason):
        text = f"the Hub may not run commands as {target.user}: {reason}"
        return wrong("rights", text, sudo_rule(target))
    title = target.client.scheduler.title
    return wrong("scheduler", f"{title} does not answer: {error}", f"Check {title} itself first.")


def sudo_rule(target: Target) -> str:
    """Return the lines of /etc/sudoers.d/jupyterhub that let the Hub run the commands."""
    path = tool_environment()["PATH"]
    programs = ", ".join(shutil.which(name, path=path) or name for name in _programs(target))
    owner = pwd.getpwuid(os.getuid()).pw_name
    return (
        f"{owner} ALL=(%jupyterhub-users) NOPASSWD:SETENV: {programs}\n"
        "(in visudo -f /etc/sudoers.d/jupyterhub; the users of the Hub are in that group)"
    )


def _prefix_cure(target: Target) -> str:
    return f'c.{target.section}.exec_prefix = "sudo -E -u {{username}}"'
