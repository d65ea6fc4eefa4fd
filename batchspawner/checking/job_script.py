"""The job script of the site: whether it can be rendered, and what it reveals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from .findings import CheckAborted, Finding, ok, warning, wrong

if TYPE_CHECKING:
    from ..spawners.secrets.package import Leave, Package, PackedSpawner
    from .hub_host import Target

_MARK = "zlib"
"""Word of the command that takes the place of the server."""

_WRITTEN_OUT = re.compile(
    r"^(?P<before>(?!\s*#).*?)"
    r"(?P<wrapper>(?:\S*python\S* -m )?\S*batchspawner[-./]singleuser)(?P<server>[ \t][^\n]*)$",
    re.MULTILINE,
)
"""The command that starts the server, in a script that has no ``{cmd}``."""


async def check_script(target: Target) -> list[Finding]:
    """Check that the job script can be rendered; nothing is written. Raises CheckAborted."""

    async def leave(folder: str, name: str, text: str) -> None:
        """Write no private file."""

    await take_written_command(target)
    package = await render(target, f"true {_MARK} batchspawner-singleuser", "/dev/null", leave)
    return check_package(target, package)


async def take_written_command(target: Target) -> None:
    """Make the command that a script without ``{cmd}`` writes out that of the spawner."""
    spawner = target.spawner
    try:
        text = await spawner._get_batch_script(**{**spawner.script_variables(), "cmd": _MARK})
    except Exception:  # noqa: BLE001  (`render` reports it)
        return
    found = None if _MARK in text else _WRITTEN_OUT.search(text)
    words = found["server"].split() if found else []
    if found and words:
        spawner.batchspawner_singleuser_cmd, spawner.cmd, spawner.args = found["wrapper"], words, []


async def render(target: Target, command: str, log: str, leave: Leave) -> Package:
    """Return the site's job with a command in place of the server. Raises CheckAborted.

    The job writes its `log` there, or where a server does if it is empty. `leave` writes a private
    file of the job's owner.
    """
    from ..spawners.secrets.package import pack

    spawner, scheduler = target.spawner, target.control.scheduler
    variables, get_script = spawner.script_variables, spawner._get_batch_script
    embedded = scheduler.embedded(command) if scheduler else command
    spawner.cmd_formatted_for_batch = lambda: embedded
    spawner.script_variables = lambda: {**variables(), **({"log": log} if log else {})}

    async def get_batch_script(**names: object) -> str:
        text = await get_script(**names)
        if _MARK in text:
            return text
        return _WRITTEN_OUT.sub(lambda found: found["before"] + embedded, text, count=1)

    spawner._get_batch_script = get_batch_script
    try:
        return await pack(cast("PackedSpawner", spawner), scheduler, leave)
    except Exception as error:
        # A site's own methods may be in it.
        text = f"the job script cannot be rendered: {type(error).__name__}: {error}"
        cure = f"see c.{target.section}.batch_script, or: batchspawner templates"
        raise CheckAborted(wrong("script", text, cure)) from error


def check_package(target: Target, package: Package) -> list[Finding]:
    """Check that the script runs the command, and that the token stays secret."""
    spawner, section = target.spawner, target.section
    if _MARK not in package.script:
        text = "the job script does not contain the command that starts the server"
        cure = f"write {{cmd}} into c.{section}.batch_script"
        raise CheckAborted(wrong("script", text, cure))
    lines = len(package.script.splitlines())
    found = [ok("script", f"the job script was rendered ({lines} lines)")]
    if spawner.api_token in package.script:
        text = (
            "the job script contains the token of the server; on many clusters others can read it"
        )
        cure = f"remove the token from c.{section}.batch_script"
        found.append(wrong("secrets", text, cure))
    elif spawner.api_token in package.environment.values():
        scheduler = target.control.scheduler
        readers = scheduler.environment_readers if scheduler else "unknown people"
        text = f"the token is in the job's environment, which can be read by {readers}"
        cure = f'c.{section}.secret_transport = "claim"   (and no $JUPYTERHUB_API_TOKEN in scripts)'
        found.append(warning("secrets", text, cure))
    return found
