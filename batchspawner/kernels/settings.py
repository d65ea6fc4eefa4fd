"""Read what a kernel.json says about the job that its kernel runs in.

It stands below ``metadata.kernel_provisioner.config``. Files that were written for
jupyter-slurm-provisioner say ``project``, ``partition`` and ``kernel_language`` and write "None"
or "0" for what is not wanted; they are read like all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..errors import OptionsError
from ..units import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCES = (
    *("queue", "account", "qos", "reservation", "cluster", "nodes", "nprocs", "memory"),
    *("runtime", "gpus", "gres", "parallel_environment", "options", "prologue", "epilogue"),
)
"""What a job is asked for, by the names that every scheduler shares."""

_OTHER_NAMES = {"partition": "queue", "project": "account", "kernel_language": ""}
_UNSET = ("", "none")


@dataclass(frozen=True)
class Settings:
    """Hold what one kernel.json asks for.

    `resources` are for the job. `argv` is the kernel's command where it is not the kernel spec's
    own. `allocation` names a job that kernels share; `job_id` names one that runs already, and
    `node` a node of it. `linger` is how many seconds a job without kernels is kept, `patience`
    how many a kernel whose server is gone. `wait` says whether a start waits for the job: by
    default only where nobody could watch it wait. `python` runs the agent in the job. `tunnel` is
    ``ssh`` where the node's ports cannot be reached, or the command of ssh with its options.
    `keepvars` names variables of the server's environment for the kernel. `project` is what pays,
    where a site has a name for that besides the account.
    """

    scheduler: str = "auto"
    resources: Mapping[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    allocation: str = ""
    job_id: str = ""
    node: str = ""
    linger: float = 10.0
    patience: float = 3600.0
    wait: bool | None = None
    python: str = "python3"
    tunnel: str = ""
    keepvars: tuple[str, ...] = ()
    project: str = ""


KEYS = frozenset(
    {*RESOURCES, *_OTHER_NAMES, "kernel_argv", "jobid"}
    | {one.name for one in fields(Settings)} - {"resources", "argv", "job_id"}
)
"""Every key that a kernel.json may have."""


def read(config: Mapping[str, Any], scheduler: str = "auto") -> Settings:
    """Return what a kernel.json's config says. Raises OptionsError, which names the key."""
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
        patience=_number("patience", given.get("patience", Settings.patience)),
        wait=_yes_or_no("wait", given.get("wait")),
        python=_text("python", given.get("python", Settings.python)),
        tunnel=_text("tunnel", given.get("tunnel", "")),
        keepvars=_names("keepvars", given.get("keepvars", "")),
        project=_text("project", given.get("project", "")),
    )


def _is_set(key: str, value: Any) -> bool:
    if value is None or value == []:
        return False
    text = str(value).strip().lower()
    # A zero is what other tools write for "no GPUs"; for a time to linger it is a wish.
    return text not in _UNSET and not (text == "0" and key in ("gpus", "jobid", "node"))


def _resources(given: Mapping[str, Any]) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for key, value in given.items():
        name = _OTHER_NAMES.get(key, key)
        if name not in RESOURCES:
            continue
        if name in wanted:
            raise OptionsError(key, value, f"it says the same as another key: write {name} only")
        wanted[name] = _text(key, value)
    if ":" in wanted.get("runtime", "") or not wanted.get("runtime", "1").isdecimal():
        seconds("runtime", wanted["runtime"])
    return wanted


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise OptionsError(key, value, "write it as text or as a whole number")
    return str(value).strip()


def _argv(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(word, str) for word in value):
        raise OptionsError("kernel_argv", value, 'write a list of words, as in ["R", "--slave"]')
    return tuple(value)


def _names(key: str, value: Any) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else list(value)
    if not all(isinstance(word, str) and word.isidentifier() for word in words):
        raise OptionsError(key, value, "write names of environment variables")
    return tuple(words)


def _number(key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise OptionsError(key, value, "write a number of seconds, 0 for none")
    return number


def _yes_or_no(key: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise OptionsError(key, value, "write true or false")
    return words[str(value).lower()]
