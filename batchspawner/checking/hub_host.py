"""What the Hub needs on its own machine: commands, the right to run them, a scheduler."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

from ..errors import CommandNotFound, SchedulerError
from ..jobs import JobRequest
from ..processes import tool_environment
from ..runners import ask
from .findings import CheckAborted, Finding, ok, warning, wrong
from .job_control import CommandControl, LauncherControl, SchedulerControl

if TYPE_CHECKING:
    from ..client.batch_client import BatchClient
    from ..commands import Command
    from ..spawners.backends.command_backend import CommandBackend
    from .configuration import CheckedSpawner
    from .job_control import JobControl

_NO_RIGHT = re.compile(
    r"password is required|a terminal is required|not allowed to execute|may not run sudo"
    r"|not in the sudoers|no tty present|sorry, user",
    re.IGNORECASE,
)
_SUDO_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Folders in which sudo usually looks for commands."""

_TAG = "batchspawner-check"
_SLOW_ANSWER_S = 5.0


@dataclass(frozen=True)
class Target:
    """What the checks work on: a spawner, its test job, and its section of the configuration."""

    spawner: CheckedSpawner
    control: JobControl
    section: str

    @property
    def user(self) -> str:
        return self.spawner.user.name


def make_target(spawner: CheckedSpawner) -> Target:
    """Return what the checks work on."""
    from ..spawners.backends.launcher_client import LauncherClient
    from ..spawners.backends.scheduler_backend import SchedulerBackend

    backend = spawner.backend
    if isinstance(backend, SchedulerBackend):
        kind = LauncherControl if isinstance(backend.client, LauncherClient) else SchedulerControl
        control: JobControl = kind(backend.client)
    else:
        control = CommandControl(spawner, cast("CommandBackend", backend))
    return Target(spawner, control, type(spawner).__name__)


def check_user(spawner: CheckedSpawner) -> Finding:
    """Check that the user has an account on this machine. Raises CheckAborted."""
    name = spawner.user.name
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        text = f"there is no user {name} on this machine"
        cure = "batchspawner check --user NAME   (a user of the cluster)"
        raise CheckAborted(wrong("user", text, cure)) from None
    text = f"{entry.pw_name} has the user id {entry.pw_uid} and the home folder {entry.pw_dir}"
    return ok("user", text)


def check_commands(client: BatchClient) -> Finding:
    """Check that the scheduler's commands are there. Raises CheckAborted."""
    scheduler = client.scheduler
    names = _programs(client)
    path = tool_environment()["PATH"]
    missing = [name for name in names if not shutil.which(name, path=path)]
    for name in missing:
        there = _file_in(path, name)
        if there:
            text = f"{there} is there, but the user of the Hub may not run it"
            raise CheckAborted(wrong("commands", text, f"ls -l {there}"))
    if missing:
        text = f"{', '.join(missing)}: not found on this machine; PATH is {path}"
        cure = (
            f"Start the Hub with the folder of {missing[0]} on its PATH, such as\n"
            f"Environment=PATH=/opt/{scheduler.name}/bin:/usr/bin:/bin   (in its systemd unit)"
        )
        raise CheckAborted(wrong("commands", text, cure))
    return ok("commands", f"{', '.join(names)}: found")


def _file_in(path: str, name: str) -> str:
    """Return the path of a file that may not be run, empty if there is none."""
    places = (os.path.join(folder, name) for folder in path.split(":"))  # noqa: PTH118
    return next((place for place in places if os.path.isfile(place)), "")  # noqa: PTH113


def _programs(client: BatchClient) -> list[str]:
    """Return the names of the commands that submit, query and cancel a job."""
    scheduler = client.scheduler
    ids = (one for one in ("1", "1.host") if scheduler.job_id_pattern.fullmatch(one))
    job_id = next(ids, "1")
    commands: list[Command[Any]] = [
        scheduler.submit(JobRequest("", _TAG)),
        scheduler.find(_TAG),
        scheduler.cancel(job_id),
        *scheduler.query([job_id]),
    ]
    return sorted({command.argv[0] for command in commands} - {"sh"})


async def check_scheduler(target: Target, client: BatchClient) -> list[Finding]:
    """Query the scheduler as the user who owns the job. Raises CheckAborted."""
    scheduler, found = client.scheduler, []
    prefix = " ".join(getattr(client.runner, "prefix", ()))
    began = time.monotonic()
    try:
        await ask(scheduler, scheduler.find(_TAG), client.runner)
    except CommandNotFound as error:
        cure = _secure_path(client) if error.result else _prefix_cure(target)
        raise CheckAborted(wrong("rights", str(error), cure)) from error
    except SchedulerError as error:
        raise CheckAborted(_no_answer(target, client, error)) from error
    seconds = time.monotonic() - began
    if isinstance(target.control, LauncherControl):
        who = "through the launcher; only queries run as the user of the Hub"
    else:
        who = f"through {prefix}" if prefix else "as the user of the Hub"
    found.append(ok("rights", f"commands run as {target.user}, {who}"))
    if seconds > _SLOW_ANSWER_S:
        text = f"{scheduler.title} took {seconds:.1f} s to answer; starts and stops will be slow"
        found.append(warning("scheduler", text))
    else:
        text = f"{scheduler.title} answers in {seconds * 1000:.0f} ms"
        found.append(ok("scheduler", text, answer_seconds=round(seconds, 3)))
    return found


def _no_answer(target: Target, client: BatchClient, error: SchedulerError) -> Finding:
    reason = error.result.text if error.result else error.message
    if _NO_RIGHT.search(reason):
        text = f"the Hub may not run commands as {target.user}: {reason}"
        return wrong("rights", text, sudo_rule(client))
    title = client.scheduler.title
    return wrong("scheduler", f"{title} does not answer: {error}", f"Check {title} itself first.")


def sudo_rule(client: BatchClient) -> str:
    """Return the lines of /etc/sudoers.d/jupyterhub that let the Hub run the commands."""
    path = tool_environment()["PATH"]
    programs = ", ".join(shutil.which(name, path=path) or name for name in _programs(client))
    owner = pwd.getpwuid(os.getuid()).pw_name
    return (
        f"{owner} ALL=(%jupyterhub-users) NOPASSWD:SETENV: {programs}\n"
        "(in visudo -f /etc/sudoers.d/jupyterhub; the users of the Hub are in that group)"
    )


def _secure_path(client: BatchClient) -> str:
    """Return the line of sudoers with which sudo finds the commands as the Hub does."""
    path = tool_environment()["PATH"]
    programs = [shutil.which(name, path=path) for name in _programs(client)]
    folders = dict.fromkeys(str(PurePath(one).parent) for one in programs if one)
    owner = pwd.getpwuid(os.getuid()).pw_name
    return (
        f'Defaults:{owner} secure_path="{":".join(dict.fromkeys([*folders, *_SUDO_PATH]))}"\n'
        "(in visudo -f /etc/sudoers.d/jupyterhub; keep what secure_path has had there)"
    )


def _prefix_cure(target: Target) -> str:
    return f'c.{target.section}.exec_prefix = "sudo -E -u {{username}}"'
