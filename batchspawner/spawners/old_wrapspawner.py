"""Installed distributions that overwrite each other."""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, distribution


def warn_of_old_wrapspawner() -> None:
    """Warn if the old distribution `wrapspawner` is installed beside this one.

    Both bring the package `wrapspawner`; whichever was installed last has overwritten the other.
    """
    try:
        version = distribution("wrapspawner").version
    except PackageNotFoundError:
        return
    warnings.warn(
        f"the old distribution wrapspawner {version} is installed beside batchspawner, which "
        "brings that package itself; run: pip uninstall wrapspawner && "
        "pip install --force-reinstall --no-deps batchspawner",
        stacklevel=2,
    )
