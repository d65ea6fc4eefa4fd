"""The job script of the site: whether it can be rendered, and what it reveals."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..errors import TemplateError
from .findings import CheckAborted, Finding, ok, warning, wrong

if TYPE_CHECKING:
    from ..spawners.secrets.package import Package, PackedSpawner
    from .hub_host import Target


async def render(target: Target, command: str, log: str) -> Package:
    """Return the site's job with a command in place of the server. Raises CheckAborted."""
    from ..spawners.failures.spawn_failure import SpawnFailure
    from ..spawners.secrets.package import pack

    spawner, scheduler = target.spawner, target.client.scheduler
    variables = spawner.script_variables
    spawner.cmd_formatted_for_batch = lambda: scheduler.embedded(command)
    spawner.script_variables = lambda: {**variables(), "log": log}
    try:
        return await pack(cast("PackedSpawner", spawner), scheduler, target.client.leave)
    except (TemplateError, KeyError, ValueError, SpawnFailure) as error:
        text = f"the job script cannot be rendered: {type(error).__name__}: {error}"
        cure = f"see c.{target.section}.batch_script, or: batchspawner templates"
        raise CheckAborted(wrong("script", text, cure)) from error


def check_package(target: Target, package: Package) -> list[Finding]:
    """Check that the script runs the command, and that the token stays secret."""
    spawner, section = target.spawner, target.section
    if "zlib" not in package.script:
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
        readers = target.client.scheduler.environment_readers
        text = f"the token is in the job's environment, which can be read by {readers}"
        cure = f'c.{section}.secret_transport = "claim"   (and no $JUPYTERHUB_API_TOKEN in scripts)'
        found.append(warning("secrets", text, cure))
    return found
