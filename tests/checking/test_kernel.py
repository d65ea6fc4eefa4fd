"""A kernel that runs in jobs, checked by its own user."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytestmark = pytest.mark.hub


@pytest.fixture
def check(tmp_path):
    """Check a kernel whose kernel.json has this config, on a queue of its own."""

    def check(name="batch", *words: str, **config) -> list[tuple[str, str, str]]:
        folder = tmp_path / "jupyter" / "kernels" / "batch"
        folder.mkdir(parents=True)
        provisioner = {
            "provisioner_name": "batch-provisioner",
            "config": {"scheduler": "local", "linger": 0, **config},
        }
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Batch",
            "language": "python",
            "metadata": {"kernel_provisioner": provisioner},
        }
        (folder / "kernel.json").write_text(json.dumps(spec))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "JUPYTER_PATH": str(tmp_path / "jupyter"),
            "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
            "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "batchspawner.cli", "check", "--json", "--kernel", name, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        report = json.loads(done.stdout)
        assert done.returncode == (0 if report["ok"] else 1)
        return [(one["name"], one["verdict"], one["text"]) for one in report["findings"]]

    return check


def test_a_kernel_that_works_is_started_asked_and_ended(check):
    findings = check()
    assert [one[:2] for one in findings] == [
        (name, "ok") for name in ("kernel", "scheduler", "start", "node", "end")
    ]
    assert f"with {sys.executable}, Python" in findings[3][2]


def test_for_a_kernel_that_does_not_exist_those_that_do_are_named(check):
    ((name, verdict, text),) = check("nothing")
    assert (name, verdict) == ("kernel", "wrong")
    assert "the kernels that run in jobs are: batch" in text


def test_a_kernel_json_with_a_misspelt_key(check):
    ((name, verdict, text),) = check(memroy="4G")
    assert (name, verdict) == ("kernel", "wrong")
    assert "memroy" in text


def test_a_kernel_whose_job_fails(check):
    findings = check("batch", "--patience", "25", prologue="module load python")
    assert [one[:2] for one in findings] == [
        ("kernel", "ok"),
        ("scheduler", "ok"),
        ("start", "wrong"),
    ]
