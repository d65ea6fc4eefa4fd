from __future__ import annotations

import re
from dataclasses import fields

import pytest

from batchspawner.errors import OptionsError
from batchspawner.magics.options import LISTS, CellOptions, parse_line
from batchspawner.magics.program import CellProgram


def test_what_is_not_ours_goes_to_the_submit_command_in_order():
    assert parse_line("-n 8 -N1 --reservation=rsv --time 0:42:00 --bg", "slurm") == CellOptions(
        bg=True, others=("-n", "8", "-N1", "--reservation=rsv", "--time", "0:42:00")
    )


def test_every_old_switch_is_known():
    line = "--workloadmanager=ssh --shell=/bin/zsh --amgr=a --host=node1 --pid p --jobid=j --bg -v"
    assert parse_line(line) == CellOptions(
        wlm="ssh",
        shell="/bin/zsh",
        amgr="a",
        host="node1",
        pid="p",
        jobid="j",
        bg=True,
        others=("-v",),
    )


def test_quotes_work_as_in_a_shell():
    assert parse_line("--wlm='' --comment='two words'") == CellOptions(
        wlm="", others=("--comment=two words",)
    )


def test_a_switch_of_ssh_is_the_schedulers_own_elsewhere():
    assert parse_line("--wlm slurm --host=x --pid=y").others == ("--host=x", "--pid=y")


def test_what_follows_two_dashes_is_never_ours():
    assert parse_line("--bg -- --shell=x --bg") == CellOptions(
        bg=True, others=("--shell=x", "--bg")
    )


def test_an_abbreviation_is_the_schedulers_own():
    assert parse_line("--she=x --output=y").others == ("--she=x", "--output=y")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--amgr=2x", "--amgr: '2x' is not allowed; it is the name of a variable"),
        ("--amgr", "--amgr: '' is not allowed; it needs a value: --amgr=VALUE"),
        ("--bg=1", "--bg: '1' is not allowed; it takes no value"),
        ("--wlm=ssh --host=-v", "--host: '-v' is not allowed; it is the name of a machine"),
        (
            "--time='1",
            '%%execute: "--time=\'1" is not allowed; a quote is not closed (No closing quotation)',
        ),
    ],
)
def test_a_wrong_switch_is_named(line, said):
    with pytest.raises(OptionsError) as caught:
        parse_line(line)
    assert str(caught.value) == said


def test_the_defaults_of_a_profile_come_first_and_give_way():
    line = parse_line("--host=node2 -p 22", "ssh")
    assert line.completed("ssh", "/bin/bash", parse_line("--host=node1 -v", "ssh")) == CellOptions(
        wlm="ssh", shell="/bin/bash", host="node2", others=("-v", "-p", "22")
    )


def test_variables_go_in_and_out_of_python_only():
    assert parse_line("--python --in a,b --out=c") == CellOptions(
        python=True, inputs=("a", "b"), outputs=("c",)
    )
    assert parse_line("--in a --out=c").others == ("--in", "a", "--out=c")


def test_the_shell_of_a_profile_is_not_for_python():
    line = parse_line("--python")
    assert line.completed("slurm", "/bin/bash", parse_line("--shell=/bin/zsh")).shell is None


def test_a_cell_is_a_script_of_its_shell():
    assert CellProgram("/bin/sh").script("true") == b"#!/bin/sh\ntrue\n"


def test_the_help_of_the_magic_names_every_switch(notebook):
    shown = notebook.shell.object_inspect_mime("%%execute")["text/plain"]
    assert "Write %%execute at the top of a cell." in shown
    switches = re.findall(r"^ +--([a-z]+)", shown, re.MULTILINE)
    ours = {one.name for one in fields(CellOptions)} - {"inputs", "outputs", "others"}
    assert sorted(switches) == sorted({*ours, *LISTS})


def test_the_examples_of_the_help_are_understood(notebook):
    shown = notebook.shell.object_inspect_mime("%%execute")["text/plain"]
    lines = re.findall(r"^ +%%execute (.*)$", shown, re.MULTILINE)
    assert [parse_line(line) for line in lines] == [
        CellOptions(wlm="slurm", others=("--time=0:10:00", "--mem=4G")),
        CellOptions(wlm="auto", python=True, inputs=("numbers",), outputs=("total",)),
        CellOptions(wlm="auto", bg=True, amgr="cell"),
    ]
