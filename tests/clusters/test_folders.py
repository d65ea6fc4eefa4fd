"""The folders of clusters are private, with all that is above them."""

from __future__ import annotations

import pytest

from batchspawner.clusters.folders import PrivateFolder, data_folder
from tests.folders import mode


class Kept(PrivateFolder):
    kind = "kept"


@pytest.fixture
def data(tmp_path, monkeypatch, group_umask):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def test_no_other_user_can_replace_a_folder(data):
    made = Kept.create().path
    above = [made.parent, data_folder(""), data]
    assert [mode(one) for one in (made, *above)] == [0o700] * 4


def test_folders_that_an_earlier_release_has_made_are_closed_for_writing(data):
    made = [data_folder(Kept.kind), data_folder("")]
    made[0].mkdir(parents=True)
    assert [mode(one) for one in made] == [0o775] * 2
    Kept.create()
    assert [mode(one) for one in made] == [0o755] * 2
