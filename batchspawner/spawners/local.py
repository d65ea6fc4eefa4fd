"""Spawner for the embedded queue."""

from __future__ import annotations

import os
import pwd
import re

from traitlets import Unicode, default

from .regex_states import BatchSpawnerRegexStates
from .traits.environment import UserEnvMixin


class LocalQueueSpawner(UserEnvMixin, BatchSpawnerRegexStates):
    """Spawner of servers that are jobs of the embedded queue of this machine.

    The jobs belong to the user who runs the Hub, unless `exec_prefix` says otherwise.
    """

    scheduler_name = "local"

    ip = Unicode("127.0.0.1", help="Address on which the server listens.").tag(config=True)
    exec_prefix = Unicode("", help="What goes before the queue's commands, such as sudo.").tag(
        config=True
    )
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

    def _owner(self) -> pwd.struct_passwd:
        return (
            pwd.getpwnam(self.user.name) if self.exec_prefix.strip() else pwd.getpwuid(os.getuid())
        )

    @default("req_homedir")
    def _req_homedir_default(self) -> str:
        return self._owner().pw_dir

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        owner = self._owner()
        return {**env, "USER": owner.pw_name, "HOME": owner.pw_dir, "SHELL": owner.pw_shell}
