"""Take from `user_options` what a site's template reads, where no form of ours declares it.

Sites have always let a template name what their own form asks for. That goes on, but a user can
replace nothing that the administrator has not opened, and a value cannot become another line,
another option or another command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import OptionsError
from ...templating import check_plain
from .schema import OptionsRefused

NEVER = frozenset(
    {"cmd", "path", "keepvars", "keepvars_extra", "username", "homedir", "environment_file"}
)
"""Variables of the job script that are no choice: what runs, as whom, with which secrets."""

_ASK_FIRST = frozenset(
    {"account", "reservation", "options", "prologue", "epilogue", "srun", "front_end"}
)
"""Variables that open_options has to name: they go beyond how large a job is."""

_PACKAGED = frozenset({"job_name", "log"})
"""Variables that the packaged templates know besides the traits."""


def undeclared_variables(spawner: Any) -> dict[str, Any]:
    """Return the user's options that are variables of the job script.

    Raises OptionsRefused for an
    option that would replace what is not the user's to choose, and for a value that a shell or a
    line of directives would read as more than a value.
    """
    given = getattr(spawner, "user_options", None)
    if not given:
        return {}
    used = spawner.script_names()
    ours = {**spawner.get_req_subvars(), "cmd": None, "path": None}
    variables = {}
    for name, value in given.items():
        if used is not None and name not in used:
            continue
        if not _is_open(spawner, name, ours):
            _refuse_other(name, value, ours.get(name))
            continue
        if not spawner.trust_user_options:
            _check(name, value)
        variables[name] = value
    return variables


def _is_open(spawner: Any, name: str, ours: Mapping[str, Any]) -> bool:
    if name in NEVER:
        return False
    if name in spawner.open_options:
        return True
    if name in _ASK_FIRST:
        return False
    if name in ours:
        # Whoever has a form lets users choose; without one, an option is not expected at all.
        return bool(spawner.options_form) or spawner.is_asked_elsewhere
    return bool(spawner.batch_script) or name not in _PACKAGED


def _refuse_other(name: str, value: object, ours: object) -> None:
    """Raise OptionsRefused for a value that is not the one that the configuration has."""
    # A hook of the site may have taken it up already, as it saw fit.
    if value in ("", None) or str(value) == str(ours):
        return
    allowed = "it is not for users to choose here"
    if name not in NEVER:
        allowed += f"; an administrator can open it: c.BatchSpawnerBase.open_options = [{name!r}]"
    raise OptionsRefused(OptionsError(name, str(value)[:60], allowed))


def _check(name: str, value: object) -> None:
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for one in value:
            _check(name, one)
        return
    try:
        check_plain(name, value)
    except OptionsError as error:
        raise OptionsRefused(error) from error
