"""What server processes know of each other's jobs."""

from __future__ import annotations

import json

from batchspawner.kernels.jobs import records
from batchspawner.kernels.jobs.records import KernelCommand, KernelRecord
from batchspawner.kernels.jobs.registry import Entry, Registry

RECORD = KernelRecord(
    "id", KernelCommand(("python3", "{folder}/x"), {"key": "k"}, {"A": "1"}, "/home"), "p1"
)


def test_an_allocation_is_found_until_it_is_closed(tmp_path):
    registry = Registry(tmp_path)
    entry = Entry.new("slurm", "work", "")
    registry.write(entry)
    assert (registry.entries(), registry.entry(entry.id)) == ([entry], entry)
    registry.close(entry.id)
    assert (registry.entries(), registry.entry(entry.id)) == ([], None)
    assert registry.folder(entry.id).exists()
    registry.remove(entry.id)
    assert not registry.folder(entry.id).exists()


def test_one_process_speaks_with_a_job(tmp_path):
    mine, other = Registry(tmp_path), Registry(tmp_path)
    entry = Entry.new("slurm", "work", "")
    mine.write(entry)
    assert (mine.acquire(entry.id), mine.acquire(entry.id), other.acquire(entry.id)) == (
        True,
        True,
        False,
    )
    mine.release(entry.id)
    assert (other.acquire(entry.id), mine.acquire(entry.id)) == (True, False)
    other.remove(entry.id)
    assert mine.acquire(entry.id) is False


def test_nobody_else_can_read_the_registry(tmp_path):
    registry = Registry(tmp_path / "kernels")
    with registry.locked():
        entry = Entry.new("slurm", "", "")
        registry.write(entry)
    modes = [oct(one.stat().st_mode & 0o777) for one in (registry.root, registry.folder(entry.id))]
    assert modes == ["0o700", "0o700"]


def test_a_record_comes_back_as_it_was(tmp_path):
    RECORD.write(tmp_path)
    assert list(records.find(tmp_path)) == [RECORD]
    records.forget(tmp_path, "id")
    assert list(records.find(tmp_path)) == []


def test_what_a_newer_version_has_written_is_read(tmp_path):
    registry = Registry(tmp_path)
    entry = Entry.new("slurm", "work", "")
    registry.write(entry)
    RECORD.write(tmp_path)
    for file in (registry.folder(entry.id) / "allocation.json", tmp_path / "kernel-id.json"):
        values = json.loads(file.read_text())
        values["colour"] = "blue"
        if "command" in values:
            values["command"]["taste"] = "sweet"
        file.write_text(json.dumps(values))
    assert (registry.entries(), list(records.find(tmp_path))) == ([entry], [RECORD])


def test_the_connection_file_has_names_for_what_only_the_node_knows():
    text = RECORD.command.file("10.0.0.7")
    for number in range(5):
        text = text.replace(f"{{port{number}}}", str(4000 + number))
    assert json.loads(text) == {
        "key": "k",
        "ip": "10.0.0.7",
        "transport": "tcp",
        "shell_port": 4000,
        "iopub_port": 4001,
        "stdin_port": 4002,
        "control_port": 4003,
        "hb_port": 4004,
    }


def test_the_file_of_an_allocation_has_the_keys_that_other_releases_read(tmp_path):
    registry = Registry(tmp_path)
    entry = Entry.new("slurm", "work", "7")
    registry.write(entry)
    values = json.loads((registry.folder(entry.id) / "allocation.json").read_text())
    assert values == {
        "id": entry.id,
        "scheduler": "slurm",
        "name": "work",
        "job_id": "",
        "guest_of": "7",
        "host": entry.host,
        "pid": entry.pid,
    }
