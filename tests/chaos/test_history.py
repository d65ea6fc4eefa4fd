"""Histories of chaos: repeatable, and shrunk to what fails."""

from __future__ import annotations

from tests.chaos.history import SERVERS, WORK, Step, history_of, shrink, written
from tests.chaos.system import System


def test_a_seed_always_gives_the_same_history():
    assert history_of(7, 5) == history_of(7, 5)
    assert history_of(7, 5) != history_of(8, 5)
    assert history_of(7, 9)[:5] == history_of(7, 5)


def test_every_step_of_a_history_can_be_taken():
    actions = {step.action for steps in history_of(1, 200) for step in steps}
    assert [action for action in actions if not hasattr(System, action)] == []
    targets = {step.target for steps in history_of(1, 200) for step in steps}
    assert targets == {"", *SERVERS, *WORK}


def test_a_history_shrinks_to_the_steps_without_which_it_does_not_fail():
    needed = {("kill_hub", ""), ("stop", "ada/")}

    def fails(history):
        return needed <= {(step.action, step.target) for steps in history for step in steps}

    rest = (Step("start", "ben/"), Step("thaw"))
    history = (rest, (*rest, Step("kill_hub")), rest, (Step("stop", "ada/", 1.0), *rest))
    assert fails(history)
    short = shrink(history, fails, 100)
    assert short == ((Step("kill_hub"),), (Step("stop", "ada/", 1.0),))
    assert written(short) == "round 1:\n    kill_hub\nround 2:\n    stop ada/, wait 1.0 s"


def test_shrinking_gives_up_after_its_attempts():
    tried = []
    history = history_of(3, 4)
    assert shrink(history, lambda one: bool(tried.append(one)), 5) == history
    assert len(tried) == 5
