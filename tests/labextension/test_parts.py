"""The parts of the server extension, one by one."""

from __future__ import annotations

import json
import os
import time

import pytest

from batchspawner.agent.cgroups import job_group
from batchspawner.allocation.job_origin import Origin
from batchspawner.allocation.job_records import JobRecord, records
from batchspawner.jobs import JobInfo, JobState
from batchspawner.labextension import offers, own_job, rows, sources, usage
from batchspawner.labextension.board import Board
from batchspawner.labextension.logs import log_part
from batchspawner.queues import Queue
from batchspawner.schedulers.local import LocalQueue

GIB = 1024**3


@pytest.fixture
def calls(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "calls"


def record(folder, job_id="7", **more) -> JobRecord:
    folder.mkdir(parents=True)
    made = JobRecord(folder, "local", job_id, "functions", "sum", 5.0, **more)
    made.write()
    return made


class TestBoard:
    def test_a_browser_gets_all_rows_and_then_what_differs(self):
        board, told = Board(), []
        one, two = rows.Row("1", "other", "a"), rows.Row("2", "other", "b")
        board.update([one, two])
        board.follow(told.append)
        assert [row["id"] for row in told.pop()["rows"]] == ["1", "2"]
        assert not board.update([one, rows.Row("2", "other", "b")])
        assert told == []
        assert board.update([rows.Row("2", "other", "c"), rows.Row("3", "other", "d")])
        (message,) = told
        assert [row["name"] for row in message["changed"]] == ["c", "d"]
        assert message["removed"] == ["1"]

    def test_who_has_left_is_told_nothing(self):
        board, told = Board(), []
        board.follow(told.append)
        board.forget(told.append)
        told.clear()
        board.update([rows.Row("1", "other", "a")])
        assert told == []


class TestRecords:
    def test_a_record_that_comes_while_its_folder_is_there_is_found(self, calls):
        known = sources.Records()
        (calls / "a").mkdir(parents=True)
        assert not known.update()
        record(calls / "a" / "b")
        (calls / "a" / "b" / "job.json").rename(calls / "a" / "job.json")
        assert known.update()
        assert [one.job_id for one in known.known.values()] == ["7"]
        assert not known.update()

    def test_a_record_that_has_gone_is_forgotten(self, calls):
        record(calls / "a")
        known = sources.Records()
        assert known.update()
        (calls / "a" / "job.json").unlink()
        (calls / "a").rmdir()
        assert known.update()
        assert known.known == {}

    def test_a_record_of_an_earlier_or_a_later_release_is_read(self, calls):
        made = record(calls / "a", origin=Origin("/n.ipynb", 3))
        file = calls / "a" / "job.json"
        values = json.loads(file.read_text())
        assert records() == [made]
        file.write_text(json.dumps({**values, "colour": "red"}))
        assert records() == [made]
        del values["origin"], values["group"]
        file.write_text(json.dumps(values))
        assert records() == [JobRecord(calls / "a", "local", "7", "functions", "sum", 5.0)]


def test_an_executor_whose_program_was_killed_is_not_listed(calls):
    folder = calls / "executors"
    folder.mkdir(parents=True)
    facts = {"name": "f", "host": os.uname().nodename, "started": 1.0, "origin": {}}
    numbers = {"total": 3, "done": 2, "failed": 1}
    (folder / "a.json").write_text(json.dumps({**facts, **numbers, "pid": os.getpid()}))
    (folder / "b.json").write_text(json.dumps({**facts, **numbers, "pid": 2**22 + 1}))
    assert {key: one.calls for key, one in sources.executors().items()} == {"a": (3, 2, 1)}
    assert not (folder / "b.json").exists()


class TestRows:
    def test_a_waiting_job_says_why_in_words_and_what_to_do(self):
        status = JobInfo("7", JobState.PENDING, reason="needs 2 of the slots, 1 free; 3 ahead")
        row = rows.other_row(LocalQueue(), status)
        assert row.words == (
            "pending: it needs 2 of the queue's slots, 1 are free, and 3 before it wait, too "
            "(needs 2 of the slots, 1 free; 3 ahead)"
        )
        assert row.advice == "Stop another server of yours, or wait until one ends."

    def test_a_job_that_is_gone_has_ended_in_no_state(self):
        row = rows.other_row(LocalQueue(), JobInfo("7", JobState.UNKNOWN, gone=True))
        assert (row.state, row.words, row.ended) == ("", "gone without a trace", True)

    def test_a_record_whose_scheduler_is_not_here_is_listed(self, calls):
        made = record(calls / "a")
        row = rows.record_row(made, None, None)
        assert row.words == "the scheduler local is not known here"


class TestUsage:
    def test_the_group_of_the_whole_job_is_found_above_its_steps(self, tmp_path):
        file = tmp_path / "cgroup"
        file.write_text("0::/system.slice/slurmstepd.scope/job_17/step_batch/user/task_0\n")
        found = job_group(str(tmp_path), str(file))
        assert found == str(tmp_path / "system.slice/slurmstepd.scope/job_17")

    @pytest.mark.parametrize("text", ["0::/user.slice/user-0.slice\n", "1:cpu:/job_17\n", ""])
    def test_outside_of_a_jobs_group_there_is_none(self, tmp_path, text):
        file = tmp_path / "cgroup"
        file.write_text(text)
        assert job_group(str(tmp_path), str(file)) is None

    @pytest.mark.parametrize(
        ("environment", "memory"),
        [
            ({"MEM_LIMIT": str(GIB)}, GIB),
            ({"MEM_LIMIT": "much"}, None),
        ],
    )
    def test_the_memory_that_was_asked_for_is_in_the_jobs_variables(self, environment, memory):
        assert usage.memory_asked(environment) == memory

    @pytest.mark.parametrize(
        ("text", "busy"), [("100\n35\n", 1.4), ("[N/A]\n", None), ("No devices were found\n", None)]
    )
    def test_the_gpus_that_are_busy_are_a_sum_of_all(self, text, busy):
        assert usage.busy_gpus(text) == busy

    def test_without_a_group_the_processes_of_the_server_are_counted(self):
        reader = usage.UsageReader({"CPU_LIMIT": "2"})
        first = reader.read()
        assert (first.cores, first.cores_asked) == (None, 2.0)
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        assert reader.read().cores > 0
        assert first.memory > 8 * 1024**2


class TestOwnJob:
    @pytest.fixture(autouse=True)
    def _no_job(self, monkeypatch):
        for name in ("JOB_START_TIME", "JOB_RUN_TIME", "BATCHSPAWNER_QUEUE_JOB_ID"):
            monkeypatch.delenv(name, raising=False)

    def test_outside_of_jobs_there_is_none(self):
        assert own_job.own_job() is None

    def test_it_is_known_by_its_schedulers_variable(self, monkeypatch):
        monkeypatch.setenv("BATCHSPAWNER_QUEUE_JOB_ID", "17")
        monkeypatch.setenv("JOB_START_TIME", "1000")
        monkeypatch.setenv("JOB_RUN_TIME", "1")
        assert own_job.own_job() == own_job.OwnJob(LocalQueue(), "17", 1000.0, 1060)

    def test_a_limit_alone_is_enough(self, monkeypatch):
        monkeypatch.setenv("JOB_START_TIME", "1000")
        monkeypatch.setenv("JOB_RUN_TIME", "1")
        assert own_job.own_job() == own_job.OwnJob(None, "", 1000.0, 1060)


class TestLogs:
    def test_a_part_continues_where_the_last_one_ended(self, tmp_path):
        file = tmp_path / "log"
        file.write_text("one\n")
        first = log_part([file], "", None)
        assert (first["text"], first["offset"]) == ("one\n", 4)
        file.write_text("one\ntwo\n")
        assert log_part([file], "log", 4)["text"] == "two\n"

    def test_a_file_that_was_replaced_is_read_anew(self, tmp_path):
        file = tmp_path / "log"
        file.write_text("new\n")
        assert log_part([file], "", 1000)["text"] == "new\n"

    def test_of_a_long_file_the_end_is_shown(self, tmp_path):
        file = tmp_path / "log"
        file.write_text("x" * 300_000)
        part = log_part([file], "", None)
        assert (len(part["text"]), part["offset"], part["is_cut"]) == (262_144, 300_000, True)

    def test_only_the_jobs_own_files_are_shown(self, tmp_path):
        (tmp_path / "log").touch()
        with pytest.raises(LookupError, match="no log"):
            log_part([tmp_path / "log"], "../secret", None)


class TestEstimate:
    QUEUES = (
        Queue(
            "all", True, runtime=3600, cores=8, memory=16 * GIB, gpus=0, free_cores=4, all_cores=8
        ),
        Queue("shut", is_open=False, free_cores=4, all_cores=8),
        Queue("silent"),
    )

    @pytest.mark.parametrize(
        ("wanted", "answer"),
        [
            ({}, "free"),
            ({"nprocs": "5"}, "busy"),
            ({"nprocs": "9"}, "impossible"),
            ({"memory": "17G"}, "impossible"),
            ({"gpus": "1"}, "impossible"),
            ({"runtime": "2:00:00"}, "impossible"),
            ({"queue": "shut"}, "impossible"),
            ({"queue": "silent"}, "unknown"),
            ({"queue": "nowhere"}, "unknown"),
        ],
    )
    def test_it_says_no_more_than_the_scheduler_does(self, wanted, answer):
        assert offers.judged(LocalQueue(), self.QUEUES, wanted)[0] == answer

    @pytest.mark.parametrize(
        ("delay_s", "told"),
        [
            (0, ("free", "Slurm would start the job at once.")),
            (3600, ("busy", "Slurm expects to start the job in about 60 minutes.")),
            (None, ("impossible", "Slurm would refuse the job: allocation failure")),
        ],
    )
    async def test_what_the_scheduler_says_about_the_job_counts(
        self, tmp_path, monkeypatch, delay_s, told
    ):
        start = round(time.time()) + (delay_s or 0)
        words = f"sbatch: Job 5 to start at {start} using 1 processors on nodes g1 in partition gpu"
        end = f"{words}\nend" if delay_s is not None else "allocation failure\nend\nexit 1"
        sbatch = f'#!/bin/sh\necho "$*" > {tmp_path}/said; cat >> {tmp_path}/said\ncat >&2 <<end\n'
        (tmp_path / "sbatch").write_text(f"{sbatch}{end}\n")
        (tmp_path / "sinfo").write_text("#!/bin/sh\nexit 1\n")
        for name in ("sbatch", "sinfo"):
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "slurm")
        monkeypatch.setenv("SBATCH_ACCOUNT", "physics")
        found = await offers.estimate({"nprocs": "2", "memory": "", "runtime": "1:00:00"})
        assert (found["answer"], found["words"]) == told
        assert found["source"] == "scheduler"
        if delay_s is not None:
            assert abs(found["expected_start"] - start) < 60
        said = (tmp_path / "said").read_text()
        assert said.startswith("--test-only --account=physics\n")
        assert "#SBATCH --cpus-per-task=2\n" in said
