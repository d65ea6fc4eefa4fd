"""Default options of all functions: from files, and from the program.

The files are slurminade's, the later ones win: ``~/.slurminade_default.json``,
``$XDG_CONFIG_HOME/slurminade/.slurminade_default.json`` and ``./.slurminade_default.json``. They
are read when an option is first needed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = ".slurminade_default.json"

_defaults: dict[str, object] | None = None


def default_configuration() -> dict[str, object]:
    """Return the default options. Raises OptionsError for a file that cannot be read."""
    global _defaults
    if _defaults is None:
        found: dict[str, object] = {}
        for path in _files():
            found.update(_read(path))
        _defaults = found
    return dict(_defaults)


def update_default_configuration(
    conf: Mapping[str, object] | None = None, **options: object
) -> None:
    """Add or replace default options of all functions, given as a dictionary or as keywords.

    They are those of `slurmify`, and apply to jobs that are submitted from now on.
    """
    global _defaults
    _defaults = {**default_configuration(), **(conf or {}), **options}


def set_default_configuration(conf: Mapping[str, object] | None = None, **options: object) -> None:
    """Replace all default options of all functions, also those of the files."""
    global _defaults
    _defaults = {**(conf or {}), **options}


def forget_configuration() -> None:
    """Forget all default options, so that the files are read again."""
    global _defaults
    _defaults = None


def _files() -> list[Path]:
    folders = [Path.home()]
    if os.environ.get("XDG_CONFIG_HOME"):
        folders.append(Path(os.environ["XDG_CONFIG_HOME"]) / "slurminade")
    return [folder / NAME for folder in (*folders, Path())]


def _read(path: Path) -> dict[str, object]:
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise OptionsError("default configuration", str(path), f"cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise OptionsError("default configuration", str(path), "it has to hold a JSON object")
    return found
