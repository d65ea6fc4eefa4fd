"""Errors of the demo, each with what to do."""

from __future__ import annotations

import signal
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
    other = port + 1 if port < 65535 else 8000
    assert capsys.readouterr().err == (
        f"batchspawner demo: port {port} cannot be used: another program uses it. Choose another "
        f"one: batchspawner demo --port {other}, or make demo PORT={other}\n"
    )
    assert not (tmp_path / "demo").exists()


def test_a_port_that_does_not_exist_is_named(capsys, tmp_path):
    assert start(tmp_path / "demo", 70000) == 1
    assert capsys.readouterr().err == (
        "batchspawner demo: port 70000 cannot be used: ports are numbers up to 65535. Choose "
        "another one: batchspawner demo --port 8000, or make demo PORT=8000\n"
    )


def test_a_port_that_is_for_root_only_is_named(tmp_path):
    first = demo._first_free_port()
    if first < 23:
        pytest.skip("every user may use every port here")
    program = (
        "import os; from batchspawner.cli import demo; os.geteuid() or os.setuid(65534);"
        "demo._check_port(22)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        f"batchspawner.cli.demo.DemoError: port 22 cannot be used: only root may use the ports "
        f"below {first}. Choose another one: batchspawner demo --port 8000, or make demo PORT=8000"
    )


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


def test_the_proxy_of_a_killed_hub_ends_with_the_demo(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as proxy:
        (tmp_path / "proxy.pid").write_text(str(proxy.pid))
        # In a process of its own: it ignores signals from then on.
        code = (
            "import subprocess, sys; from pathlib import Path; from batchspawner.cli import demo;"
            "demo._clean_up(subprocess.Popen(['true']), Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)
        assert proxy.wait(60) == -signal.SIGTERM
    assert not tmp_path.exists()


def test_help_is_there(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert (done.returncode, "default: 8000" in done.stdout) == (0, True)


def start(folder, port: int) -> int:
    from batchspawner.cli.__main__ import main

    return main(["demo", "--folder", str(folder), "--port", str(port)])
