"""Claim codes, and what the Hub stores of one: enough to recognise it, never the code itself.

A claim code is a secret that can be used once. It travels with a job in the place of the server's
token, and the job exchanges it for all that must not travel with it. What it is exchanged for is
stored encrypted with the code, so that neither the database of the Hub nor a copy of it reveals
anything. When a job uses its code, it can bring the code of its next run, in case it is put back
into the queue; from then on the old one is never accepted again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from ...private_environment import PrivateEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-([0-9]{1,18})")


@dataclass(frozen=True)
class Application:
    """Request to exchange a code.

    `claimant` is a random word of the process that claims; `following` is the code that it has
    chosen for the job's next run, empty if it cannot store one; `job_id` is the job's own idea of
    its id, empty if it has none; `address` is where the request comes from; `confirms` promises
    a confirmation of the server.
    """

    code: str = field(repr=False)
    port: int
    host: str = ""
    claimant: str = field(default="", repr=False)
    following: str = field(default="", repr=False)
    job_id: str = ""
    address: str = ""
    confirms: bool = False


def new_code(server: int) -> str:
    """Return a new random code for the server with this number in the database."""
    return f"{secrets.token_urlsafe(32)}.claim-{server}"


def server_of(code: str) -> int | None:
    """Return the number of the server that a code is for, None for what is no code."""
    match = _CODE.fullmatch(code)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Claim:
    """Digest of a code, what it is exchanged for, and who has used it in which run of the job.

    `run` is when the run of the job began in which the code was used, in seconds since the epoch,
    or None if the scheduler does not say. `following` is the record of the code for the next run,
    None if the job has none; `spent` are digests of the codes of earlier runs.
    """

    digest: str
    sealed: str
    claimant: str = ""
    run: float | None = None
    following: Claim | None = None
    spent: Sequence[str] = ()

    @classmethod
    def of(cls, code: str, environment: Mapping[str, str], spent: Sequence[str] = ()) -> Claim:
        """Return the record of a new code that is exchanged for this environment."""
        text = json.dumps(dict(environment)).encode()
        return cls(_digest("code", code), _cipher(code).encrypt(text).decode(), spent=spent)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Claim | None:
        """Return what `dump` wrote, None for an empty or foreign record."""
        try:
            following = state.get("following")
            return cls(**{**state, "following": following and cls.load(following)})
        except TypeError:
            return None

    def dump(self) -> dict[str, Any]:
        """Return the record as it is saved with the job."""
        return asdict(self)

    def matches(self, code: str) -> bool:
        """Return whether this is the code."""
        return hmac.compare_digest(self.digest, _digest("code", code))

    def was(self, code: str) -> bool:
        """Return whether this was the code of an earlier run of the job."""
        return _digest("code", code) in self.spent

    def environment(self, code: str) -> PrivateEnvironment:
        """Return what the code is exchanged for."""
        return PrivateEnvironment(json.loads(_cipher(code).decrypt(self.sealed.encode())))

    @property
    def is_used(self) -> bool:
        """Whether a process has used the code."""
        return bool(self.claimant)

    def used_by(self, claimant: str) -> bool:
        """Return whether this process has used the code; it asks again when an answer was lost."""
        return hmac.compare_digest(self.claimant, _digest("claimant", claimant))

    def use(self, application: Application, run: float | None) -> Claim:
        """Return the record of the code after its use."""
        following = None
        if application.following:
            spent = [*self.spent, self.digest]
            following = Claim.of(application.following, self.environment(application.code), spent)
        claimant = _digest("claimant", application.claimant)
        return replace(self, claimant=claimant, run=run, following=following)


def _digest(what: str, text: str) -> str:
    return hashlib.sha256(f"batchspawner {what} {text}".encode()).hexdigest()


def _cipher(code: str) -> Fernet:
    key = hashlib.sha256(f"batchspawner key {code}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
