"""Keep what the Hub must know of a claim code: enough to recognise it, never the code itself.

A claim code is a secret that is good for one use. It travels with a job in the place of the
server's token, and the job exchanges it for all that must not travel with it. What it is exchanged
for is kept encrypted with the code, so that neither the database of the Hub nor a copy of it gives
anything away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from ..private import PrivateEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-([0-9]{1,18})")


def new_code(server: int) -> str:
    """Return a code that nobody can guess, for the server with this number in the database."""
    return f"{secrets.token_urlsafe(32)}.claim-{server}"


def server_of(code: str) -> int | None:
    """Return the number of the server that a code is for, None for what is no code."""
    match = _CODE.fullmatch(code)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Claim:
    """Hold the digest of a code, what it is good for, and who has used it in which run of the job.

    `run` is when the run of the job began in which the code was used, in seconds since the epoch,
    or None where the scheduler does not say.
    """

    digest: str
    sealed: str
    claimant: str = ""
    run: float | None = None

    @classmethod
    def of(cls, code: str, environment: Mapping[str, str]) -> Claim:
        """Make the record of a new code that is good for this environment."""
        text = json.dumps(dict(environment)).encode()
        return cls(_digest("code", code), _cipher(code).encrypt(text).decode())

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Claim | None:
        """Read what `dump` wrote; None where there is nothing, or nothing of ours."""
        try:
            return cls(**state)
        except TypeError:
            return None

    def dump(self) -> dict[str, Any]:
        """Return the record for the state of the spawner."""
        return asdict(self)

    def matches(self, code: str) -> bool:
        """Tell whether this is the code."""
        return hmac.compare_digest(self.digest, _digest("code", code))

    def environment(self, code: str) -> PrivateEnvironment:
        """Return what the code is good for."""
        return PrivateEnvironment(json.loads(_cipher(code).decrypt(self.sealed.encode())))

    @property
    def is_used(self) -> bool:
        return bool(self.claimant)

    def used_by(self, claimant: str) -> bool:
        """Tell whether this process has used the code: it asks again when an answer was lost."""
        return hmac.compare_digest(self.claimant, _digest("claimant", claimant))

    def use(self, claimant: str, run: float | None) -> Claim:
        """Return the record of the code after its use."""
        return Claim(self.digest, self.sealed, _digest("claimant", claimant), run)


def _digest(what: str, text: str) -> str:
    return hashlib.sha256(f"batchspawner {what} {text}".encode()).hexdigest()


def _cipher(code: str) -> Fernet:
    key = hashlib.sha256(f"batchspawner key {code}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
