"""How a container is ended, step by step."""

from labkit.glassbox.kubelet.hooks import Run
from labkit.glassbox.kubelet.stopping import Ending, is_its_turn
from tests.test_kubelet_actions import actual, container, with_sidecar


def test_a_container_is_asked_to_end_and_killed_at_the_end_of_its_grace():
    ending = Ending(grace=5, deadline=105)
    assert [ending.step(now, True) for now in (100, 101, 104, 105, 106)] == ["stop", "", "", "kill", ""]


def test_a_hook_comes_before_the_signal():
    hook = Run()
    ending = Ending(grace=5, deadline=105, hook=hook)
    assert [ending.step(now, True) for now in (100, 102)] == ["", ""]
    hook.ended = True
    assert [ending.step(now, True) for now in (103, 105)] == ["stop", "kill"]


def test_a_hook_that_takes_all_the_grace_leaves_two_seconds_for_the_signal():
    ending = Ending(grace=5, deadline=105, hook=Run())
    assert [ending.step(now, True) for now in (100, 105, 106, 107)] == ["", "stop", "", "kill"]


def test_a_sleeping_hook_ends_by_the_clock():
    ending = Ending(grace=30, deadline=130, hook=Run(due=102))
    assert [ending.step(now, True) for now in (100, 101.9, 102)] == ["", "", "stop"]


def test_a_sidecar_whose_hook_has_slept_waits_for_its_turn_without_haste():
    ending = Ending(grace=30, deadline=130, hook=Run(due=102))
    assert ending.next(100) == 102
    assert ending.step(103, its_turn=False) == ""
    assert ending.next(103) == 130


def test_a_second_shorter_grace_counts_from_its_own_beginning():
    ending = Ending(grace=30, deadline=130)
    ending.step(100, True)
    ending.shorten(2, now=110)
    ending.shorten(10, now=111)
    assert [ending.step(now, True) for now in (111, 112)] == ["", "kill"]


def test_sidecars_end_last_and_the_last_one_first():
    spec = with_sidecar(init=("side-1", "side-2"))
    everything = actual(container("side-1"), container("side-2"), container())
    assert [is_its_turn(spec, everything, name) for name in ("web", "side-2", "side-1")] == [True, False, False]
    both = actual(container("side-1"), container("side-2"), container(exit_code=0))
    assert [is_its_turn(spec, both, name) for name in ("side-2", "side-1")] == [True, False]
    last = actual(container("side-1"), container("side-2", exit_code=0), container(exit_code=0))
    assert is_its_turn(spec, last, "side-1")
