"""Histories: steps that a seed chooses, in rounds, and the shortest of them that still fails."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STEPS = 7
"""The most steps of one round."""

PAUSES_S = (0.0, 0.0, 0.2, 1.0, 3.0)

USERS = ("ada", "ben")
"""Names of the two users in steps; a site has accounts of its own for them."""

SERVERS = ("ada/", "ada/lab", "ben/", "ben/lab")
WORK = ("kernel", "calls", "function")
"""A kernel in a job, calls in an executor's workers, and calls in jobs of their own."""

WEIGHTS = {
    "start": 10,
    "stop": 4,
    "restart": 3,
    "kill_job": 3,
    "freeze_job": 2,
    "kill_supervisor": 2,
    "freeze_supervisor": 2,
    "cancel_job": 2,
    "requeue_job": 1,
    "kill_node": 1,
    "stop_scheduler": 1,
    "freeze_scheduler": 1,
    "start_scheduler": 1,
    "kill_hub": 3,
    "start_hub": 3,
    "freeze_hub": 1,
    "kill_proxy": 1,
    "freeze_proxy": 1,
    "thaw": 2,
    "lock_database": 2,
    "unlock_database": 1,
    "kill_database": 1,
    "start_database": 1,
    "restart_database": 1,
    "drop_connections": 1,
    "cut_network": 2,
    "hold_network": 1,
    "mend_network": 1,
    "set_clock_back": 1,
    "set_clock_forward": 1,
    "set_clock_right": 1,
    "fill_disk": 2,
    "free_disk": 1,
    "nonsense": 1,
    "empty": 1,
    "half": 1,
    "lost": 2,
    "slow": 1,
    "late": 1,
    "hang": 1,
    "truth": 2,
}
"""How often each step is taken, compared with the others."""


class Step(NamedTuple):
    """One step: what is done to which server or work, if to any, and the wait afterwards."""

    action: str
    target: str = ""
    pause_s: float = 0.0

    def __str__(self) -> str:
        words = f"{self.action} {self.target}".strip()
        return f"{words}, wait {self.pause_s} s" if self.pause_s else words


Round = tuple[Step, ...]
History = tuple[Round, ...]

OF_TARGETS = frozenset(
    """
    start stop restart kill_job freeze_job cancel_job requeue_job kill_supervisor freeze_supervisor
    kill_node
    """.split()
)


def history_of(seed: int, rounds: int) -> History:
    """Return the history that belongs to a seed; more rounds only add to its end."""
    chance = random.Random(seed)
    return tuple(_round(chance) for _ in range(rounds))


def _round(chance: random.Random) -> Round:
    """Return steps of which the first is a start, because most others need servers."""
    more = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=chance.randrange(2, MAX_STEPS))
    return tuple(_step(chance, action) for action in ("start", *more))


def _step(chance: random.Random, action: str) -> Step:
    target = chance.choice((*SERVERS, *WORK)) if action in OF_TARGETS else ""
    return Step(action, target, chance.choice(PAUSES_S))


def written(history: History) -> str:
    """Return a history as text, a line for each step."""
    lines = []
    for number, steps in enumerate(history, 1):
        lines += [f"round {number}:", *(f"    {step}" for step in steps)]
    return "\n".join(lines)


def shrink(history: History, fails: Callable[[History], bool], attempts: int) -> History:
    """Remove rounds, then steps, as long as what is left fails; try at most so many times."""
    shorter = True
    while shorter:
        shorter = False
        for candidate in _shortened(history):
            if attempts == 0:
                return history
            attempts -= 1
            if fails(candidate):
                history, shorter = candidate, True
                break
    return history


def _shortened(history: History) -> list[History]:
    """Return the histories that lack one round or one step of this one, the shortest first."""
    # The system was sound after each of the rounds but the last, so that they matter least.
    found = [history[:n] + history[n + 1 :] for n in range(len(history) - 1)]
    for n, steps in enumerate(history):
        for step in range(len(steps)) if len(steps) > 1 else ():
            fewer = steps[:step] + steps[step + 1 :]
            found.append((*history[:n], fewer, *history[n + 1 :]))
    return found
