"""The package handed to the scheduler: a job's script and environment, without the secrets.

By default the job gets a claim code in the place of the server's token, and exchanges it at the
Hub for everything that is secret. Otherwise the secrets are in a file of the user, or in the
environment of the job.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import BatchError, SchedulerError
from ...private_environment import PrivateEnvironment
from ...schedulers.base import Carrier
from ..failures.spawn_failure import SpawnFailure
from ..hub.jupyterhub import JobSpawner
from ..hub.tags import server_number, server_word
from .certificates import CERTIFICATES, PATHS, CertifiedSpawner, are_ours, entry_certificate
from .claim import Claim, new_code
from .script_exports import is_bourne, with_variables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from ...schedulers.base import Scheduler

    Leave = Callable[[str, str, str], Awaitable[None]]
    """Function that writes a private file of the job's owner: its folder, its name, its text."""

TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105  (a name)
FILE = "BATCHSPAWNER_PRIVATE_FILE"
NEXT = "BATCHSPAWNER_NEXT_CODE_FILE"
_ID_VARIABLE = "BATCHSPAWNER_JOB_ID_VARIABLE"

_MAX_VARIABLE_BYTES = 128 * 1024 - 1
"""Length of ``NAME=value`` that Linux allows: execve(2), MAX_ARG_STRLEN."""

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
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WRAPPER = re.compile(r"batchspawner[-./]singleuser")

_CODE = "a code that is good for one use travels"
_ALL = "the server's token and all other secrets travel"

_warned: set[tuple[str, str, str]] = set()


class PackedSpawner(CertifiedSpawner, JobSpawner, Protocol):
    """What a package needs of a spawner."""

    req_epilogue: str
    req_homedir: str
    req_keepvars_extra: str
    req_prologue: str
    secret_transport: str
    secret_variables: list[str]

    def script_variables(self) -> dict[str, Any]: ...

    async def _get_batch_script(self, **subvars: Any) -> str: ...


@dataclass(frozen=True)
class Package:
    """What is handed to the scheduler.

    `shown` is the script without a secret, for the log. `claim` is the record of the code that
    travels; None if there is none.
    """

    script: str = field(repr=False)
    shown: str
    environment: PrivateEnvironment
    claim: Claim | None = None


async def pack(
    spawner: PackedSpawner, scheduler: Scheduler | None = None, leave: Leave | None = None
) -> Package:
    """Render the script of a spawner's job and pack its environment.

    `leave` is None if no file can be written as the owner of the job. Raises SpawnFailure if the
    secrets are to be in a file and cannot be.
    """
    packer = _Packer(spawner, scheduler, leave)
    packer.check_values()
    script, secrets = await packer.separate()
    if TOKEN not in secrets:
        return packer.without_claim(script)
    return await packer.pack(script, secrets)


class _Packer:
    def __init__(
        self, spawner: PackedSpawner, scheduler: Scheduler | None, leave: Leave | None
    ) -> None:
        self.environment: dict[str, str] = dict(spawner.get_env())
        self._spawner = spawner
        self._scheduler = scheduler
        self._leave = leave
        self._where = scheduler.title if scheduler else type(spawner).__name__
        self._readers = scheduler.environment_readers if scheduler else "unknown people"
        self._carrier = scheduler.carrier if scheduler else Carrier.ENVIRONMENT
        self._transport = spawner.secret_transport
        if self._transport == "file":
            self._carrier = Carrier.FILE
        self._id_variable = scheduler.job_id_variable if scheduler else ""
        self._extra = [_ID_VARIABLE] if self._id_variable else []
        if self._carrier is Carrier.FILE:
            self._extra.append(FILE)
        if self._transport == "claim":
            self._extra.append(NEXT)
        self._certificates = self._transport == "claim" and are_ours(spawner)
        if self._certificates:
            self._extra.append(CERTIFICATES)
        # What the script or a file brings is not among the variables that the job is to get.
        is_open = self._carrier is Carrier.ENVIRONMENT
        self._elsewhere = () if is_open else (TOKEN, CERTIFICATES)
        # A description of a job, as HTCondor's, is no script.
        self._has_directives = scheduler is None or bool(scheduler.directives)
        carried = scheduler.carried_values if scheduler else re.compile(r"[^\0]*")
        self._changed = {
            name: value
            for name, value in self.environment.items()
            if name != TOKEN and not carried.fullmatch(value)
        }
        """Variables whose values the scheduler would change on the way to the job."""

    def check_values(self) -> None:
        """Check that a job can have each variable. Raises SpawnFailure."""
        for name, value in self.environment.items():
            if "\0" in value or len(f"{name}={value}".encode()) > _MAX_VARIABLE_BYTES:
                raise SpawnFailure(
                    f"The job is not submitted: no program can be started with the variable {name}:"
                    f" its value has {len(value.encode())} bytes, of {_MAX_VARIABLE_BYTES} that are"
                    " possible, or a zero byte."
                )

    async def separate(self) -> tuple[str, dict[str, str]]:
        """Return the script, and the variables that do not travel openly."""
        secrets = self._secrets()
        script = await self._render(secrets)
        if TOKEN in secrets and not (self._has_directives and is_bourne(script)):
            # Nothing can be set in it: these come with the token.
            secrets = {**secrets, **self._changed}
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
        if self._transport == "environment":
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
        passed = [name for name in names if name not in gone]
        if secrets and TOKEN in names:
            passed += self._extra
        if TOKEN in secrets:
            passed = [name for name in passed if name not in self._elsewhere]
        in_script = [name for name in passed if name in self._changed and _NAME.fullmatch(name)]
        passed = [name for name in passed if name not in self._changed]
        variables["keepvars"] = ",".join(passed)
        script: str = await self._spawner._get_batch_script(**variables)
        if not in_script or not self._has_directives:
            return script
        changed = with_variables(script, {name: self._changed[name] for name in in_script})
        if changed is not None:
            return changed
        self._spawner.log.warning(
            "%s: %s may not arrive unchanged: no shell script",
            type(self._spawner).__name__,
            ", ".join(in_script),
        )
        variables["keepvars"] = ",".join([*passed, *in_script])
        unchanged: str = await self._spawner._get_batch_script(**variables)
        return unchanged

    def _given_paths(self, secrets: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables that the wrapper sets itself, from the certificates."""
        return PATHS if self._certificates and TOKEN in secrets else ()

    async def pack(self, script: str, secrets: dict[str, str]) -> Package:
        """Put the secrets, or the code for them, where nobody else can read them."""
        gone = {*secrets, *self._given_paths(secrets)}
        environment = {k: v for k, v in self.environment.items() if k not in gone}
        if self._id_variable:
            environment[_ID_VARIABLE] = self._id_variable
        claim, payload = None, secrets
        if self._transport == "claim":
            code = new_code(server_number(self._spawner))
            claim, payload = Claim.of(code, secrets), {TOKEN: code}
            environment[NEXT] = "{}/{}-next".format(*self._place())
            if self._certificates:
                payload[CERTIFICATES] = entry_certificate(self._spawner)
        loaded = await self._load(script, payload, environment)
        if loaded is None:
            # It travels in the environment after all.
            self._elsewhere = ()
            loaded = script = await self._render(secrets)
            environment.update(payload)
        elif self._carrier is Carrier.ENVIRONMENT:
            environment.update(payload)
        return Package(loaded, self._masked(script), PrivateEnvironment(environment), claim)

    def without_claim(self, script: str) -> Package:
        """Return the package of a job that gets all of its environment openly."""
        return Package(script, self._masked(script), PrivateEnvironment(self.environment))

    def _masked(self, script: str) -> str:
        """Return the script for the log: without values of variables that may be secret."""
        for name, value in self._changed.items():
            if _fits(name, self._spawner.secret_variables):
                for line in (with_variables("", {name: value}) or "").splitlines():
                    script = script.replace(line, f"export {name}=...")
        return script

    async def _load(
        self, script: str, payload: Mapping[str, str], environment: dict[str, str]
    ) -> str | None:
        """Return the script with the payload, as it travels with this scheduler.

        Returns None if it cannot travel in this way.
        """
        if self._carrier is Carrier.FILE:
            environment[FILE] = file = await self._write_file(payload)
            if not file:
                return None
            return self._scheduler.bringing(script, file) if self._scheduler else script
        if self._carrier is Carrier.SCRIPT:
            changed = with_variables(script, payload)
            if changed is None:
                self._warn("nothing can be set in a job script in this language", _CODE)
            return changed
        return script

    async def _write_file(self, payload: Mapping[str, str]) -> str:
        """Write the payload to a file of the job's owner; return its path, empty if that failed."""
        folder, name = self._place()
        try:
            if self._leave is None:
                raise BatchError("the configuration's own commands are used")
            await self._leave(folder, name, json.dumps(dict(payload)))
        except BatchError as error:
            why = "no private file can be written for the job's owner"
            if self._transport == "file":
                raise SpawnFailure(
                    f"The job is not submitted: {why}: {_last_line(error)}."
                ) from error
            self._warn(why, _CODE, f": {_last_line(error)}")
            return ""
        return f"{folder}/{name}"

    def _place(self) -> tuple[str, str]:
        """Return folder and name of a file for this server alone: the next start replaces it."""
        return f"{self._spawner.req_homedir}/.batchspawner", server_word(self._spawner)

    def _warn(self, why: str, what: str, detail: str = "") -> None:
        """Warn once of what travels openly and who can read it; `detail` may differ by user."""
        cls = type(self._spawner).__name__
        readers = f"in the job's environment, which on {self._where} can be read by {self._readers}"
        if (cls, why, what) not in _warned:
            _warned.add((cls, why, what))
            self._spawner.log.warning(f"{cls}: {why}{detail}. So {what} {readers}.")


def _last_line(error: BatchError) -> str:
    """Return an error in one line: the last line of a command that failed."""
    result = error.result if isinstance(error, SchedulerError) else None
    lines = result.text.splitlines() if result else []
    return str(lines[-1] if lines else error).rstrip(".")


def _uses(script: str, name: str) -> bool:
    """Return whether a script uses a variable itself, besides passing it on."""
    if name == TOKEN:
        return bool(re.search(rf"\$\{{?{name}\b|\$ENV\({name}\b|([\"']){name}\1", script))
    return bool(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", script))


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.upper(), pattern.upper()) for pattern in patterns if pattern)
