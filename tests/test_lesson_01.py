"""Lesson 01: its checks, each with starter, reference, another right answer and likely wrong ones."""

import time

import pytest

from labkit.checks import State
from tests.lessons import kubectl

LESSON = "01"


def run(lab, name="hello", image="busybox:1.36", command="sleep 3600", until="Running"):
    kubectl(f"run {name} --image={image} --restart=Never --command -- {command}")
    lab.wait(f"pod/{name}", until)


@pytest.mark.cluster
class TestAPodThatRuns:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("01.1").state is State.NOT_TRIED

    def test_the_reference_is_right(self, lab):
        kubectl("apply -f hello.yaml")
        lab.wait("pod/hello", "Ready")
        assert lab.check("01.1").state is State.RIGHT

    def test_one_made_by_kubectl_run_is_right_too(self, lab):
        run(lab)
        assert lab.check("01.1").state is State.RIGHT

    def test_a_misspelt_image_is_wrong_and_the_hint_names_the_right_one(self, lab):
        run(lab, image="bussybox:1.36", until=".status.containerStatuses[0].state.waiting.reason=ErrImagePull")
        verdict = lab.check("01.1")
        assert verdict.state is State.WRONG
        assert verdict.hints == ("The image cannot be had. Is its name busybox:1.36?",)

    def test_a_pod_that_has_ended_is_wrong_and_the_hint_asks_how_long_it_runs(self, lab):
        run(lab, command="true", until="Succeeded")
        lab._grader.clock = lambda: time.time() + 60
        verdict = lab.check("01.1")
        assert verdict.state is State.WRONG
        assert verdict.hints[0].startswith("It has ended.")

    def test_another_name_is_not_tried(self, lab):
        run(lab, name="hallo")
        assert lab.check("01.1").state is State.NOT_TRIED


@pytest.mark.cluster
class TestWhereTheSecretStands:
    @pytest.mark.parametrize(
        ("answer", "state"),
        [("", State.NOT_TRIED), ("users", State.RIGHT), ("user", State.RIGHT), ("clusters", State.WRONG),
         ("contexts", State.WRONG)],
    )  # fmt: skip
    def test_the_list_of_users_is_right(self, lab, answer, state):
        assert lab.check("01.2", answer=answer).state is state


@pytest.mark.cluster
class TestACard:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("01.3").state is State.NOT_TRIED

    @pytest.mark.parametrize("version", ["v1.36.2+glassbox", "v1.31.0"])
    def test_a_version_and_a_number_are_right(self, lab, version):
        kubectl(f"create configmap card --from-literal=version={version} --from-literal=nodes=2")
        assert lab.check("01.3").state is State.RIGHT

    @pytest.mark.parametrize(
        ("version", "nodes", "hint"),
        [("1.36", "2", "The API server's version begins with v1, and has three numbers."),
         ("v1.36.2", "two", "A number of nodes, in digits.")],
    )  # fmt: skip
    def test_words_in_the_place_of_numbers_are_wrong_and_the_hint_says_which(self, lab, version, nodes, hint):
        kubectl(f"create configmap card --from-literal=version={version} --from-literal=nodes={nodes}")
        verdict = lab.check("01.3")
        assert verdict.state is State.WRONG
        assert verdict.hints == (hint,)
