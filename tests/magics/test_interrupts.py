"""When an interrupt reaches the code that waits for a cell."""

from __future__ import annotations

import signal
import threading

import pytest

from batchspawner.magics.interrupts import Interrupts


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_between_two_steps_waits_until_it_is_taken():
    interrupts = Interrupts()
    with interrupts:
        interrupt()
        taken = [interrupts.take(), interrupts.take()]
    assert taken == [True, False]


def test_an_interrupt_ends_a_wait():
    interrupts, event = Interrupts(), threading.Event()
    with interrupts:
        threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        waited = interrupts.during(lambda: event.wait(60))
        taken = interrupts.take()
    assert (waited, taken) == (None, True)


def test_a_wait_does_not_begin_while_an_interrupt_is_pending():
    interrupts = Interrupts()
    with interrupts:
        interrupt()
        waited = interrupts.during(lambda: pytest.fail("it waits"))
        interrupts.take()
        assert (waited, interrupts.during(lambda: 7)) == (None, 7)


def test_an_interrupt_that_nobody_takes_is_raised_at_the_end():
    interrupts = Interrupts()
    steps = []

    def nested() -> None:
        with interrupts:
            with interrupts:
                interrupt()
            steps.append("outer")

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert steps == ["outer"]


def test_an_error_goes_before_an_interrupt_that_nobody_took():
    def fail() -> None:
        with Interrupts():
            interrupt()
            raise ValueError("the error")

    with pytest.raises(ValueError, match="the error"):
        fail()


def test_the_third_interrupt_that_nobody_takes_is_raised_at_once():
    steps = []

    def insist() -> None:
        with Interrupts():
            for number in range(4):
                steps.append(number)
                interrupt()

    with pytest.raises(KeyboardInterrupt):
        insist()
    assert steps == [0, 1, 2]


def test_the_handler_is_as_before_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_leaves_the_handler_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
