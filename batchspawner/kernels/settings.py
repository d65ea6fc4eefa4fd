"""Settings in a kernel.json: the job that its kernel runs in.

They are the object ``metadata.kernel_provisioner.config``. Files that were written for
jupyter-slurm-provisioner, with ``project``, ``partition`` and ``kernel_language``, and with "None"
or "0" for what is not wanted, are read too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from ..errors import OptionsError
from ..units import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCES = (
    *("queue", "account", "qos", "reservation", "cluster", "nodes", "nprocs", "memory"),
    *("runtime", "gpus", "gres", "parallel_environment", "options", "prologue", "epilogue"),
)
"""The resources of a job, by the names that all schedulers share."""

_OTHER_NAMES = {"partition": "queue", "project": "account", "kernel_language": ""}
_UNSET = ("", "none")


@dataclass(frozen=True)
class Settings:
    """Settings of one kernel.

    `resources` are for the job. `argv` is the kernel's command, by default the kernel spec's own.
    `allocation` names a job that kernels share; `job_id` is that of a job that exists already, and
    `node` a node of it. A job without kernels is kept for `linger` seconds, a kernel whose server
    is gone for `orphan_timeout` seconds (``patience`` in the file). `wait` is whether a start
    waits for the job, by default only if no server could show that the kernel waits. `python` runs
    the agent in the job. `tunnel` is ``ssh``, or that command with its options, if the node's
    ports cannot be reached. `transport` is ``ipc`` or ``tcp`` for a kernel that cannot encrypt; by
    default it depends on the language. `keepvars` are variables of the server's environment for
    the kernel. `project` is what pays, if a site has such a name besides the account.
    """

    scheduler: str = "auto"
    resources: Mapping[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    allocation: str = ""
    job_id: str = ""
    node: str = ""
    linger: float = 10.0
    orphan_timeout: float = 3600.0
    wait: bool | None = None
    python: str = "python3"
    tunnel: str = ""
    transport: str = ""
    keepvars: tuple[str, ...] = ()
    project: str = ""


KEYS = frozenset(
    {*RESOURCES, *_OTHER_NAMES, "kernel_argv", "jobid", "patience"}
    | {one.name for one in fields(Settings)} - {"resources", "argv", "job_id", "orphan_timeout"}
)
"""Every key that a kernel.json may have."""


def read(config: Mapping[str, object], scheduler: str = "auto") -> Settings:
    """Return the settings of a kernel.json. Raises OptionsError, which names the key."""
    given = {key: value for key, value in config.items() if _is_set(key, value)}
    unknown = sorted(set(config) - KEYS)
    if unknown:
        known = ", ".join(sorted(KEYS))
        raise OptionsError(
            unknown[0], config[unknown[0]], f"the keys of a kernel.json are: {known}"
        )
    return Settings(
        scheduler=_text("scheduler", given.get("scheduler", scheduler)),
        resources=_resources(given),
        argv=_argv(given.get("kernel_argv", ())),
        allocation=_text("allocation", given.get("allocation", "")),
        job_id=_text("jobid", given.get("jobid", "")),
        node=_text("node", given.get("node", "")),
        linger=_number("linger", given.get("linger", Settings.linger)),
        orphan_timeout=_number("patience", given.get("patience", Settings.orphan_timeout)),
        wait=_yes_or_no("wait", given.get("wait")),
        python=_text("python", given.get("python", Settings.python)),
        tunnel=_text("tunnel", given.get("tunnel", "")),
        transport=_transport(given.get("transport", "")),
        keepvars=_names("keepvars", given.get("keepvars", "")),
        project=_text("project", given.get("project", "")),
    )


def _is_set(key: str, value: object) -> bool:
    if value is None or value == []:
        return False
    text = str(value).strip().lower()
    # Other tools write a zero for "no GPUs"; as a time to linger, it is a value.
    return text not in _UNSET and not (text == "0" and key in ("gpus", "jobid", "node"))


def _resources(given: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in given.items():
        name = _OTHER_NAMES.get(key, key)
        if name not in RESOURCES:
            continue
        if name in found:
            raise OptionsError(key, value, f"it says the same as another key: write {name} only")
        found[name] = _text(key, value)
    if ":" in found.get("runtime", "") or not found.get("runtime", "1").isdecimal():
        seconds("runtime", found["runtime"])
    return found


def _text(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise OptionsError(key, value, "write it as text or as a whole number")
    return str(value).strip()


def _transport(value: object) -> str:
    if value not in ("", "ipc", "tcp"):
        raise OptionsError("transport", value, "write ipc or tcp")
    return str(value)


def _argv(value: object) -> tuple[str, ...]:
    words = _words(value)
    if words is None:
        raise OptionsError("kernel_argv", value, 'write a list of words, as in ["R", "--slave"]')
    return words


def _names(key: str, value: object) -> tuple[str, ...]:
    words = _words(value.replace(",", " ").split() if isinstance(value, str) else value)
    if words is None or not all(word.isidentifier() for word in words):
        raise OptionsError(key, value, "write names of environment variables")
    return words


def _words(value: object) -> tuple[str, ...] | None:
    """Return the words of a list, None if it is something else."""
    if not isinstance(value, (list, tuple)):
        return None
    words = [word for word in value if isinstance(word, str)]
    return tuple(words) if len(words) == len(value) else None


def _number(key: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise OptionsError(key, value, "write a number of seconds, 0 for none")
    return number


def _yes_or_no(key: str, value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise OptionsError(key, value, "write true or false")
    return words[str(value).lower()]
