"""The folder of a call is private, with all that is above it."""

from __future__ import annotations

import pytest

from batchspawner.allocation import call_folder
from batchspawner.allocation.call_folder import CallFolder, calls_folder
from tests.folders import mode


@pytest.fixture
def state(tmp_path, monkeypatch, group_umask):
    """The folder in which the user's folder of calls is, by default."""
    monkeypatch.delenv(call_folder.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_no_other_user_can_replace_a_folder_of_a_call(state):
    call = CallFolder.create()
    made = [call.folder, call.folder.parent, call.folder.parent.parent, state]
    assert made[1] == calls_folder()
    assert [mode(one) for one in made] == [0o700] * 4


def test_folders_that_an_earlier_release_has_made_are_closed_for_writing(state):
    functions = calls_folder() / "functions"
    functions.mkdir(parents=True)
    made = [functions, calls_folder(), calls_folder().parent]
    assert [mode(one) for one in made] == [0o775] * 3
    CallFolder.create(functions / "one")
    assert [mode(one) for one in made] == [0o755] * 3


def test_a_chosen_folder_in_which_everybody_may_write_is_refused(state, monkeypatch, tmp_path):
    chosen = tmp_path / "an open one"
    chosen.mkdir()
    chosen.chmod(0o777)
    monkeypatch.setenv(call_folder.FOLDER_VARIABLE, str(chosen))
    with pytest.raises(PermissionError) as caught:
        CallFolder.create()
    assert f"others may replace files there; run: chmod go-w '{chosen}'" in str(caught.value)
    chosen.chmod(0o1777)
    assert CallFolder.create().folder.parent == chosen
    chosen.chmod(0o700)
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match=f"run: chmod go-w {tmp_path}$|go-w {tmp_path};"):
        CallFolder.create()
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_named_with_the_variable(state, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(call_folder.FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError) as caught:
        CallFolder.create()
    assert str(caught.value).startswith(
        "[Errno 20] Not a directory; BATCHSPAWNER_CALL_DIR can name another folder for the files "
        f"of jobs: '{tmp_path}/file/"
    )
