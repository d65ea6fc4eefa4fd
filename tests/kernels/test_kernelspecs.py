"""`batchspawner kernel`, as a user calls it."""

from __future__ import annotations

import json
import sys

import pytest

from batchspawner.cli import kernel as command
from batchspawner.cli.__main__ import main
from batchspawner.kernels import settings


@pytest.fixture(autouse=True)
def jupyter(tmp_path, monkeypatch):
    """A home with one kernel of its own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    folder = tmp_path / "jupyter" / "kernels" / "bash"
    folder.mkdir(parents=True)
    spec = {
        "argv": ["bash-kernel", "{connection_file}"],
        "display_name": "Bash",
        "language": "bash",
        "env": {"PS1": "$"},
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    (folder / "logo-svg.svg").write_text("<svg/>")
    return tmp_path / "jupyter" / "kernels"


def kernel(*argv: str) -> int:
    return main(["kernel", *argv])


def test_an_installed_kernel_runs_another_one_in_a_job(jupyter):
    assert kernel("install", "big", "--kernel=bash", "--queue=gpu", "--runtime=2:00:00") == 0
    spec = json.loads((jupyter / "big" / "kernel.json").read_text())
    # Only newer versions of jupyter_client write it.
    spec.pop("kernel_protocol_version", None)
    assert spec == {
        "argv": ["bash-kernel", "{connection_file}"],
        "display_name": "Bash (batch job)",
        "language": "bash",
        "env": {"PS1": "$"},
        "interrupt_mode": "signal",
        "metadata": {
            "kernel_provisioner": {
                "provisioner_name": "batch-provisioner",
                "config": {"queue": "gpu", "runtime": "2:00:00"},
            }
        },
    }
    assert (jupyter / "big" / "logo-svg.svg").read_text() == "<svg/>"


def test_there_is_an_option_for_all_that_a_kernel_json_may_say_of_the_job():
    other_names = {"partition", "project", "kernel_language"}
    assert set(command._OPTIONS) == settings.KEYS - other_names - {"kernel_argv"}


def test_a_python_kernel_keeps_the_python_that_has_it(jupyter):
    assert kernel("install", "big") == 0
    assert json.loads((jupyter / "big" / "kernel.json").read_text())["argv"][0] == sys.executable


def test_the_listing_says_what_is_wrong_with_a_kernel(jupyter, capsys):
    kernel("install", "good", "--kernel=bash")
    kernel("install", "bad", "--kernel=bash", "--memory=4G")
    file = jupyter / "bad" / "kernel.json"
    file.write_text(file.read_text().replace('"memory"', '"memroy"'))
    capsys.readouterr()
    keys = ", ".join(sorted(settings.KEYS))
    assert kernel("list") == 1
    assert [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["bad", "Bash (batch job)"],
        ["", f"memroy: '4G' is not allowed; the keys of a kernel.json are: {keys}"],
        ["good", "Bash (batch job)"],
    ]


def test_the_listing_says_which_kernel_json_cannot_be_read(jupyter, capsys):
    kernel("install", "good", "--kernel=bash")
    kernel("install", "bad", "--kernel=bash")
    (jupyter / "bash" / "kernel.json").write_text("{")
    file = jupyter / "bad" / "kernel.json"
    file.write_text(file.read_text().replace('"config": {}', '"config": {},'))
    capsys.readouterr()
    assert kernel("list") == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in out] == ["bad", "", "good"]
    assert out[1].startswith(f"\tkernel.json: '{file}' is not allowed; it is no JSON: ")
    assert kernel("edit", "bad", "--memory=4G") == 1
    assert kernel("remove", "bad") == 0


def test_editing_changes_and_removes_what_a_job_is_asked_for(jupyter, capsys):
    kernel("install", "big", "--kernel=bash", "--queue=gpu", "--memory=4G")
    capsys.readouterr()
    assert kernel("edit", "big", "--queue=none", "--memory=8G") == 0
    assert capsys.readouterr().out == "memory\t8G\n"


def test_a_removed_kernel_is_gone(jupyter):
    kernel("install", "big", "--kernel=bash")
    assert kernel("remove", "big") == 0
    assert sorted(one.name for one in jupyter.iterdir()) == ["bash"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ["remove", "bash"],
            ("name: 'bash' is not allowed; the kernels that run in jobs are: there are none"),
        ),
        (
            ["install", "bash", "--kernel=bash"],
            ("name: 'bash' is not allowed; a kernel of this name exists: edit or replace it"),
        ),
        (["install", "a/b"], "name: 'a/b' is not allowed; use letters, digits, '.', '_' and '-'"),
        (
            ["install", "big", "--runtime=soon"],
            (
                "runtime: 'soon' is not allowed; write a time such "
                "as 90 (minutes), 12:00:00, 1-12:00:00 or 1d 12h"
            ),
        ),
        (
            ["install", "big", "--scheduler=slurm", "--memory=plenty"],
            ("memory: 'plenty' is not allowed; write an amount such as 4000M, 4G or 1.5T"),
        ),
        (
            ["install", "big", "--linger=-1"],
            ("linger: '-1' is not allowed; write a number of seconds, 0 for none"),
        ),
    ],
)
def test_what_no_kernel_could_start_with_is_refused(argv, said, capsys):
    assert kernel(*argv) == 1
    assert capsys.readouterr() == ("", f"batchspawner: {said}\n")


def test_an_unknown_kernel_or_scheduler_is_refused_with_those_that_exist(capsys):
    assert kernel("install", "big", "--kernel=fortran") == 1
    assert kernel("install", "big", "--kernel=bash", "--scheduler=cron") == 1
    errors = capsys.readouterr().err
    assert "kernel: 'fortran' is not allowed; the kernels of this machine are: bash" in errors
    assert "scheduler: 'cron' is not allowed" in errors
