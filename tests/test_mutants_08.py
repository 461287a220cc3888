"""Lesson 08's rubric against mutants of the reference: each field removed or changed; few may pass for right."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.lessons import ROOT, manifests
from tests.mutants import born, judged, mutants
from tests.test_lesson_08 import LESSON, reference

pytestmark = pytest.mark.cluster
LISTED = yaml.safe_load((ROOT / "tests" / "mutants_08.yaml").read_text())
AT_ONCE, SAMPLE, CONTROLS = 2, 4, 2


@pytest.fixture
def living(cluster, lab):
    """The mutants that the API takes."""
    return list(born(cluster, lab.namespace, mutants(reference())))


def run(cluster, answers):
    """Judge answers, some at once; return what killed each, by name."""

    def judge(name):
        killer = judged(cluster, LESSON, answers[name].values(), manifests(LESSON) / "app")
        print(f"{name}: {killer or 'SURVIVES'}", flush=True)
        return killer

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(answers, pool.map(judge, answers), strict=True))


def answers(chosen):
    """Return the reference with each mutant in the place of what it was made from."""
    return {each.name: reference() | {each.key: each.obj} for each in chosen}


def test_the_listed_survivors_are_mutants_and_few(living):
    names = {each.name for each in living}
    assert set(LISTED) <= names
    assert len(LISTED) / len(names) <= 0.05
    assert all(len(reason) > 20 for reason in LISTED.values())


@pytest.mark.timeout(300)
def test_a_sample_of_mutants_is_killed(cluster, living):
    chosen = random.Random(LESSON).sample([each for each in living if each.name not in LISTED], SAMPLE)
    assert [name for name, killer in run(cluster, answers(chosen)).items() if not killer] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_exactly_the_listed_mutants_survive(cluster, living):
    controls = {f"the reference ({number})": reference() for number in range(CONTROLS)}
    found = run(cluster, controls | answers(living))
    killed = {name: found.pop(name) for name in controls}
    assert set(killed.values()) == {""}, "the reference does not survive, so the measurement is void"
    assert sorted(name for name, killer in found.items() if not killer) == sorted(LISTED)
