"""Every block of code on every page: it parses, and the names in it exist."""

from __future__ import annotations

import pytest

from tests.docs import reading
from tests.docs.reading import CHECKS, PAGES, blocks, shell_lines

BLOCKS = [
    pytest.param(kind, text, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (kind, text) in enumerate(blocks(page))
]


@pytest.mark.parametrize(("kind", "text"), BLOCKS)
def test_a_block_names_only_what_there_is(kind, text):
    assert kind in CHECKS, "a block needs a language that reading.py knows"
    assert CHECKS[kind](text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_understood(page):
    lines = {line: wrong for line in shell_lines(page) if (wrong := reading.wrong_line(line))}
    assert lines == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_traits_of_a_page_exist(page):
    assert reading.wrong_traits(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("kind", "text", "wrong"),
    [
        ("python", "import os.path, batchspawner.client\nawait f()", []),
        ("python", "from batchspawner import nothing", ["batchspawner.nothing is not there"]),
        ("python", "import batchspawner.none", ["batchspawner.none.__name__ is not there"]),
        ("python", "import numpy_of_another_world", []),
        ("python", " f()", ["unexpected indent (page, line 1)"]),
        ("ipython", "%px import os\n%nothing", ["%nothing is no magic"]),
        ("text", "%%execute --wlm=slurm\n%joblog 1", []),
        ("text", "jupyterhub ALL=(ALL) ALL", ["nothing prints this text"]),
        ("jinja", "{% nothing %}", ["Encountered unknown tag 'nothing'."]),
        ("json", "", ["Expecting value: line 1 column 1 (char 0)"]),
        ("sh", "A=1 batchspawner jobs list | grep 1 > file  # a remark\nls --what", []),
        (
            "sh",
            "batchspawner nothing",
            ["batchspawner: error: argument COMMAND: invalid choice: 'nothing'"],
        ),
        (
            "sh",
            "cd && batchspawner jobs list --nothing",
            ["batchspawner: error: unrecognized arguments: --nothing"],
        ),
        ("sh", "make test-nothing PORT=1", ["make has no test-nothing"]),
        ("sh", 'pip install "batchspawner[all,nothing]"', ["there is no extra nothing"]),
        (
            "console",
            "$ batchspawner-queue wait 1 \\\n --nothing\nprinted",
            ["batchspawner-queue: error: unrecognized arguments: --nothing"],
        ),
        ("console", "batchspawner jobs list", ["nothing is typed in this session"]),
    ],
)
def test_what_is_wrong_with_a_block_is_found(kind, text, wrong):
    found = CHECKS[kind](text)
    # Which choices there are, and how a mistake is called, differs between versions of Python.
    assert [one.partition(" (choose")[0] for one in found] == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("c.SlurmSpawner.req_memory = '4G'", []),
        ("class Ours(SlurmSpawner): ...\nc.Ours.req_thing = 1", []),
        ("c.SlurmSpawner.req_nothing = 1", ["c.SlurmSpawner.req_nothing is no trait"]),
        ("c.SlurmSpawner.job_id = '1'", ["c.SlurmSpawner.job_id is no trait"]),
        ("c.NoSpawner.args = []", ["c.NoSpawner.args is no trait"]),
    ],
)
def test_a_trait_that_does_not_exist_is_found(text, wrong):
    assert reading.wrong_traits(text) == wrong


def test_commands_outside_of_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Say `make test` or `c.Spawner.args`:\n\n    $ batchspawner jobs \\\n      list\n    1\n"
        "```sh\nmake nothing\n```\n"
    )
    assert shell_lines(page) == ["$ batchspawner jobs list", "make test"]
