"""How the agent learns that a program was killed for its memory."""

from __future__ import annotations

import pytest

from batchspawner.agent.oom import oom_kills


def kills_in(tmp_path, own: str, name: str = "", text: str = "") -> int:
    (tmp_path / "own").write_text(own)
    if name:
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return oom_kills(str(tmp_path / "root"), str(tmp_path / "own"))


def test_version_2_counts_in_memory_events(tmp_path):
    events = "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\n"
    assert kills_in(tmp_path, "0::/slurm/job_7\n", "slurm/job_7/memory.events", events) == 2


def test_version_1_counts_in_memory_oom_control(tmp_path):
    own = "9:cpu,cpuacct:/\n4:memory:/job/7\n0::/\n"
    control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    assert kills_in(tmp_path, own, "memory/job/7/memory.oom_control", control) == 3


@pytest.mark.parametrize("own", ["", "0::/gone\n", "no such form\n"])
def test_where_nothing_is_counted_nothing_was_killed(tmp_path, own):
    assert kills_in(tmp_path, own) == 0


def test_what_is_no_number_does_not_end_the_agent(tmp_path):
    assert kills_in(tmp_path, "0::/job\n", "job/memory.events", "oom_kill many\n") == 0
