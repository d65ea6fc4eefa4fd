"""What becomes of the programs that an agent has started, when the agent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hubs import wait_for
from tests.processes import runs

AGENT = """
import os, subprocess, sys
from batchspawner.agent.kill_on_exit import KillOnExit

guard = KillOnExit()
stubborn = ["sh", "-c", "trap '' TERM; sleep 600 & wait"]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
begun = [subprocess.Popen(stubborn, start_new_session=True, **quiet).pid for _ in range(3)]
for number, one in enumerate(begun):
    guard.begun(one, f"{sys.argv[1]}/place {number}" if number < 2 else "")
guard.ended(begun[1])
print(guard._process.pid, *begun, flush=True)
sys.stdin.read()
guard.close()
"""


class Agent:
    """Stand for an agent that has started three programs, of which it takes one for ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number in range(3):
            (folder / f"place {number}").mkdir()
        command = [sys.executable, "-c", AGENT, str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.watch, *self.programs = map(int, self.process.stdout.readline().split())

    def left(self) -> list[int]:
        return [number for number, one in enumerate(self.programs) if runs(one)]

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)
        for one in self.programs:
            if runs(one):
                os.killpg(one, signal.SIGKILL)


def ignores(pid: int, number: int) -> bool:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return bool(int(status["SigIgn"], 16) >> (number - 1) & 1)


@pytest.fixture
def agent(tmp_path):
    one = Agent(tmp_path)
    yield one
    one.end()


def test_the_programs_of_a_killed_agent_are_killed(agent):
    agent.process.kill()
    wait_for(lambda: agent.left() == [1], 10, "the end of the programs")
    wait_for(lambda: not runs(agent.watch), 10, "the end of the watch")


def test_the_folders_of_these_programs_are_removed(agent):
    agent.process.kill()
    left = [agent.folder / "place 1", agent.folder / "place 2"]
    wait_for(lambda: sorted(agent.folder.iterdir()) == left, 10, "the end of the folder")


def test_a_signal_for_the_whole_job_does_not_end_the_watch(agent):
    wait_for(lambda: ignores(agent.watch, signal.SIGXCPU), 10, "the watch")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
        os.killpg(agent.watch, number)
    agent.process.kill()
    wait_for(lambda: agent.left() == [1], 10, "the end of the programs")


def test_an_agent_that_ends_leaves_no_watch(agent):
    agent.process.communicate(timeout=10)
    assert (agent.process.returncode, runs(agent.watch)) == (0, False)


def test_an_agent_goes_on_when_its_watch_was_killed(agent):
    os.kill(agent.watch, signal.SIGKILL)
    agent.process.communicate(timeout=10)
    assert (agent.process.returncode, agent.left()) == (0, [0, 1, 2])
