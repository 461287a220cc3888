"""The queue of keys: each once, never two workers on one, failures later and later."""

import threading

import pytest

from labkit.glassbox.workqueue import LONGEST_DELAY, WorkQueue, backoff


class Hands:
    """A clock that a test moves."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def queue(hands):
    return WorkQueue(now=hands)


def taken(queue):
    """Take all keys that are ready, as a worker that is done with each at once."""
    queue.add_after("end", 0)  # after all that is due
    keys = []
    while (key := queue.get()) != "end":
        keys.append(key)
        queue.done(key)
    queue.done("end")
    return keys


def test_keys_come_in_order_of_arrival_each_once(queue):
    for key in ("a", "b", "a", "c", "b"):
        queue.add(key)
    assert taken(queue) == ["a", "b", "c"]


def test_a_key_added_while_it_is_worked_on_comes_back_when_it_is_done(queue):
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert taken(queue) == []
    queue.done("a")
    assert taken(queue) == ["a"]


def test_a_key_that_nobody_added_again_does_not_come_back(queue):
    queue.add("a")
    queue.get()
    queue.done("a")
    assert taken(queue) == []


def test_a_key_for_later_comes_when_it_is_time(queue, hands):
    queue.add_after("a", 5)
    assert taken(queue) == []
    hands.time += 4
    assert taken(queue) == []
    hands.time += 1
    assert taken(queue) == ["a"]


def test_a_key_for_several_later_times_comes_once_at_the_earliest(queue, hands):
    for seconds in (9, 3, 6, 3):
        queue.add_after("a", seconds)
    hands.time += 3
    assert taken(queue) == ["a"]
    hands.time += 10
    assert taken(queue) == []
    queue.add_after("a", 2)
    hands.time += 2
    assert taken(queue) == ["a"]


def test_a_key_that_falls_due_while_it_is_worked_on_waits_for_its_worker(queue, hands):
    queue.add("a")
    queue.get()
    queue.add_after("a", 1)
    hands.time += 1
    assert taken(queue) == []
    queue.done("a")
    assert taken(queue) == ["a"]


def test_failures_come_back_later_each_time_until_the_key_succeeds(queue):
    assert [queue.retry("a") for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    assert queue.retry("b") == 0.005
    queue.forget("a")
    assert queue.retry("a") == 0.005


def test_no_failure_waits_longer_than_the_longest():
    assert backoff(18) == pytest.approx(655.36)
    assert backoff(19) == LONGEST_DELAY == backoff(500)


def test_a_closed_queue_lets_every_worker_go(queue):
    got = []
    workers = [threading.Thread(target=lambda: got.append(queue.get())) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.close()
    for worker in workers:
        worker.join(5)
    assert got == [None, None, None]


def test_a_waiting_worker_wakes_for_a_key_that_is_due_sooner_than_what_it_waits_for():
    queue, got = WorkQueue(), []
    queue.add_after("late", 60)
    worker = threading.Thread(target=lambda: got.append(queue.get()))
    worker.start()
    queue.add_after("soon", 0.02)
    worker.join(5)
    assert got == ["soon"]


def test_no_two_workers_hold_the_same_key():
    queue, held, clashes = WorkQueue(), set(), []

    def work():
        while (key := queue.get()) is not None:
            clashes.extend([key] if key in held else [])
            held.add(key)
            held.discard(key)
            queue.done(key)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(2000):
        queue.add(number % 7)
    queue.close()
    for worker in workers:
        worker.join(5)
    assert clashes == []
