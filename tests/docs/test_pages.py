"""The code blocks of all pages: configurations load, and a test runs everything else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest
from traitlets.config import Config

from batchspawner.allocation.allocation import Allocation, client_for
from batchspawner.allocation.listener import Listener
from batchspawner.concurrency import within
from tests.docs.reading import PAGES, PROJECT, blocks, class_named

RUN_BY = {
    "README": "tests/docs/test_pages.py",
    "adding-a-scheduler": "tests/docs/test_adding_a_scheduler.py",
    "agent": "tests/docs/test_pages.py",
    "cells": "tests/magics/test_notebook.py",
    "clusters": "tests/clusters/test_docs.py",
    "containers-and-gpus": "tests/functions/test_more_pages.py",
    "for-users": "tests/functions/test_more_pages.py",
    "functions": "tests/functions/test_page.py",
    "migration": "tests/docs/test_pages.py",
    "tutorial": "tests/docs/test_tutorial.py",
}
"""The tests that run what is Python and no configuration; test_running.py runs other blocks."""


def is_configuration(text: str) -> bool:
    return bool(re.search(r"^c\.\w+|\(c\)", text, re.MULTILINE))


CONFIGURATIONS = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (kind, text) in enumerate(blocks(page))
    if kind == "python" and is_configuration(text)
]


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_sets_only_what_there_is(text):
    config = Config()
    names = {"c": config}
    exec(compile(text, "jupyterhub_config.py", "exec"), names)
    for section, values in config.items():
        cls = names.get(section) or class_named(section)
        assert cls, f"nobody knows the class {section}"
        assert set(values) - set(cls.class_trait_names(config=True)) == set(), section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_whatever_else_is_python_is_run_by_a_test(page):
    others = [
        text for kind, text in blocks(page) if kind == "python" and not is_configuration(text)
    ]
    if others:
        runner = PROJECT / RUN_BY[page.stem]
        assert page.stem in runner.read_text(encoding="utf-8")


async def test_the_example_of_the_agent_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_DIR", str(tmp_path / "queue"))
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "local")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ((_, text),) = (one for one in blocks(PROJECT / "docs" / "agent.md") if one[0] == "python")
    code = compile(text, "agent.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"Listener": Listener, "Allocation": Allocation, "client_for": client_for}
    await within(60, eval(code, names))
    said = capsys.readouterr().out
    assert said.startswith("stdout b'42")
    assert said.endswith("0\njob 1 has ended\n")
    await names["allocation"].close()
    await names["listener"].close()


def test_the_readmes_examples_run(tmp_path):
    simulate, client = (
        text
        for kind, text in blocks(PROJECT / "README.md")
        if kind == "python" and not is_configuration(text)
    )
    env = {
        **os.environ,
        "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
        "BATCHSPAWNER_SCHEDULER": "local",
    }
    for text, said in (
        (simulate.replace("20", "4"), "14\n"),
        (client.replace('"slurm"', '"local"'), "completed"),
    ):
        script = tmp_path / "script.py"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, str(script)],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert said in done.stdout, done.stderr
