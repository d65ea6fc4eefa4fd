"""The rules of docs/architecture.md about who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import batchspawner

PACKAGE = Path(batchspawner.__file__).parent
MODULES = sorted(
    ".".join(("batchspawner", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
)
FRONT_ENDS = {"spawners", "kernels", "magics", "functions", "clusters"}
WITH_JUPYTERHUB = ("batchspawner.spawners", "batchspawner.api", "batchspawner.batchspawner")
# They run at import what only their own process may run.
NOT_IMPORTED = ("batchspawner.cli.demo_config", "batchspawner.agent.__main__")
NO_INPUT_OUTPUT = {"asyncio", "os", "pathlib", "shutil", "socket", "subprocess", "threading"}
STARTS_PROCESSES = {
    "batchspawner.magics.backends.process",
    "batchspawner.runners",
    # Programs of their own, not part of the library.
    "batchspawner.agent.child_process",
    "batchspawner.agent.kill_on_exit",
    "batchspawner.cli.demo",
    "batchspawner.launcher",
    "batchspawner.localqueue.scheduling",
    "batchspawner.localqueue.supervisor",
    "batchspawner.checking.probe",
}


def imported_by(module: str) -> set[str]:
    """Return the full names of all that a module imports."""
    path = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def test_only_the_spawners_need_jupyterhub():
    others = [
        name.removesuffix(".__init__")
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


@pytest.mark.parametrize("module", MODULES)
def test_front_ends_do_not_import_each_other(module):
    here = module.split(".")[1]
    others = {f"batchspawner.{name}" for name in FRONT_ENDS - {here}}
    if here in FRONT_ENDS:
        assert not {name for name in imported_by(module) if name.startswith(tuple(others))}


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in MODULES
        if name.split(".")[1] in {"schedulers", "jobs", "queues", "errors", "commands", "units"}
    ],
)
def test_schedulers_only_build_and_read_text(module):
    roots = {name.split(".")[0] for name in imported_by(module)}
    assert roots - set(sys.stdlib_module_names if hasattr(sys, "stdlib_module_names") else ()) <= {
        "batchspawner"
    } or sys.version_info < (3, 10)
    assert not roots & NO_INPUT_OUTPUT


@pytest.mark.parametrize("module", MODULES)
def test_only_the_runners_start_processes(module):
    source = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py").read_text()
    starts = any(one in source for one in ("import subprocess", "create_subprocess", "_exec("))
    assert starts == (module in STARTS_PROCESSES)


def test_what_runs_in_a_job_needs_only_the_standard_library():
    code = (
        "import sys, batchspawner.singleuser; print(sorted(m for m in sys.modules if '.' not in m))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & {"jupyterhub", "tornado", "traitlets", "jinja2", "asyncio", "requests"}
