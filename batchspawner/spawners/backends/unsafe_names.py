"""Names of users and servers that a shell, a path or a directive could read as more than a name.

JupyterHub lets an authenticator accept nearly any name, and users call their servers as they like.
"""

from __future__ import annotations

import re
import secrets
import shlex
from typing import TYPE_CHECKING, Any, Protocol

from ...template_mistakes import fill_template
from ...templating import MULTI_LINE
from ..failures.spawn_failure import SpawnFailure
from ..hub.jupyterhub import HubSpawner, server_name, user_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# Nothing of it means anything to a shell, separates words, or leaves a folder.
_PLAIN = re.compile(r"(?!-)(?!\.\.?$)[\w.@+,:=%^-]*")
_PLAIN_PATH = re.compile(r"(?!-)(?!.*\.\.(?:/|$))[\w.@+,:=%^/-]*")

# An option, or for sudo the number of an account: https://www.sudo.ws/docs/man/sudo.man/#u
_NO_NAME = re.compile("[-#]")

_SHELL_SYNTAX = re.compile(r"[;&|<>`$(){}*?\n!#~]")


def risky(*names: str) -> tuple[str, ...]:
    """Return the names that could be read as more than a name."""
    return tuple(name for name in names if not _PLAIN.fullmatch(name))


class NamedSpawner(HubSpawner, Protocol):
    """Spawner with the account in which its job runs."""

    req_username: str


def risky_names(spawner: NamedSpawner) -> tuple[str, ...]:
    """Return the risky names among those of a spawner's user, account and server."""
    return risky(user_name(spawner), str(spawner.req_username), server_name(spawner))


def check_names(
    names: Iterable[str], variables: Mapping[str, Any], used: Collection[str] | None, where: str
) -> None:
    """Raise SpawnFailure if a risky name comes into a template.

    `used` are the variables that the template has without quoting, None if that is not known.
    """
    for variable, value in variables.items():
        if variable in MULTI_LINE or (used is not None and variable not in used):
            continue
        for name in names:
            if name in str(value) and not _PLAIN_PATH.fullmatch(str(value)):
                raise SpawnFailure(
                    f"{variable} cannot be a part of {where}: the name {name!r} has more than "
                    "letters, digits and . _ - @ + , : = % ^. In a template that is a file, write "
                    f"{{{{ {variable} | quote }}}}."
                )


def prefix_words(
    template: str, variables: Mapping[str, Any], names: Iterable[str]
) -> tuple[str, ...] | None:
    """Return the words of an `exec_prefix`, each risky name within one of them.

    Returns None for a prefix that only a shell can read. Raises SpawnFailure for a name that even
    as a single word would be read as something else.
    """
    stand_ins = {name: f"name{secrets.token_hex(16)}" for name in names}
    for name, stand_in in stand_ins.items():
        variables = {
            variable: value.replace(name, stand_in) if isinstance(value, str) else value
            for variable, value in variables.items()
        }
    prefix = fill_template("exec_prefix", template, variables)
    for name, stand_in in stand_ins.items():
        if stand_in in prefix and (_NO_NAME.match(name) or not name.isprintable()):
            raise SpawnFailure(f"{name!r} cannot be a name in exec_prefix, {template!r}")
    if _SHELL_SYNTAX.search(prefix):
        return None
    try:
        words = shlex.split(prefix)
    except ValueError:
        return None
    for name, stand_in in stand_ins.items():
        words = [word.replace(stand_in, name) for word in words]
    return tuple(words)
