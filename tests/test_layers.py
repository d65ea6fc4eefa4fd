"""The rules of docs/architecture.md about who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import batchspawner
from tests.imports import Sources, cycles

PACKAGE = Path(batchspawner.__file__).parent
SOURCES = Sources(PACKAGE.parent, "batchspawner", "wrapspawner")
MODULES = sorted(one for one in SOURCES.files if one.startswith("batchspawner."))
PACKAGES = sorted(one for one in SOURCES.files if SOURCES.is_package(one))

LAYERS = {
    "programs that run alone": ("agent", "launcher", "singleuser"),
    "values and helpers": (
        *(
            "_version",
            "columns",
            "commands",
            "concurrency",
            "errors",
            "jobs",
            "message",
            "private_environment",
            "private_folders",
            "queues",
            "rewritten_output",
            "short_traceback",
            "units",
        ),
    ),
    "schedulers": (
        "client",
        "localqueue",
        "processes",
        "runners",
        "schedulers",
        "ssh",
        "template_mistakes",
        "templating",
        "translation",
    ),
    "jobs with an agent": ("allocation",),
    "front ends": ("clusters", "functions", "kernels", "magics", "spawners"),
    "paths of batchspawner 1.x": ("api", "batchspawner"),
    "profiles": ("wrapspawner",),
    "tools": ("checking", "cli", "labextension"),
}
"""Packages and modules of the root by layer; each imports from its own layer and those above it."""

FRONT_ENDS = set(LAYERS["front ends"])
WITH_JUPYTERHUB = ("batchspawner.spawners", "batchspawner.api", "batchspawner.batchspawner")
# They run at import what only their own process may run.
NOT_IMPORTED = ("batchspawner.cli.demo_config", "batchspawner.agent.__main__")
NO_INPUT_OUTPUT = {"asyncio", "os", "pathlib", "shutil", "socket", "subprocess", "threading"}
STARTS_PROCESSES = {
    "batchspawner.magics.backends.process",
    "batchspawner.processes",
    # Programs of their own, not part of the library.
    "batchspawner.agent.child_process",
    "batchspawner.agent.kill_on_exit",
    "batchspawner.cli.demo",
    "batchspawner.launcher",
    "batchspawner.localqueue.scheduling",
    "batchspawner.localqueue.supervisor",
    "batchspawner.checking.page_probe",
    "batchspawner.checking.probe",
}


def top(module: str) -> str:
    """Return the package or module of the root to which a module belongs."""
    parts = module.split(".")
    return parts[0] if parts[0] == "wrapspawner" else parts[1]


def layers_above(layer: str) -> set[str]:
    """Return what may be imported from a layer: its own packages and those of the layers above."""
    names = list(LAYERS)
    return {one for name in names[: names.index(layer) + 1] for one in LAYERS[name]}


def test_no_modules_import_each_other():
    assert cycles(SOURCES.module_graph()) == []


def test_no_packages_import_each_other():
    assert cycles(SOURCES.package_graph()) == []


def test_every_package_and_module_of_the_root_has_one_layer():
    listed = [one for names in LAYERS.values() for one in names]
    assert sorted(listed) == sorted({"wrapspawner", *map(top, MODULES)})


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_from_the_layers_above_it(layer):
    graph = SOURCES.module_graph()
    wrong = {
        (module, other)
        for module in graph
        if module != "batchspawner" and top(module) in LAYERS[layer]
        for other in graph[module] - {"batchspawner"}
        if top(other) not in layers_above(layer)
    }
    assert wrong == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_in_one_sentence_what_is_in_it(package):
    said = ast.get_docstring(SOURCES.trees[package]) or ""
    first, _, rest = said.partition("\n")
    assert first.endswith(".")
    assert ". " not in first
    assert not rest or rest.startswith("\n")


def test_cycles_are_found_through_facades_and_in_types(tmp_path):
    files = {
        "house/__init__.py": "",
        "house/one/__init__.py": "from .inside import Value",
        "house/one/inside.py": "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from house.two import Other",
        "house/two/__init__.py": "from .deep import Other",
        "house/two/deep.py": "def late():\n    from ..one import Value",
        "house/two/alone.py": "import house.one",
        "house/two/below/one.py": "from . import two\nfrom ..deep import Other",
        "house/two/below/two.py": "from ..alone import nothing",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    sources = Sources(tmp_path, "house")
    assert cycles(sources.module_graph()) == [["house.one.inside", "house.two.deep"]]
    assert sources.package_graph()["house.two.below"] == {"house.two.alone", "house.two.deep"}


def test_only_the_spawners_need_jupyterhub():
    others = [
        name
        for name in MODULES
        if not name.startswith(WITH_JUPYTERHUB) and name not in NOT_IMPORTED
    ]
    code = (
        "import sys; sys.modules['jupyterhub'] = None\n"
        "import importlib\n"
        f"for name in {others!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_jupyterhub_is_imported_nowhere_else_not_even_in_a_function():
    importing = {
        module
        for module in SOURCES.files
        if any(base.partition(".")[0] == "jupyterhub" for base, _ in SOURCES.imports(module))
    }
    # `batchspawner` is a path of 1.x; `checking` looks at a Hub's configuration, if there is one.
    allowed = {"batchspawner", "checking", "spawners", "wrapspawner"}
    assert {top(module) for module in importing} <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_front_ends_do_not_import_each_other(module):
    here = top(module)
    if here in FRONT_ENDS:
        others = SOURCES.modules_imported_by(module) - {"batchspawner"}
        assert {top(other) for other in others} & FRONT_ENDS <= {here}


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in MODULES
        if top(name) in {"schedulers", "jobs", "queues", "errors", "commands", "units"}
    ],
)
def test_schedulers_only_build_and_read_text(module):
    roots = {base.partition(".")[0] for base, _ in SOURCES.imports(module)}
    if sys.version_info >= (3, 10):
        assert roots <= {"batchspawner", *sys.stdlib_module_names}
    assert not roots & NO_INPUT_OUTPUT


@pytest.mark.parametrize("module", MODULES)
def test_one_module_of_the_library_starts_processes(module):
    source = SOURCES.files[module].read_text(encoding="utf-8")
    starts = any(one in source for one in ("import subprocess", "create_subprocess", "_exec("))
    assert starts == (module in STARTS_PROCESSES)


def test_what_runs_in_a_job_needs_only_the_standard_library():
    code = (
        "import sys, batchspawner.singleuser; print(sorted(m for m in sys.modules if '.' not in m))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & {"jupyterhub", "tornado", "traitlets", "jinja2", "asyncio", "requests"}
