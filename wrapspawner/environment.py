"""What a profile sets up around a server: modules, an environment, an image, a landing page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .child import Child, JobChild

_CONDA = """\
export CONDA_PREFIX={prefix}
export PATH="$CONDA_PREFIX/bin:$PATH"
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -r "$script" ]; then . "$script"; fi
done"""

_DEFAULT_CONTAINER_COMMAND = "apptainer exec {image}"


class ServerEnvironment(TypedDict, total=False):
    """The key `environment` of a profile or of one of its choices."""

    default_url: str
    modules: str | list[str]
    venv: str
    conda: str
    variables: dict[str, object]
    image: str
    container_command: str


_SHELL_KEYS = ("modules", "venv", "conda", "variables")
_KEYS = ("default_url", *_SHELL_KEYS, "image", "container_command")


def check_environment(where: str, given: Mapping[str, object], spawner: type[Child]) -> None:
    """Raise ValueError for a key that is not known, or of no use to this class of spawners."""
    wrong = sorted(given.keys() - set(_KEYS))
    if wrong:
        raise ValueError(f"{where}: the environment has {wrong[0]!r}; known are {', '.join(_KEYS)}")
    traits = spawner.class_trait_names()
    for name in given:
        needed = "req_prologue" if name in _SHELL_KEYS else "batchspawner_singleuser_cmd"
        usable = name == "default_url" or needed in traits or (name == "image" and name in traits)
        if not usable:
            raise ValueError(f"{where}: {spawner.__name__} can do nothing with {name!r}")


def apply_environment(child: Child, given: ServerEnvironment) -> None:
    """Set the traits of a spawner that has not started yet.

    `check_environment` has made sure that it has them.
    """
    if "default_url" in given:
        child.default_url = given["default_url"]
    lines = list(_shell_lines(given))
    if lines:
        job = cast("JobChild", child)
        # Scripts of modules and environments are not written for `set -u`.
        strict = ["case $- in *u*) strict=-u ;; *) strict=+u ;; esac", "set +u"]
        ours = "\n".join([*strict, *lines, 'set "$strict"'])
        job.req_prologue = f"{ours}\n{job.req_prologue}".rstrip("\n")
    if given.get("image"):
        command = given.get("container_command", _DEFAULT_CONTAINER_COMMAND)
        _use_image(child, str(given["image"]), str(command))


def _shell_lines(given: ServerEnvironment) -> Iterator[str]:
    modules = given.get("modules") or []
    if modules:
        names = [modules] if isinstance(modules, str) else modules
        yield f"module load {shlex.join(map(str, names))}"
    if given.get("venv"):
        yield f". {shlex.quote(str(given['venv']))}/bin/activate"
    if given.get("conda"):
        yield _CONDA.format(prefix=shlex.quote(str(given["conda"])))
    for name, value in (given.get("variables") or {}).items():
        yield f"export {name}={shlex.quote(str(value))}"


def _use_image(child: Child, image: str, command: str) -> None:
    if child.has_trait("image"):
        setattr(child, "image", image)  # noqa: B010  (not every spawner has it)
        return
    job = cast("JobChild", child)
    inside = command.replace("{image}", shlex.quote(image))
    job.batchspawner_singleuser_cmd = f"{inside} {job.batchspawner_singleuser_cmd}"
