"""Give a server what a profile puts around it: modules, an environment, an image, a page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyterhub.spawner import Spawner

_PAGE = "default_url"
_SHELL = ("modules", "venv", "conda", "variables")
_IMAGE, _CONTAINER = "image", "container_command"
_KEYS = (_PAGE, *_SHELL, _IMAGE, _CONTAINER)

_CONDA = """\
export CONDA_PREFIX={prefix}
export PATH="$CONDA_PREFIX/bin:$PATH"
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -r "$script" ]; then . "$script"; fi
done"""


def check_surroundings(where: str, given: Mapping[str, Any], spawner: type[Spawner]) -> None:
    """Raise ValueError for a key that is not known, or of no use to this class of spawners."""
    wrong = sorted(given.keys() - set(_KEYS))
    if wrong:
        raise ValueError(f"{where}: the environment has {wrong[0]!r}; known are {', '.join(_KEYS)}")
    traits = spawner.class_trait_names()
    for name in given:
        needed = "req_prologue" if name in _SHELL else "batchspawner_singleuser_cmd"
        usable = name == _PAGE or needed in traits or (name == _IMAGE and _IMAGE in traits)
        if not usable:
            raise ValueError(f"{where}: {spawner.__name__} can do nothing with {name!r}")


def apply_surroundings(child: Any, given: Mapping[str, Any]) -> None:
    """Set the traits of a spawner that has not started yet."""
    if _PAGE in given:
        child.default_url = given[_PAGE]
    lines = list(_shell_lines(given))
    if lines:
        # Scripts of modules and environments are not written for `set -u`.
        strict = ["case $- in *u*) strict=-u ;; *) strict=+u ;; esac", "set +u"]
        ours = "\n".join([*strict, *lines, 'set "$strict"'])
        child.req_prologue = f"{ours}\n{child.req_prologue}".rstrip("\n")
    if given.get(_IMAGE):
        _use_image(child, str(given[_IMAGE]), str(given.get(_CONTAINER, "apptainer exec {image}")))


def _shell_lines(given: Mapping[str, Any]) -> list[str]:
    lines = []
    modules = given.get("modules") or []
    if modules:
        words = [modules] if isinstance(modules, str) else modules
        lines.append(f"module load {shlex.join(map(str, words))}")
    if given.get("venv"):
        lines.append(f". {shlex.quote(str(given['venv']))}/bin/activate")
    if given.get("conda"):
        lines.append(_CONDA.format(prefix=shlex.quote(str(given["conda"]))))
    for name, value in (given.get("variables") or {}).items():
        lines.append(f"export {name}={shlex.quote(str(value))}")
    return lines


def _use_image(child: Any, image: str, command: str) -> None:
    if child.has_trait(_IMAGE):
        child.image = image
        return
    inside = command.replace("{image}", shlex.quote(image))
    child.batchspawner_singleuser_cmd = f"{inside} {child.batchspawner_singleuser_cmd}"
