"""Decide what of a server's environment travels openly with its job, and how the rest does.

By default the job gets a claim code in the place of the server's token, and exchanges it at the
Hub for all that is secret. Otherwise the secrets lie in a file of the user, or travel openly.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ...errors import BatchError, SchedulerError
from ...private import PrivateEnvironment
from ...schedulers.base import Carrier
from ..failures.spawn_failure import SpawnFailure
from ..hub.tags import hub_word
from .certificates import CERTIFICATES, PATHS, are_ours, entry_certificate
from .claim import Claim, new_code
from .script_exports import with_variables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from ...schedulers.base import Scheduler

    Leave = Callable[[str, str, str], Awaitable[None]]
    """Write, as the owner of the job, a private file: its folder, its name, its text."""

TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105  (a name)
FILE = "BATCHSPAWNER_PRIVATE_FILE"
NEXT = "BATCHSPAWNER_NEXT_CODE_FILE"
_ID_VARIABLE = "BATCHSPAWNER_JOB_ID_VARIABLE"

# Scripts and the wrapper need these before anything can be claimed.
_ALWAYS_OPEN = (
    "PATH",
    "HOME",
    "USER",
    "SHELL",
    "LANG",
    "LC_ALL",
    "JUPYTERHUB_API_URL",
    "JUPYTERHUB_SERVICE_URL",
    "BATCHSPAWNER_*",
)
_WRAPPER = re.compile(r"batchspawner[-./]singleuser")

_CODE = "a code that is good for one use travels"
_ALL = "the server's token and all other secrets travel"

_warned: set[tuple[str, str, str]] = set()


@dataclass(frozen=True)
class Package:
    """Hold what is handed to the scheduler.

    `shown` is the script without a secret, for the log. `claim` is what the Hub keeps of the
    code that travels; None where none does.
    """

    script: str = field(repr=False)
    shown: str
    environment: PrivateEnvironment
    claim: Claim | None = None


async def pack(
    spawner: Any, scheduler: Scheduler | None = None, leave: Leave | None = None
) -> Package:
    """Render the script of a spawner's job and pack its environment.

    `leave` is None where no file can be written as the owner of the job. Raises SpawnFailure
    where the secrets shall be in a file and cannot.
    """
    packer = _Packer(spawner, scheduler, leave)
    script, secrets = await packer.separate()
    if TOKEN not in secrets:
        return Package(script, script, PrivateEnvironment(packer.environment))
    return await packer.pack(script, secrets)


class _Packer:
    def __init__(self, spawner: Any, scheduler: Scheduler | None, leave: Leave | None) -> None:
        self.environment: dict[str, str] = dict(spawner.get_env())
        self._spawner = spawner
        self._scheduler = scheduler
        self._leave = leave
        self._where = scheduler.title if scheduler else type(spawner).__name__
        self._readers = scheduler.environment_readers if scheduler else "unknown people"
        self._carrier = scheduler.carrier if scheduler else Carrier.ENVIRONMENT
        self._way = spawner.secret_transport
        if self._way == "file":
            self._carrier = Carrier.FILE
        self._id_variable = scheduler.job_id_variable if scheduler else ""
        self._extra = [_ID_VARIABLE] if self._id_variable else []
        if self._carrier is Carrier.FILE:
            self._extra.append(FILE)
        if self._way == "claim":
            self._extra.append(NEXT)
        self._certificates = self._way == "claim" and are_ours(spawner)
        if self._certificates:
            self._extra.append(CERTIFICATES)

    async def separate(self) -> tuple[str, dict[str, str]]:
        """Return the script, and the variables that do not travel openly."""
        secrets = self._secrets()
        script = await self._render(secrets)
        # Not every template holds these as they are.
        commands = f"{script}\n{self._spawner.req_prologue}\n{self._spawner.req_epilogue}"
        named = [name for name in secrets if _uses(commands, name)]
        if named:
            what = _ALL if TOKEN in named else "this travels"
            self._warn(f"the job script uses {', '.join(named)}", what)
        elif TOKEN in secrets and not _WRAPPER.search(script):
            self._warn("the job script does not start batchspawner-singleuser", _ALL)
            named = [TOKEN]
        if not named:
            return script, secrets
        if TOKEN in named:
            secrets = {}
        secrets = {name: value for name, value in secrets.items() if name not in named}
        return await self._render(secrets), secrets

    def _secrets(self) -> dict[str, str]:
        spawner = self._spawner
        if self._way == "environment":
            self._warn("secret_transport is 'environment'", _ALL)
            return {}
        if spawner.orm_spawner is None or not self.environment.get(TOKEN):
            return {}
        opened = [name.strip() for name in spawner.req_keepvars_extra.split(",")]
        return {
            name: value
            for name, value in self.environment.items()
            if name == TOKEN
            or (_fits(name, spawner.secret_variables) and not _fits(name, [*opened, *_ALWAYS_OPEN]))
        }

    async def _render(self, secrets: Mapping[str, str]) -> str:
        variables = self._spawner.script_variables()
        names = str(variables.get("keepvars", "")).split(",")
        gone = {*secrets, *self._given_paths(secrets)} - {TOKEN}
        kept = [name for name in names if name not in gone]
        if secrets and TOKEN in names:
            kept += self._extra
        variables["keepvars"] = ",".join(kept)
        return str(await self._spawner._get_batch_script(**variables))

    def _given_paths(self, secrets: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables that the wrapper sets when it has got the certificates."""
        return PATHS if self._certificates and TOKEN in secrets else ()

    async def pack(self, script: str, secrets: dict[str, str]) -> Package:
        """Put the secrets, or the code that is good for them, where nobody looks."""
        gone = {*secrets, *self._given_paths(secrets)}
        environment = {k: v for k, v in self.environment.items() if k not in gone}
        if self._id_variable:
            environment[_ID_VARIABLE] = self._id_variable
        claim, cargo = None, secrets
        if self._way == "claim":
            code = new_code(self._spawner.orm_spawner.id)
            claim, cargo = Claim.of(code, secrets), {TOKEN: code}
            environment[NEXT] = "{}/{}-next".format(*self._place())
            if self._certificates:
                cargo[CERTIFICATES] = entry_certificate(self._spawner)
        loaded = script
        if self._carrier is Carrier.FILE:
            environment[FILE] = file = await self._left(cargo)
            if file:
                loaded = self._scheduler.bringing(script, file) if self._scheduler else script
                cargo = {name: "lies-in-a-file" for name in (TOKEN, CERTIFICATES) if name in cargo}
        elif self._carrier is Carrier.SCRIPT:
            changed = with_variables(script, cargo)
            if changed is None:
                self._warn("nothing can be set in a job script in this language", _CODE)
            else:
                loaded, cargo = changed, dict.fromkeys(cargo, "lies-in-the-script")
        return Package(loaded, script, PrivateEnvironment({**environment, **cargo}), claim)

    async def _left(self, cargo: Mapping[str, str]) -> str:
        """Write the cargo into a file of the job's owner; empty where that cannot be done."""
        folder, name = self._place()
        try:
            if self._leave is None:
                raise BatchError("the configuration's own commands are used")
            await self._leave(folder, name, json.dumps(dict(cargo)))
        except BatchError as error:
            why = "no private file can be written for the job's owner"
            if self._way == "file":
                raise SpawnFailure(f"The job is not submitted: {why}: {_said(error)}.") from error
            self._warn(why, _CODE, f": {_said(error)}")
            return ""
        return f"{folder}/{name}"

    def _place(self) -> tuple[str, str]:
        """Return folder and name of a file for this server alone: the next start replaces it."""
        spawner = self._spawner
        name = f"{hub_word(spawner)}-{spawner.orm_spawner.id}"
        return f"{spawner.req_homedir}/.batchspawner", name

    def _warn(self, why: str, what: str, detail: str = "") -> None:
        """Say once what travels openly, and who can read it, whatever the detail of each user."""
        cls = type(self._spawner).__name__
        readers = f"in the job's environment, which on {self._where} can be read by {self._readers}"
        if (cls, why, what) not in _warned:
            _warned.add((cls, why, what))
            self._spawner.log.warning(f"{cls}: {why}{detail}. So {what} {readers}.")


def _said(error: BatchError) -> str:
    """Return an error in one line: of a command that failed, what it said last."""
    result = error.result if isinstance(error, SchedulerError) else None
    lines = result.text.splitlines() if result else []
    return str(lines[-1] if lines else error).rstrip(".")


def _uses(script: str, name: str) -> bool:
    """Tell whether a script uses a variable itself, besides keeping it."""
    if name == TOKEN:
        return bool(re.search(rf"\$\{{?{name}\b|\$ENV\({name}\b|([\"']){name}\1", script))
    return bool(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", script))


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.upper(), pattern.upper()) for pattern in patterns if pattern)
