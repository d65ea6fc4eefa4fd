"""Programs in all their layouts: what their functions find in a job is what a plain call finds."""

from __future__ import annotations

import subprocess
import sys
import zipapp

import pytest

from tests.functions.tasks import SECONDS

HEAD = "from batchspawner.functions import *\n"

CLASSES = """
import functools
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

class Mode(Enum):
    FAST = 1

@dataclass(frozen=True)
class Config:
    n: int

class Pair(NamedTuple):
    a: int

class Bad(Exception):
    pass

@functools.singledispatch
def kind(x): return "other"
@kind.register
def _(x: Config): return "config"

def double(x): return 2 * x

@slurmify
def look(mode, config, pair, error, function):
    import __main__
    try:
        raise error
    except Bad:
        caught = True
    except Exception:
        caught = False
    return [
        mode is Mode.FAST, config == Config(1), kind(config), isinstance(pair, Pair), caught,
        function is double, __main__.Mode is Mode,
    ]

@slurmify
def give(): return Mode.FAST, Config(2), Bad("x"), double

@slurmify
def refuse(): raise Bad("no")

ARGUMENTS = Mode.FAST, Config(1), Pair(1), Bad("x"), double

def show(first, second, third):
    print(first.result(90) == look(*ARGUMENTS) == [True, True, "config", True, True, True, True])
    mode, config, error, function = second.result(90)
    print(mode is Mode.FAST, config == Config(2), type(error) is Bad, function is double)
    print(type(third.exception(90)) is Bad)
"""

WAYS = {
    "distribute": "show(look.distribute(*ARGUMENTS), give.distribute(), refuse.distribute())",
    "bundle": (
        "with JobBundling(max_size=3):\n"
        "        calls = look.distribute(*ARGUMENTS), give.distribute(), refuse.distribute()\n"
        "    show(*calls)"
    ),
    "executor": (
        "with Executor(workers=1) as one:\n"
        "        show(one.submit(look, *ARGUMENTS), one.submit(give), one.submit(refuse))"
    ),
    "processes": (
        "with Executor('processes', workers=1) as one:\n"
        "        show(one.submit(look, *ARGUMENTS), one.submit(give), one.submit(refuse))"
    ),
}


@pytest.fixture
def run(queue, tmp_path):
    """Write files, run Python with some arguments, and return what it prints."""

    def run(files, *argv, folder="."):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=tmp_path / folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("way", WAYS)
def test_the_classes_of_a_program_are_the_same_in_its_jobs(run, way):
    program = f"{HEAD}{CLASSES}\nif __name__ == '__main__':\n    {WAYS[way]}\n"
    assert run({"program.py": program}, "program.py") == ["True", "True True True True", "True"]


@pytest.mark.parametrize("way", ["distribute", "executor"])
def test_the_classes_of_a_module_that_is_run_are_the_same_in_its_jobs(run, way):
    program = f"{HEAD}{CLASSES}\nif __name__ == '__main__':\n    {WAYS[way]}\n"
    files = {"package/__init__.py": "", "package/program.py": program}
    told = run(files, "-m", "package.program")
    assert told == ["True", "True True True True", "True"]


def test_what_only_the_main_part_defines_is_sent_by_value(run):
    program = (
        f"{HEAD}"
        "@slurmify\n"
        "def read(one): return one.n, one.twice()\n"
        "if __name__ == '__main__':\n"
        "    class Config:\n"
        "        def __init__(self, n): self.n = n\n"
        "        def twice(self): return 2 * self.n\n"
        "    print(read.distribute(Config(4)).result(90))\n"
    )
    assert run({"program.py": program}, "program.py") == ["(4, 8)"]


HELPERS = {"package/__init__.py": "", "package/helpers.py": "def triple(x): return 3 * x\n"}

USE = """
from batchspawner.functions import *
from {helpers} import triple
@slurmify
def use(x): return triple(x), __name__ != "__main__"
if __name__ == "__main__":
    print(use.distribute(2).result(90))
    with Executor(workers=1) as one:
        print(one.submit(use, 3).result(90), one.submit(lambda: triple(4)).result(90))
"""


def test_a_module_of_a_package_keeps_its_relative_imports(run):
    files = {**HELPERS, "package/module.py": USE.format(helpers=".helpers")}
    assert run(files, "-m", "package.module") == ["(6, True)", "(9, True) 12"]


def test_a_package_can_be_run(run):
    main = USE.format(helpers=".helpers").replace('if __name__ == "__main__":', "if True:")
    files = {**HELPERS, "package/__main__.py": main}
    assert run(files, "-m", "package") == ["(6, False)", "(9, False) 12"]


def test_a_zip_archive_can_be_run(run, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "helpers.py").write_text("def triple(x): return 3 * x\n")
    main = USE.format(helpers="helpers").replace('if __name__ == "__main__":', "if True:")
    (source / "__main__.py").write_text(main)
    zipapp.create_archive(source, tmp_path / "program.pyz")
    assert run({}, "program.pyz") == ["(6, False)", "(9, False) 12"]


def test_a_script_reads_its_arguments_in_a_job_too(run):
    program = (
        f"{HEAD}"
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('n', type=int)\n"
        "n = parser.parse_args().n\n"
        "@slurmify\n"
        "def times(x): return n * x\n"
        "if __name__ == '__main__':\n"
        "    print(times.distribute(2).result(90))\n"
        "    with Executor('processes', workers=1) as one: print(one.submit(times, 3).result(90))\n"
    )
    assert run({"program.py": program}, "program.py", "5") == ["10", "15"]


def test_jobs_have_the_options_of_the_interpreter(run):
    program = (
        f"{HEAD}"
        "import sys\n"
        "@slurmify\n"
        "def options():\n"
        "    return __debug__, sys._xoptions.get('utf8'), sys.warnoptions\n"
        "if __name__ == '__main__':\n"
        "    print(options.distribute().result(90))\n"
        "    with Executor(workers=1) as one: print(one.submit(options).result(90))\n"
        "    with Executor('processes', workers=1) as one: print(one.submit(options).result(90))\n"
    )
    argv = ("-O", "-X", "utf8=1", "-W", "ignore::ResourceWarning", "program.py")
    found = run({"program.py": program}, *argv)
    assert found == ["(False, '1', ['ignore::ResourceWarning'])"] * 3


def test_a_script_that_cannot_be_loaded_fails_each_of_its_calls(run):
    program = (
        f"{HEAD}"
        "if __name__ != '__main__': raise LookupError('not here')\n"
        "@slurmify\n"
        "def first(): return 1\n"
        "@slurmify\n"
        "def second(): return 2\n"
        "if __name__ == '__main__':\n"
        "    with JobBundling(max_size=2): calls = first.distribute(), second.distribute()\n"
        "    print(*[repr(one.exception(90)) for one in calls])\n"
    )
    told = run({"program.py": program}, "program.py")
    assert told == ["LookupError('not here') LookupError('not here')"]
