"""How the commands of a scheduler are run, as whom, how often, and on which forgotten jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traitlets import CaselessStrEnum, Float, HasTraits, Integer, List, Unicode, default

from ...processes import IDENTITY, run_shell, tool_environment
from .environment import COMMAND_ENV_KEEP, ENV_KEEP

if TYPE_CHECKING:
    import logging


class CommandTraits(HasTraits):
    """Traits for a site's own commands, and for when and as whom all commands are run."""

    log: logging.Logger
    if TYPE_CHECKING:

        @property
        def log_name(self) -> str: ...

    exec_prefix = Unicode(
        "sudo -E -u {username}",
        help="What goes before the scheduler's commands, so that the user owns the job.",
    ).tag(config=True)
    smallest_uid = Integer(
        1000,
        min=0,
        help="Smallest Unix user id of those who may have servers where exec_prefix makes the "
        "Hub act as its users: smaller ones are system accounts, such as root.",
    ).tag(config=True)
    launcher = Unicode(
        "",
        help="Path of the launcher that root has installed, such as "
        "/usr/local/sbin/batchspawner-launcher. Jobs are submitted and cancelled through it, by "
        "`sudo -n -u {username}` unless exec_prefix is set. It can do nothing else.",
    ).tag(config=True)
    batch_submit_cmd = Unicode(
        "", help="Template of the submit command, run by a shell, the job script as its input."
    ).tag(config=True)
    batch_query_cmd = Unicode("", help="Template of the query command; it has `job_id`.").tag(
        config=True
    )
    batch_cancel_cmd = Unicode("", help="Template of the cancel command; it has `job_id`.").tag(
        config=True
    )
    command_env_keep = List(
        Unicode(),
        help="Names of the Hub's environment variables that the commands of this configuration "
        "get, a final `*` standing for any ending.",
    ).tag(config=True)
    startup_poll_interval = Float(
        0.5,
        help="Seconds between two queries while a server starts. All starting servers share "
        "one query, and no scheduler is asked more often than it can bear.",
    ).tag(config=True)
    query_floor = Float(
        0.0,
        min=0.0,
        help="Seconds between two queries to the scheduler at least, on average, whatever happens. "
        "What suits the scheduler, two seconds for most of them, is never undercut.",
    ).tag(config=True)
    submit_concurrency = Integer(
        8,
        min=1,
        help="How many submits run at a time; further ones wait, users taking turns.",
    ).tag(config=True)
    orphan_policy = CaselessStrEnum(
        ["cancel", "report", "ignore"],
        "cancel",
        help="What becomes of jobs of this Hub that no server belongs to any more.",
    ).tag(config=True)
    orphan_grace = Float(
        600, help="Seconds that a job without a server is left alone before it is cancelled."
    ).tag(config=True)

    @default("env_keep")
    def _env_keep_default(self) -> list[str]:
        return list(ENV_KEEP)

    @default("command_env_keep")
    def _command_env_keep_default(self) -> list[str]:
        return list(COMMAND_ENV_KEEP)

    async def run_command(
        self,
        cmd: str,
        input: str | None = None,  # noqa: A002
        env: dict[str, str] | None = None,
    ) -> str:
        """Run a command of the configuration through the shell and return what it printed.

        Raises RuntimeError with its standard error if its exit status is not 0.
        """
        identity = () if self.exec_prefix.strip() else IDENTITY
        environment = tool_environment((*self.command_env_keep, *identity), env)
        result = await run_shell(cmd, input=input or "", environment=environment)
        if not result.ok:
            self.log.error("%s: the command failed\n%s", self.log_name, result.describe())
            raise RuntimeError(result.stderr.strip())
        return result.stdout.strip()
