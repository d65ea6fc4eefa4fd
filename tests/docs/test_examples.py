"""The example configurations of the pages, and the job scripts that they give.

`BATCHSPAWNER_GOLDEN=1 pytest tests/docs/test_examples.py` writes the scripts again.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub

from batchspawner.schedulers import scheduler_class, scheduler_names
from batchspawner.schedulers.base import Carrier
from batchspawner.spawners.backends.scheduler_backend import SchedulerBackend
from tests.spawners.site import close_databases, make_spawner

DOCS = Path(__file__).parents[2] / "docs"
GOLDEN = Path(__file__).parents[1] / "golden"
PAGES = {"local": "local-queue", "pbspro": "pbs"}


@pytest.fixture(autouse=True)
def _databases():
    yield
    close_databases()


def examples(page: str) -> list[str]:
    """Return the configurations on a page."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [block for block in blocks if re.search(r"^c\.\w+\.", block, re.MULTILINE)]


def spawner_of(config: str, folder: Path):
    """Return the spawner that a Hub with this configuration would make."""
    file = folder / "jupyterhub_config.py"
    file.write_text(config)
    app = JupyterHub()
    app.load_config_file(str(file))
    return make_spawner(app.spawner_class, dict(app.config))


@pytest.mark.parametrize("name", scheduler_names())
async def test_the_first_example_of_a_schedulers_page_gives_its_script(
    name, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("pwd.getpwnam", lambda _: Alice)
    caplog.set_level(logging.WARNING)
    spawner = spawner_of(examples(PAGES.get(name, name))[0], tmp_path)
    assert spawner.scheduler_name == name
    assert isinstance(spawner.backend, SchedulerBackend)
    variables = {
        **spawner.script_variables(),
        "keepvars": "PATH",
        "path": "",
        "homedir": "/home/alice",
    }
    script = await spawner._get_batch_script(**variables)
    file = GOLDEN / f"{name}-example.sh"
    if os.environ.get("BATCHSPAWNER_GOLDEN"):
        file.write_text(script)
    assert script == file.read_text()
    # traitlets warns of a trait that does not exist.
    assert [record.message for record in caplog.records if "not recognized" in record.message] == []


class Alice:
    pw_name, pw_dir, pw_shell, pw_uid, pw_gid = "alice", "/home/alice", "/bin/bash", 1000, 1000


async def test_the_example_of_a_subclass_renders_its_own_trait(tmp_path):
    spawner = spawner_of(examples("configuration")[0], tmp_path)
    script = await spawner._get_batch_script(**spawner.script_variables())
    assert script.splitlines()[:2] == ["#!/bin/bash", "#SBATCH --constraint=avx512"]
    assert spawner.req_homedir == f"/home/{spawner.user.name[0]}/{spawner.user.name}"


@pytest.mark.parametrize("name", ["reliability", "security"])
def test_every_test_that_a_page_names_exists(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    tests = "\n".join(file.read_text() for file in Path(__file__).parents[1].rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_what_the_page_says_is_shown_on_real_schedulers_is_shown_on_them():
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    tests = "\n".join(file.read_text() for file in Path(__file__).parents[1].rglob("test_*.py"))
    arguments = dict(re.findall(r"def (test_\w+)\(([^)]*)\)", tests))
    rows = [row.split(" | ")[2:] for row in page.splitlines() if "`test_" in row]
    for fake, real in rows:
        assert "`test_" in fake
        assert "`test_" in real or real == "none |"
        on_real = {
            name: "site" in arguments[name] or "slurm" in arguments[name]
            for name in re.findall(r"`(test_\w+)`", real)
        }
        on_fakes = [name for name in re.findall(r"`(test_\w+)`", fake) if "site" in arguments[name]]
        assert all(on_real.values()), on_real
        assert on_fakes == []


def test_each_promise_of_the_page_on_security_names_a_test_and_those_that_are_real_have_a_site():
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    root = Path(__file__).parents[2]
    tests = "\n".join(file.read_text() for file in (root / "tests").rglob("test_*.py"))
    arguments = dict(re.findall(r"def (test_\w+)\(([^)]*)\)", tests))
    tables = [table.splitlines() for table in re.findall(r"(?m)(?:^\|.*\n)+", page)]
    # A row behind an empty line would be no row.
    assert [table for table in tables if not re.match(r"\|(-+\|)+$", table[1])] == []
    promises = [table for table in tables if table[0].endswith("| shown by |")]
    assert len(promises) == 6
    rows = [row.split(" | ") for table in promises for row in table[2:]]
    for _, _, shown in rows:
        files = re.findall(r"`(tests/[\w/]+\.py)`", shown)
        assert files or "`test_" in shown, shown
        assert [file for file in files if not (root / file).exists()] == []
        for part in shown.split(";"):
            real = re.findall(r"`(test_\w+)`", part) if re.search(r"\breal\b", part) else []
            without = [
                one for one in real if not re.search(r"\b(site|launcher|hub)\b", arguments[one])
            ]
            assert without == [], part


PLACES = {
    "the environment of the submit": Carrier.ENVIRONMENT,
    "the script": Carrier.SCRIPT,
    "a file in the user's home": Carrier.FILE,
    # Both are folders that the scheduler's own layer makes of the submit's environment.
    "its folder in the user's home": Carrier.ENVIRONMENT,
    "the queue's own folder": Carrier.ENVIRONMENT,
}


def test_the_page_on_security_says_where_the_code_of_each_scheduler_is():
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", page.partition("code is in")[2])
    told = {
        title: PLACES[place]
        for titles, place in rows
        if place in PLACES
        for title in titles.replace("embedded", "local").split(", ")
    }
    known = [scheduler_class(name) for name in scheduler_names()]
    assert told == {scheduler.title: scheduler.carrier for scheduler in known}
