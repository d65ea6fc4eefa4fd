"""The package handed to the scheduler: a job's script and environment, without the secrets.

By default the job gets a claim code in the place of the server's token, and exchanges it at the
Hub for everything that is secret. Otherwise the secrets are in a file of the user, or in the
environment of the job.

Where other users can read the environment of a job, everything that is not known to be harmless
counts as a secret, and a job whose secrets can travel nowhere else is not submitted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ...client.script_exports import is_bourne, with_variables
from ...errors import BatchError
from ...private_environment import PrivateEnvironment
from ...schedulers.base import Carrier
from ...template_mistakes import mistake_in
from ..failures.spawn_failure import SpawnFailure
from ..hub.jupyterhub import JobSpawner
from ..hub.tags import server_number, server_word
from .certificates import CERTIFICATES, PATHS, CertifiedSpawner, are_ours, entry_certificate
from .claim import Claim, new_code
from .public_variables import HARMLESS, NEEDED, fits
from .unwritten_file import last_line, missing_rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ...schedulers.base import Scheduler

    Leave = Callable[[str, str, str], Awaitable[None]]
    """Function that writes a private file of the job's owner: its folder, its name, its text."""

TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105  (a name)
FILE = "BATCHSPAWNER_PRIVATE_FILE"
NEXT = "BATCHSPAWNER_NEXT_CODE_FILE"
_ID_VARIABLE = "BATCHSPAWNER_JOB_ID_VARIABLE"

_MAX_VARIABLE_BYTES = 128 * 1024 - 1
"""Length of ``NAME=value`` that Linux allows: execve(2), MAX_ARG_STRLEN."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WRAPPER = re.compile(r"batchspawner[-./]singleuser")

_ALL = "the server's token and all other secrets"

_warned: set[tuple[str, str, str]] = set()


class PackedSpawner(CertifiedSpawner, JobSpawner, Protocol):
    """What a package needs of a spawner."""

    batch_script: str
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
    travels; None if there is none. `variables` are those of the script's template.
    """

    script: str = field(repr=False)
    shown: str
    environment: PrivateEnvironment
    claim: Claim | None = None
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)


async def pack(spawner: PackedSpawner, scheduler: Scheduler | None, leave: Leave) -> Package:
    """Render the script of a spawner's job and pack its environment.

    `leave` writes a file as the owner of the job. Raises SpawnFailure if other users could read
    the secrets.
    """
    packer = _Packer(spawner, scheduler, leave)
    packer.check_values()
    script, secrets = await packer.separate()
    if TOKEN not in secrets:
        return packer.without_claim(script)
    return await packer.pack(script, secrets)


class _Packer:
    def __init__(self, spawner: PackedSpawner, scheduler: Scheduler | None, leave: Leave) -> None:
        self.environment: dict[str, str] = dict(spawner.get_env())
        self._spawner = spawner
        self._scheduler = scheduler
        self._leave = leave
        self._where = scheduler.title if scheduler else type(spawner).__name__
        self._readers = scheduler.environment_readers if scheduler else "unknown people"
        self._carrier = scheduler.carrier if scheduler else Carrier.ENVIRONMENT
        self._is_shown = self._carrier is not Carrier.ENVIRONMENT
        """Whether other users can read the environment of the job."""
        self._transport = spawner.secret_transport
        if self._transport == "file":
            self._carrier = Carrier.FILE
        self._id_variable = scheduler.job_id_variable if scheduler else ""
        self._certificates = self._transport == "claim" and are_ours(spawner)
        # A description of a job, as HTCondor's, is no script.
        self._has_directives = scheduler is None or bool(scheduler.directives)
        carried = scheduler.carried_values if scheduler else re.compile(r"[^\0]*")
        self._changed = {
            name: value
            for name, value in self.environment.items()
            if name != TOKEN and not carried.fullmatch(value)
        }
        """Variables whose values the scheduler would change on the way to the job."""
        self._variables: Mapping[str, Any] = {}
        self._exported: dict[str, str] = {}
        """Secrets that the job script needs, where only the owner of the job can read it."""

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
        """Return the script, and the variables that travel apart from it.

        Raises SpawnFailure if the script needs a secret where other users can read it.
        """
        secrets = self._secrets()
        script = await self._render(secrets)
        if TOKEN in secrets and not self._can_export(script):
            if self._carrier is Carrier.SCRIPT:
                self._carrier = Carrier.FILE
            # Nothing can be set in it: these come with the token.
            secrets = {**secrets, **self._changed}
            script = await self._render(secrets)
        # Not every template holds these as they are.
        commands = f"{script}\n{self._spawner.req_prologue}\n{self._spawner.req_epilogue}"
        named = [name for name in secrets if _uses(commands, name)]
        why = f"the job script uses {', '.join(named)}"
        if not named and TOKEN in secrets and not _WRAPPER.search(script):
            why = "the job script does not start batchspawner-singleuser"
            named = [TOKEN]
        if not named:
            return script, secrets
        needed = {name: secrets[name] for name in (secrets if TOKEN in named else named)}
        self._bring_to_script(needed, why, _ALL if TOKEN in named else ", ".join(named))
        secrets = {name: value for name, value in secrets.items() if name not in needed}
        return await self._render(secrets), secrets

    def _can_export(self, script: str) -> bool:
        return self._has_directives and is_bourne(script)

    def _bring_to_script(self, needed: Mapping[str, str], why: str, what: str) -> None:
        """Give the job script the secrets that it needs. Raises SpawnFailure."""
        if self._carrier is Carrier.SCRIPT:
            self._exported.update(needed)
        elif not self._is_shown:
            self._warn(why, what)
        elif TOKEN in needed:
            self._refuse(why, what, "To allow that, set secret_transport to 'environment'")
        else:
            self._refuse(why, what, "What is not a secret can be named in req_keepvars_extra")

    def _secrets(self) -> dict[str, str]:
        spawner = self._spawner
        if self._transport == "environment":
            self._warn("secret_transport is 'environment'", _ALL)
            return {}
        if spawner.orm_spawner is None or not self.environment.get(TOKEN):
            return {}
        opened = [name.strip() for name in spawner.req_keepvars_extra.split(",")]
        secret = spawner.secret_variables
        return {
            name: value
            for name, value in self.environment.items()
            if name == TOKEN
            or (
                not fits(name, [*opened, *NEEDED])
                and (fits(name, secret) or (self._is_shown and not fits(name, HARMLESS)))
            )
        }

    async def _render(self, secrets: Mapping[str, str]) -> str:
        self._variables = variables = self._spawner.script_variables()
        names = str(variables.get("keepvars", "")).split(",")
        gone = {*secrets, *self._given_paths(secrets)} - {TOKEN}
        passed = [name for name in names if name not in gone]
        if secrets and TOKEN in names:
            passed += self._own_variables()
        if TOKEN in secrets and self._carrier is not Carrier.ENVIRONMENT:
            # These are in the script or in the file.
            passed = [name for name in passed if name not in (TOKEN, CERTIFICATES)]
        set_here = {**self._changed, **self._exported}
        in_script = [name for name in passed if name in set_here and _NAME.fullmatch(name)]
        passed = [name for name in passed if name not in set_here]
        variables["keepvars"] = ",".join(passed)
        script = await self._filled(variables)
        if not in_script or not self._has_directives:
            return script
        changed = with_variables(script, {name: set_here[name] for name in in_script})
        if changed is not None:
            return changed
        self._spawner.log.warning(
            "%s: %s may not arrive unchanged: no shell script",
            type(self._spawner).__name__,
            ", ".join(in_script),
        )
        variables["keepvars"] = ",".join([*passed, *in_script])
        return await self._filled(variables)

    async def _filled(self, variables: Mapping[str, Any]) -> str:
        """Return the script with these variables. Raises TemplateError."""
        try:
            script: str = await self._spawner._get_batch_script(**variables)
        except KeyError as error:
            # Many sites have a method of their own there, which calls `format_template`.
            if f"{{{error.args[0]}" not in str(self._spawner.batch_script):
                raise
            setting = f"c.{type(self._spawner).__name__}.batch_script"
            raise mistake_in(setting, self._spawner.batch_script, error) from error
        return script

    def _own_variables(self) -> list[str]:
        """Return the names of the variables by which the wrapper finds the secrets."""
        wanted = {
            _ID_VARIABLE: self._id_variable,
            FILE: self._carrier is Carrier.FILE,
            NEXT: self._transport == "claim",
            CERTIFICATES: self._certificates,
        }
        return [name for name, is_wanted in wanted.items() if is_wanted]

    def _given_paths(self, secrets: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables that the wrapper sets itself, from the certificates."""
        return PATHS if self._certificates and TOKEN in secrets else ()

    async def pack(self, script: str, secrets: dict[str, str]) -> Package:
        """Put the secrets, or the code for them, where nobody else can read them."""
        gone = {*secrets, *self._given_paths(secrets)}
        environment = {k: v for k, v in self._open_environment().items() if k not in gone}
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
        shown = self._masked(script)
        return Package(loaded, shown, PrivateEnvironment(environment), claim, self._variables)

    def without_claim(self, script: str) -> Package:
        """Return the package of a job that gets all of its environment openly."""
        environment = PrivateEnvironment(self._open_environment())
        return Package(script, self._masked(script), environment, variables=self._variables)

    def _open_environment(self) -> dict[str, str]:
        return {k: v for k, v in self.environment.items() if k not in self._exported}

    def _masked(self, script: str) -> str:
        """Return the script for the log: without values of variables that may be secret."""
        for name, value in {**self._changed, **self._exported}.items():
            if name in self._exported or fits(name, self._spawner.secret_variables):
                for line in (with_variables("", {name: value}) or "").splitlines():
                    script = script.replace(line, f"export {name}=...")
        return script

    async def _load(
        self, script: str, payload: Mapping[str, str], environment: dict[str, str]
    ) -> str:
        """Return the script with the payload, as it travels with this scheduler.

        Raises SpawnFailure if the payload cannot be written where only the owner can read it.
        """
        if self._carrier is Carrier.FILE:
            environment[FILE] = file = await self._write_file(payload)
            return self._scheduler.bringing(script, file) if self._scheduler else script
        if self._carrier is Carrier.SCRIPT:
            loaded = with_variables(script, payload)
            if loaded is None:
                why = "nothing can be set in a job script in this language"
                self._refuse(why, "its claim code", "Write it for a shell")
            return loaded
        environment.update(payload)
        return script

    async def _write_file(self, payload: Mapping[str, str]) -> str:
        """Write the payload to a file of the job's owner; return its path. Raises SpawnFailure."""
        folder, name = self._place()
        try:
            await self._leave(folder, name, json.dumps(dict(payload)))
        except BatchError as error:
            why = "no private file can be written for the job's owner"
            rule = missing_rule(error, self._spawner)
            raise SpawnFailure(
                f"The job is not submitted: {why}: {last_line(error)}.{rule}"
            ) from error
        return f"{folder}/{name}"

    def _place(self) -> tuple[str, str]:
        """Return folder and name of a file for this server alone: the next start replaces it."""
        return f"{self._spawner.req_homedir}/.batchspawner", server_word(self._spawner)

    def _warn(self, why: str, what: str) -> None:
        """Warn once of what travels openly and who can read it."""
        cls = type(self._spawner).__name__
        if (cls, why, what) not in _warned:
            _warned.add((cls, why, what))
            self._spawner.log.warning(f"{cls}: {why}. Sent {self._openly()}: {what}.")

    def _refuse(self, why: str, what: str, cure: str) -> NoReturn:
        raise SpawnFailure(
            f"The job is not submitted: {why}. It would send {what} {self._openly()}. {cure}."
        )

    def _openly(self) -> str:
        return f"in the job's environment, which on {self._where} can be read by {self._readers}"


def _uses(script: str, name: str) -> bool:
    """Return whether a script uses a variable itself, besides passing it on."""
    if name == TOKEN:
        return bool(re.search(rf"\$\{{?{name}\b|\$ENV\({name}\b|([\"']){name}\1", script))
    return bool(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", script))
