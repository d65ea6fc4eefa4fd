"""Errors of the demo, each with what to do."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from batchspawner.cli import demo


def run(*options, cwd):
    return subprocess.run(
        [sys.executable, "-m", "batchspawner.cli", "demo", *options],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


@pytest.fixture(autouse=True)
def _proxy(monkeypatch):
    monkeypatch.setattr(demo, "_find_proxy", lambda: "true")


def test_a_port_that_is_taken_is_named(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert start(tmp_path / "demo", port) == 1
    assert f"port {port} cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_folder_that_is_no_demo_is_left_alone(capsys, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "precious").touch()
    assert start(tmp_path / "demo", 0) == 1
    assert "exists and does not belong to a demo; choose --folder" in capsys.readouterr().err
    assert (tmp_path / "demo" / "precious").exists()


def test_a_second_demo_in_the_same_folder_is_refused(capsys, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "running").write_text("1")
    assert start(tmp_path / "demo", 0) == 1
    assert "a demo runs in" in capsys.readouterr().err


def test_a_proxy_that_is_missing_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert start(tmp_path / "demo", 0) == 1
    assert "npm install -g configurable-http-proxy" in capsys.readouterr().err


def test_help_is_there(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert (done.returncode, "default: 8000" in done.stdout) == (0, True)


def start(folder, port: int) -> int:
    from batchspawner.cli.__main__ import main

    return main(["demo", "--folder", str(folder), "--port", str(port)])
