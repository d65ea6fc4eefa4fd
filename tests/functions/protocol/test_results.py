"""Answers of a worker that its cluster, or another account there, has tampered with."""

from __future__ import annotations

import json
import os
import pickle

import pytest

from batchspawner.functions import Executor, RemoteError
from batchspawner.functions.protocol.results import read_result
from tests.functions.tasks import SECONDS

ANSWER = {"type": "result", "id": 1, "form": "json", "took": 0.0}


@pytest.fixture
def folder(tmp_path):
    """The folder of a call, beside a file that is none of the job's business."""
    made = tmp_path / "call"
    made.mkdir()
    for file in (tmp_path / "secret.result", made / "call.json", made / "1-ab.result"):
        file.write_text('"content"')
    return made


def refused(name, folder):
    """Return why an answer is refused that names a file; nothing is read or removed for it."""
    before = sorted(one for one in folder.parent.rglob("*"))
    value, error = read_result({**ANSWER, "file": str(name)}, b"", folder)
    assert (value, type(error)) == (None, RemoteError)
    assert sorted(one for one in folder.parent.rglob("*")) == before
    return str(error)


def test_a_result_in_the_calls_own_folder_is_read_and_removed(folder):
    for name in ("1-ab.result", str(folder / "1-cd.result")):
        (folder / os.path.basename(name)).write_text('"content"')
        assert read_result({**ANSWER, "file": name}, b"", folder) == ("content", None)
        assert not (folder / os.path.basename(name)).exists()


@pytest.mark.parametrize(
    "name", ["../secret.result", "call.json", ".result", "", "..", "1-ab.result/"]
)
def test_no_other_file_is_read_or_removed(folder, name):
    if name:
        assert "names a file" in refused(name, folder)
    assert "names a file" in refused(folder.parent / "secret.result", folder)
    assert "names a file" in refused(folder / ".." / "secret.result", folder)


def test_an_answer_that_came_without_a_shared_folder_names_no_file(folder):
    value, error = read_result({**ANSWER, "file": str(folder / "1-ab.result")}, b"")
    assert (value, type(error)) == (None, RemoteError)
    assert (folder / "1-ab.result").exists()


def test_no_link_is_followed(folder):
    (folder / "2-ab.result").symlink_to(folder.parent / "secret.result")
    os.link(folder.parent / "secret.result", folder / "3-ab.result")
    os.mkfifo(folder / "4-ab.result")
    (folder / "5-ab.result").mkdir()
    for name in ("2-ab.result", "3-ab.result", "4-ab.result", "5-ab.result"):
        refused(name, folder)


class Trap:
    def __reduce__(self):
        return (os.mkdir, (os.environ["TRAP"],))


def test_without_trust_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAP", str(tmp_path / "trap"))
    data = pickle.dumps(Trap())
    words = {"name": "ValueError", "message": "no", "text": "Traceback"}
    for kind in ("result", "error", "crash", None):
        for form in ("pickle", "json", "text", "Pickle", "", None, 5, ["json"]):
            header = {**ANSWER, **words, "type": kind, "form": form}
            value, error = read_result(header, data, trusted=False)
            assert (value, type(error)) == (None, RemoteError)
            assert not (tmp_path / "trap").exists(), (kind, form)
    read_result({**ANSWER, "form": "pickle"}, data)
    assert (tmp_path / "trap").exists()


@pytest.fixture(params=["processes", "local"])
def careful(request, queue):
    with Executor(request.param, workers=1, results="json") as one:
        yield one


def numbers(count):
    return list(range(count))


def fail():
    raise ValueError("no")


def test_results_can_be_had_as_json(careful):
    assert careful.submit(numbers, 5000).result(SECONDS) == numbers(5000)
    assert careful.submit(divmod, 7, 2).result(SECONDS) == [3, 1]
    with pytest.raises(RemoteError, match="ValueError: no"):
        careful.submit(fail).result(SECONDS)
    with pytest.raises(RemoteError, match="set, cannot be sent back"):
        careful.submit(set).result(SECONDS)
    large = careful.submit("x".__mul__, 9 << 20).result(SECONDS)
    assert len(json.dumps(large)) == (9 << 20) + 2


def test_a_wrong_kind_of_results_is_refused():
    with pytest.raises(ValueError, match="results must be 'pickle' or 'json', not 'xml'"):
        Executor("processes", workers=1, results="xml")
