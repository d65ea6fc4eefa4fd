"""How long a new client of a cluster waits for the channel of its outputs."""

from __future__ import annotations

import pytest

from batchspawner.clusters import outputs

pytestmark = pytest.mark.unit


class Client:
    """A client whose questions are answered as told, one after the other; then never."""

    def __init__(self, ids: list[int], *answers: bool) -> None:
        self.ids = ids
        self.answers = list(answers)
        self.asked = 0

    def __getitem__(self, _: slice) -> Client:
        return self

    def execute(self, code: str, *, silent: bool, block: bool) -> Client:
        assert (code, silent, block) == ("", True, False)
        self.asked += 1
        return self

    def wait_for_output(self, _: float) -> bool:
        return self.answers.pop(0) if self.answers else False


def test_engines_are_asked_until_an_answer_arrives():
    client = Client([0, 1], False, False, True)
    outputs.await_outputs(client)
    assert client.asked == 3


def test_nobody_waits_for_ever_for_a_busy_engine(monkeypatch):
    monkeypatch.setattr(outputs, "_OUTPUT_TIMEOUT_S", 0.05)
    outputs.await_outputs(Client([0]))


def test_a_cluster_without_engines_is_not_asked():
    client = Client([])
    outputs.await_outputs(client)
    assert client.asked == 0
