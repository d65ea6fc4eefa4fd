"""Look at what the Hub needs on its own machine: commands, the right to be the user, an answer."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CommandNotFound, SchedulerError, TemplateError
from ..jobs import JobRequest
from ..runners import ask, tool_environment
from .findings import Finding, doubtful, fine, skipped, wrong
from .site import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..client.batch_client import BatchClient
    from ..commands import Command
    from ..spawners.secrets.package import Package

_NO_RIGHT = re.compile(
    r"password is required|a terminal is required|not allowed to execute|may not run sudo"
    r"|not in the sudoers|no tty present|sorry, user",
    re.IGNORECASE,
)
_TAG = "batchspawner-check"


@dataclass(frozen=True)
class Bench:
    """Hold what the checks work on: a spawner, and its way to the scheduler."""

    spawner: Any
    client: BatchClient
    section: str

    @property
    def user(self) -> str:
        return str(self.spawner.user.name)


def make_bench(spawner: Any) -> Bench:
    """Return the bench of a spawner. Raises Broken where the site speaks its own commands."""
    from ..spawners.backends.scheduler_backend import SchedulerBackend

    section = type(spawner).__name__
    if not isinstance(spawner.backend, SchedulerBackend):
        text = (
            f"{section} uses commands of the configuration (batch_submit_cmd and others, or an "
            "exec_prefix that only a shell can read); they are not checked here"
        )
        raise Broken(skipped("commands", text))
    return Bench(spawner, spawner.backend.client, section)


def look_at_user(bench: Bench) -> Iterator[Finding]:
    """Look at the user's account on this machine. Raises Broken where there is none."""
    try:
        entry = pwd.getpwnam(bench.user)
    except KeyError:
        text = f"this machine knows no user {bench.user}"
        cure = "batchspawner check --user NAME   (a user of the cluster)"
        raise Broken(wrong("user", text, cure)) from None
    yield fine("user", f"{entry.pw_name} has the user id {entry.pw_uid} and {entry.pw_dir} as home")


def look_at_commands(bench: Bench) -> Iterator[Finding]:
    """Look for the scheduler's commands. Raises Broken where one is missing."""
    scheduler = bench.client.scheduler
    names = _programs(bench)
    path = tool_environment()["PATH"]
    missing = [name for name in names if not shutil.which(name, path=path)]
    if missing:
        text = f"{', '.join(missing)}: not found on this machine; PATH is {path}"
        cure = (
            f"Start the Hub with the folder of {missing[0]} on its PATH, such as\n"
            f"Environment=PATH=/opt/{scheduler.name}/bin:/usr/bin:/bin   (in its systemd unit)"
        )
        raise Broken(wrong("commands", text, cure))
    yield fine("commands", f"{', '.join(names)}: found")


def _programs(bench: Bench) -> list[str]:
    """Return the names of the commands that a server's life needs."""
    scheduler = bench.client.scheduler
    ids = (one for one in ("1", "1.host") if scheduler.job_id_pattern.fullmatch(one))
    job_id = next(ids, "1")
    calls: list[Command[Any]] = [
        scheduler.submit(JobRequest("", _TAG)),
        scheduler.find(_TAG),
        scheduler.cancel(job_id),
        *scheduler.query([job_id]),
    ]
    return sorted({call.argv[0] for call in calls} - {"sh"})


async def look_at_answer(bench: Bench) -> list[Finding]:
    """Ask the scheduler as the user, and as whoever lists the jobs. Raises Broken."""
    scheduler, found = bench.client.scheduler, []
    prefix = " ".join(getattr(bench.client.runner, "prefix", ()))
    began = time.monotonic()
    try:
        await ask(scheduler, scheduler.find(_TAG), bench.client.runner)
    except CommandNotFound as error:
        raise Broken(wrong("rights", str(error), _prefix_cure(bench))) from error
    except SchedulerError as error:
        raise Broken(_no_answer(bench, error)) from error
    seconds = time.monotonic() - began
    who = f"through {prefix}" if prefix else "as the user of the Hub"
    found.append(fine("rights", f"commands run as {bench.user}, {who}"))
    if seconds > 5:
        text = (
            f"{scheduler.title} took {seconds:.1f} s for an answer; starts and stops will be slow"
        )
        found.append(doubtful("scheduler", text))
    else:
        text = f"{scheduler.title} answers in {seconds * 1000:.0f} ms"
        found.append(fine("scheduler", text, answer_seconds=round(seconds, 3)))
    return found


def _no_answer(bench: Bench, error: SchedulerError) -> Finding:
    said = error.result.text if error.result else error.message
    if _NO_RIGHT.search(said):
        text = f"the Hub may not run commands as {bench.user}: {said}"
        return wrong("rights", text, sudo_rule(bench))
    title = bench.client.scheduler.title
    return wrong("scheduler", f"{title} does not answer: {error}", f"Look after {title} first.")


def sudo_rule(bench: Bench) -> str:
    """Return the lines of /etc/sudoers.d/jupyterhub that let the Hub run the commands."""
    path = tool_environment()["PATH"]
    programs = ", ".join(shutil.which(name, path=path) or name for name in _programs(bench))
    owner = pwd.getpwuid(os.getuid()).pw_name
    return (
        f"{owner} ALL=(%jupyterhub-users) NOPASSWD:SETENV: {programs}\n"
        "(in visudo -f /etc/sudoers.d/jupyterhub; the users of the Hub are in that group)"
    )


def _prefix_cure(bench: Bench) -> str:
    return f'c.{bench.section}.exec_prefix = "sudo -E -u {{username}}"'


async def render(bench: Bench, command: str, log: str) -> Package:
    """Return what the site makes of a job that runs a command. Raises Broken."""
    from ..spawners.failures.spawn_failure import SpawnFailure
    from ..spawners.secrets.package import pack

    spawner, scheduler = bench.spawner, bench.client.scheduler
    variables = spawner.script_variables
    spawner.cmd_formatted_for_batch = lambda: scheduler.embedded(command)
    spawner.script_variables = lambda: {**variables(), "log": log}
    try:
        package: Package = await pack(spawner, scheduler, bench.client.leave)
    except (TemplateError, KeyError, ValueError, SpawnFailure) as error:
        text = f"the job script cannot be made: {type(error).__name__}: {error}"
        cure = f"look into c.{bench.section}.batch_script, or: batchspawner templates"
        raise Broken(wrong("script", text, cure)) from error
    return package


def look_at_package(bench: Bench, package: Package) -> list[Finding]:
    """Look whether a script runs the command, and what it tells that others may not read."""
    spawner, section = bench.spawner, bench.section
    if "zlib" not in package.script:
        text = "the job script does not hold the command that starts the server"
        cure = f"write {{cmd}} into c.{section}.batch_script"
        raise Broken(wrong("script", text, cure))
    lines = len(package.script.splitlines())
    found = [fine("script", f"the job script is made ({lines} lines)")]
    if spawner.api_token in package.script:
        text = "the job script holds the token of the server; on many clusters others can read it"
        cure = f"take the token out of c.{section}.batch_script"
        found.append(wrong("secrets", text, cure))
    elif spawner.api_token in package.environment.values():
        readers = bench.client.scheduler.environment_readers
        text = f"the token of the server travels in the job's environment, read by {readers}"
        cure = f'c.{section}.secret_transport = "claim"   (and no $JUPYTERHUB_API_TOKEN in scripts)'
        found.append(doubtful("secrets", text, cure))
    return found
