"""The check of a Hub's profiles when it starts."""

from __future__ import annotations

import asyncio
import contextlib

from jupyterhub.app import JupyterHub

from .declared_profiles import distinct
from .wrapspawner import WrapSpawner


def check_when_the_hub_starts() -> None:
    """Log at once what is wrong with the profiles: JupyterHub makes no spawner before a start."""
    if not JupyterHub.initialized():
        return
    with contextlib.suppress(RuntimeError):
        # The configuration is being read just now.
        asyncio.get_running_loop().call_soon(log_wrong_profiles, JupyterHub.instance())


def log_wrong_profiles(app: JupyterHub) -> None:
    """Log what is wrong with the profiles in a Hub's configuration, if it uses them."""
    if not (issubclass(app.spawner_class, WrapSpawner) and hasattr(app.spawner_class, "profiles")):
        return
    for section in (cls.__name__ for cls in app.spawner_class.__mro__):
        declared = app.config.get(section, {}).get("profiles")
        if declared is None:
            continue
        try:
            if not callable(declared):
                distinct(declared)
        except (ValueError, TypeError) as error:
            app.log.error("c.%s.profiles is wrong, so no server can start: %s", section, error)
        return
