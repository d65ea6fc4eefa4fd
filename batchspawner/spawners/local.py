"""Spawner for the embedded queue."""

from __future__ import annotations

import os
import pwd
import re
from typing import ClassVar

from traitlets import Unicode, default

from ..localqueue.folder import default_folder
from .regex_states import BatchSpawnerRegexStates
from .traits.environment import UserEnvMixin


class LocalQueueSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Spawner of servers that are jobs of the embedded queue of this machine.

    The jobs belong to the user who runs the Hub, unless `exec_prefix` says otherwise.
    """

    scheduler_name = "local"

    _users: ClassVar[set[str]] = set()
    """Names of the users who have started servers that run as the Hub's account."""

    ip = Unicode("127.0.0.1", help="Address on which the server listens.").tag(config=True)
    exec_prefix = Unicode(
        "",
        help="What goes before the queue's commands, so that the user owns the job, such as "
        "`runuser -u {username} --` for a Hub that root runs. Without it the servers of all users "
        "run as the Hub's account.",
    ).tag(config=True)
    req_homedir = Unicode(
        help="Folder in which the job starts and leaves its log; by default the owner's home."
    ).tag(config=True)
    batch_submit_cmd = Unicode("batchspawner-queue submit").tag(config=True)
    batch_query_cmd = Unicode("batchspawner-queue query {job_id}").tag(config=True)
    batch_cancel_cmd = Unicode("batchspawner-queue cancel {job_id}").tag(config=True)
    state_pending_re = Unicode(r'"state": "PENDING"').tag(config=True)
    state_running_re = Unicode(r'"state": "RUNNING"').tag(config=True)
    state_exechost_re = Unicode(r'"host": "([^"]+)"').tag(config=True)

    def parse_job_id(self, output: str) -> str:
        match = re.search(r"[0-9]+", output)
        if not match:
            raise ValueError(f"no job id in {output!r}")
        return match[0]

    async def start(self) -> tuple[str, int]:
        if self._shares_account:
            self._warn_of_shared_account()
        return await super().start()

    def _warn_of_shared_account(self) -> None:
        """Warn once that the servers of a second user run as the same account as the first's."""
        is_new = self.user.name not in self._users
        self._users.add(self.user.name)
        if is_new and len(self._users) == 2:
            self.log.warning(
                "The servers of several users (%s) run as one account, %s, which also runs the "
                "Hub: each of them can read and change the files of the others, and the Hub's "
                "database and cookie secret. Set c.%s.exec_prefix so that each user owns their "
                "jobs, or let in people who trust each other.",
                ", ".join(sorted(self._users)),
                self._owner().pw_name,
                type(self).__name__,
            )

    @property
    def _shares_account(self) -> bool:
        """Whether the server runs as the account of the Hub."""
        return not self.exec_prefix.strip()

    def _owner(self) -> pwd.struct_passwd:
        return pwd.getpwuid(os.getuid()) if self._shares_account else pwd.getpwnam(self.user.name)

    @default("req_homedir")
    def _req_homedir_default(self) -> str:
        return self._owner().pw_dir

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        owner = self._owner()
        if self._shares_account:
            # HOME of the job may be another one than ours, and each would have a queue of its own.
            env = {"BATCHSPAWNER_QUEUE_DIR": str(default_folder().absolute()), **env}
        return {**env, "USER": owner.pw_name, "HOME": owner.pw_dir, "SHELL": owner.pw_shell}
