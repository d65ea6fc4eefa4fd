"""The shell program of a cluster's job: controller, engines, a Jupyter server."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..errors import OptionsError
from ..templating import render_script
from .folders import ELEMENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .folders import JobFolder

TEMPLATE = "ipcluster.j2"
_CONNECTION_FILE = '"$profile/security/ipcontroller-engine.json"'
_END_TIMEOUT_S = 10
"""How long the processes of a cluster may take to end before they are killed."""


@dataclass(frozen=True)
class ClusterProgram:
    """The program of a job; its template is ``ipcluster.j2``.

    `controller`, `engine` and `notebook` are commands, empty for what is not wanted. `launch` is
    the command that starts all engines at once, such as ``srun`` or ``mpiexec``; without it `n`
    engines are processes of the job's first node. `profile` is the profile's folder; without it
    the job makes one, named after its id, below `ipython_folder`. `connection` is the file that
    engines read, by default that of the profile; `connection_info` is its text, if it comes with
    the job. More than one of `elements` make an array of jobs that run this program.
    """

    n: int = 0
    elements: int = 1
    controller: tuple[str, ...] = ()
    engine: tuple[str, ...] = ()
    notebook: tuple[str, ...] = ()
    launch: tuple[str, ...] = ()
    profile: str = ""
    ipython_folder: str = ""
    connection: str = ""
    connection_info: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def render(self, folder: JobFolder, templates: Sequence[str] | None = None) -> str:
        """Return the program as a shell script. Raises OptionsError, TemplateError."""
        for name in self.environment:
            if not name.isidentifier():
                raise OptionsError("environment", name, "a variable's name has letters, digits, _")
        connection = shlex.quote(self.connection) if self.connection else _CONNECTION_FILE
        if self.connection_info:
            # It has the key of the cluster, which others must not read.
            connection = shlex.quote(str(folder.write("engine.json", self.connection_info)))
        variables = {
            "n": self.n,
            "elements": self.elements,
            "element_log": ELEMENT,
            "controller": shlex.join(self.controller),
            "engine": shlex.join(self.engine),
            "engine_name": folder.name,
            "notebook": shlex.join(self.notebook),
            "launch": shlex.join(self.launch),
            "profile": self.profile,
            "own_profile": not self.profile,
            "ipython_folder": self.ipython_folder,
            "connection": connection,
            "environment": dict(self.environment),
            "folder": str(folder.path),
            "grace": _END_TIMEOUT_S,
        }
        return render_script(TEMPLATE, variables, templates, "clusters")


def launch_command(how: str, n: int) -> tuple[str, ...]:
    """Return the command that starts n engines at once: ``srun``, ``mpiexec`` or the like."""
    words = shlex.split(how)
    if not words:
        return ()
    count = (f"--ntasks={n}",) if PurePath(words[0]).name == "srun" else ("-n", str(n))
    return (*words, *count)


def listening(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the option that makes a controller listen to other nodes, if none does yet."""
    return () if any(one.startswith("--ip") for one in arguments) else ("--ip=*",)
