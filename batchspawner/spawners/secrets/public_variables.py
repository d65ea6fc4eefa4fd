"""Variables of a server's environment that everybody may read."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NEEDED = (
    "PATH",
    "HOME",
    "USER",
    "SHELL",
    "LANG",
    "LC_ALL",
    "JUPYTERHUB_API_URL",
    "JUPYTERHUB_SERVICE_URL",
    "BATCHSPAWNER_*",
)
"""What job scripts and the wrapper need before anything can be claimed."""

HARMLESS = (
    *NEEDED,
    # What shells, environment modules and Python read before the wrapper starts.
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CONDA_ROOT",
    "LANGUAGE",
    "LC_*",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "MANPATH",
    "MODULEPATH",
    "MODULESHOME",
    "PYTHONPATH",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
    # What JupyterHub and this library say about a server:
    # https://jupyterhub.readthedocs.io/en/stable/reference/spawners.html
    "CPU_GUARANTEE",
    "CPU_LIMIT",
    "JOB_RUN_TIME",
    "JUPYTERHUB_ACTIVITY_URL",
    "JUPYTERHUB_ADMIN_ACCESS",
    "JUPYTERHUB_BASE_URL",
    "JUPYTERHUB_CLIENT_ID",
    "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED",
    "JUPYTERHUB_COOKIE_OPTIONS",
    "JUPYTERHUB_DEBUG",
    "JUPYTERHUB_DEFAULT_URL",
    "JUPYTERHUB_DISABLE_USER_CONFIG",
    "JUPYTERHUB_HOST",
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES",
    "JUPYTERHUB_OAUTH_CALLBACK_URL",
    "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES",
    "JUPYTERHUB_OAUTH_SCOPES",
    "JUPYTERHUB_PUBLIC_HUB_URL",
    "JUPYTERHUB_PUBLIC_URL",
    "JUPYTERHUB_ROOT_DIR",
    "JUPYTERHUB_SERVER_NAME",
    "JUPYTERHUB_SERVICE_PREFIX",
    "JUPYTERHUB_SINGLEUSER_APP",
    "JUPYTERHUB_SINGLEUSER_EXTENSION",
    "JUPYTERHUB_SSL_CERTFILE",
    "JUPYTERHUB_SSL_CLIENT_CA",
    "JUPYTERHUB_SSL_KEYFILE",
    "JUPYTERHUB_USER",
    "MEM_GUARANTEE",
    "MEM_LIMIT",
)
"""What may be in the environment of a job also where other users can read that."""


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name fits one of these patterns of a shell, in upper or lower case."""
    return _one_of(tuple(patterns)).fullmatch(name) is not None


@lru_cache(maxsize=64)
def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    known = "|".join(translate(pattern) for pattern in patterns if pattern)
    return re.compile(known or r"(?!)", re.IGNORECASE)
