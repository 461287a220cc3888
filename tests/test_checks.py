"""Checks: the six verdicts, each on a running cluster; comparisons, hints and rubrics as tables."""

import uuid

import pytest

from labkit import rubric
from labkit.api import Api
from labkit.checks import Grader, Seen, State, compare, expectation, hints, judge
from labkit.errors import LabError, RubricError
from labkit.rubric import Exercise, Hint, Item
from labkit.verdict import Finding, Verdict

RUBRIC = """
lesson: "97"
exercises:
  "97.1":
    title: A colour
    items:
      - name: the map has the colour
        type: spec
        resource: configmaps
        select: {name: paint}
        path: .data.colour
        operator: equals
        value: green
        look: kubectl get configmap paint -o yaml
        hints:
          - {when: missing, text: "Make the map first."}
          - {when: wrong, found: red, text: "Red is not it."}
          - {when: broke, text: "It was right before."}
  "97.2":
    title: A selector
    items:
      - name: it picks both
        type: spec
        resource: configmaps
        answer: labelSelector
        operator: names
        value: [a, b]
  "97.3":
    title: A Deployment
    items:
      - name: it is available
        type: status
        resource: deployments
        select: {name: web}
        path: .status.availableReplicas
        operator: equals
        value: 1
        within: 60
  "97.4":
    title: A kind from elsewhere
    items:
      - {name: a pig, type: spec, resource: pigs, operator: countAtLeast, value: 1}
  "97.5":
    title: A number
    items:
      - {name: the number, type: spec, answer: value, operator: equals, value: 42}
"""

DEPLOYMENT = {
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "no.such/image:1"}]},
        },
    },
}


@pytest.fixture(scope="module")
def rubrics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rubrics")
    (folder / "97_test.yaml").write_text(RUBRIC)
    return folder


@pytest.fixture(scope="module")
def api(cluster):
    return Api(cluster.kubeconfig)


@pytest.fixture
def namespace(api):
    name = f"t-{uuid.uuid4().hex[:8]}"
    api.create("namespaces", {"metadata": {"name": name}})
    yield name
    api.delete("namespaces", name)


@pytest.fixture
def grader(api, namespace, rubrics):
    return Grader(api, namespace, "97", rubrics=rubrics)


def paint(api, namespace, colour):
    api.delete("configmaps", "paint", namespace)
    api.create("configmaps", {"metadata": {"name": "paint"}, "data": {"colour": colour}}, namespace)


# --- the six verdicts -------------------------------------------------------------


@pytest.mark.cluster
def test_nothing_there_is_not_tried(grader):
    verdict = grader.check("97.1")
    assert verdict.state is State.NOT_TRIED
    assert verdict.hints == ("Make the map first.",)


@pytest.mark.cluster
def test_another_value_is_wrong_and_says_what_was_expected_found_and_where_to_look(api, namespace, grader):
    paint(api, namespace, "red")
    assert str(grader.check("97.1")) == (
        "✗ 97.1 A colour: wrong · 0 of 1 visible checks pass\n"
        "  ✗ the map has the colour\n"
        "      expected .data.colour is green\n"
        "      found    red (configmap/paint)\n"
        "      look     kubectl get configmap paint -o yaml\n"
        "  hint: Red is not it."
    )


@pytest.mark.cluster
def test_right_says_no_more_than_that_visible_checks_pass(api, namespace, grader):
    paint(api, namespace, "green")
    verdict = grader.check("97.1")
    assert verdict.passed
    assert str(verdict) == "✓ 97.1 A colour: right · visible checks pass\n  ✓ the map has the colour"


@pytest.mark.cluster
def test_what_was_right_and_is_not_any_more_broke(api, namespace, grader):
    paint(api, namespace, "green")
    grader.check("97.1")
    paint(api, namespace, "blue")
    verdict = grader.check("97.1")
    assert verdict.state is State.BROKE
    assert verdict.hints == ("It was right before.",)


@pytest.mark.cluster
def test_a_status_on_its_way_is_still_converging_with_the_time_left(api, namespace, rubrics):
    api.create("deployments.apps", DEPLOYMENT, namespace)
    verdict = Grader(api, namespace, "97", rubrics=rubrics).check("97.3")
    assert verdict.state is State.CONVERGING
    assert 50 < verdict.findings[0].left <= 60


@pytest.mark.cluster
def test_a_status_that_took_too_long_is_wrong(api, namespace, rubrics):
    import time

    api.create("deployments.apps", DEPLOYMENT, namespace)
    later = Grader(api, namespace, "97", rubrics=rubrics, clock=lambda: time.time() + 61)
    assert later.check("97.3").state is State.WRONG


@pytest.mark.cluster
def test_a_cluster_that_cannot_be_asked_is_not_the_students_fault(grader):
    verdict = grader.check("97.4")
    assert verdict.state is State.UNCHECKED
    assert "does not serve a resource named 'pigs'" in str(verdict)
    assert "not your fault, no points lost" in str(verdict)


# --- answers ----------------------------------------------------------------------


@pytest.fixture
def three_maps(api, namespace):
    for name, labels in {"a": {"x": "1"}, "b": {"x": "2"}, "c": {}}.items():
        api.create("configmaps", {"metadata": {"name": name, "labels": labels}}, namespace)


@pytest.mark.cluster
@pytest.mark.parametrize("selector", ["x", "x in (1,2)", "x,x!=3"])
@pytest.mark.usefixtures("three_maps")
def test_any_selector_that_picks_the_same_is_right(grader, selector):
    assert grader.check("97.2", answer=selector).state is State.RIGHT


@pytest.mark.cluster
@pytest.mark.usefixtures("three_maps")
def test_a_selector_that_the_server_refuses_is_wrong_in_its_words(grader):
    verdict = grader.check("97.2", answer="x in (")
    assert verdict.state is State.WRONG
    assert "unable to parse" in verdict.findings[0].found


@pytest.mark.parametrize(
    ("answer", "state"),
    [(None, State.NOT_TRIED), (..., State.NOT_TRIED), ("", State.NOT_TRIED), (41, State.WRONG), (42, State.RIGHT)],
)
def test_an_answer_in_code_is_checked_without_a_cluster(rubrics, answer, state):
    assert Grader(None, "", "97", rubrics=rubrics).check("97.5", answer=answer).state is state


# --- from findings to a verdict ---------------------------------------------------


def finding(state, guard=False):
    return Finding("x", state, guard=guard)


@pytest.mark.parametrize(
    ("states", "was_right", "verdict"),
    [
        ([State.RIGHT, State.RIGHT], False, State.RIGHT),
        ([State.RIGHT, State.UNCHECKED], True, State.UNCHECKED),
        ([State.RIGHT, State.CONVERGING], False, State.CONVERGING),
        ([State.RIGHT, State.NOT_TRIED], False, State.WRONG),
        ([State.NOT_TRIED, State.NOT_TRIED], False, State.NOT_TRIED),
        ([State.CONVERGING, State.WRONG], False, State.WRONG),
        ([State.NOT_TRIED, State.WRONG], False, State.WRONG),
        ([State.NOT_TRIED, State.NOT_TRIED], True, State.BROKE),
    ],
)
def test_one_verdict_is_made_of_all_findings(states, was_right, verdict):
    assert judge(tuple(finding(s) for s in states), was_right=was_right) is verdict


def test_a_guard_that_holds_does_not_mean_that_one_has_begun():
    assert judge((finding(State.NOT_TRIED), finding(State.RIGHT, guard=True)), was_right=False) is State.NOT_TRIED


@pytest.mark.parametrize(
    ("operator", "value", "values", "holds"),
    [
        ("exists", None, [1], True), ("exists", None, [None], False), ("absent", None, [None], True),
        ("absent", None, [], True), ("equals", "a", ["a", "a"], True), ("equals", "a", ["a", "b"], False),
        ("equals", "a", [], False), ("in", ["a", "b"], ["a"], True), ("notIn", ["a"], ["b"], True),
        ("matches", "w.b", ["web"], True), ("matches", "w", ["web"], False),
        ("contains", {"a": 1}, [{"a": 1, "b": 2}], True),
        ("contains", "x", [["x"]], True), ("contains", "x", [None], False), ("atLeast", 2, [2], True),
        ("atMost", 2, [3], False), ("atLeast", 0, [None], False), ("notEquals", "a", [None], True),
    ],
)  # fmt: skip
def test_operators(operator, value, values, holds):
    assert compare(operator, value, Seen(values, ["x"] * len(values))) is holds


@pytest.mark.parametrize(
    ("operator", "value", "holds"),
    [("count", 2, True), ("countAtLeast", 3, False), ("countAtMost", 2, True), ("names", ["b", "a"], True)],
)
def test_objects_are_counted(operator, value, holds):
    assert compare(operator, value, Seen([], [], ("a", "b"))) is holds


def test_any_of_several_is_enough_when_the_rubric_says_so():
    assert compare("equals", 1, Seen([1, 2], ["x", "y"]), "any")


def test_at_most_three_hints_and_none_twice():
    item = Item("x", "spec", "exists", hints=tuple(Hint(t) for t in ("a", "b", "a", "c", "d")))
    assert hints(Exercise("1", "", (item,)), (finding(State.WRONG),), State.WRONG) == ("a", "b", "c")


def test_an_expectation_reads_as_a_sentence():
    assert expectation(Item("x", "spec", "in", ["a", "b"], path=".spec.x")) == ".spec.x is one of a, b"


def test_html_and_text_say_the_same_and_markup_is_escaped():
    found = Finding("a < b", State.WRONG, "<x>", "&", "kubectl get")
    verdict = Verdict("97.1", "t", State.WRONG, (found,), ("h",))
    html = verdict._repr_html_()
    assert "a &lt; b" in html
    assert "&lt;x&gt;" in html
    assert verdict.headline() in html


# --- rubrics ----------------------------------------------------------------------


def broken(tmp_path, old, new):
    path = tmp_path / "97_broken.yaml"
    path.write_text(RUBRIC.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("operator: equals", "operator: equal", r"97_broken.yaml:12: exercises\.97\.1\.items\.0\.operator: 'equal'"),
        ("type: spec", "type: traffic", r"97_broken.yaml:7: .*no trial named None; this exercise has: none"),
        ("path: .data.colour", "path: .data[?(@.x)]", r"97_broken.yaml:11: .*path: the path .* cannot be read"),
        ("title: A colour", "titel: A colour", r"97_broken.yaml:5: exercises\.97\.1: .*titel"),
        ('lesson: "97"', "lesson: 97", r"97_broken.yaml:2: lesson: 97 is not of type 'string'"),
        (
            "resource: configmaps",
            "answer: value\n        resource: pods",
            r"looks at a resource, at the answer's value, or",
        ),
        ("lesson:", "lesson: {", "is not YAML"),
    ],
)
def test_a_mistake_in_a_rubric_is_named_by_file_line_and_field(tmp_path, old, new, message):
    with pytest.raises(RubricError, match=message):
        rubric.load(broken(tmp_path, old, new))


def test_every_rubric_of_the_kit_loads():
    for path in rubric.FOLDER.glob("*.yaml"):
        assert rubric.load(path).exercises


def test_an_unknown_exercise_lists_those_that_there_are(rubrics):
    with pytest.raises(LabError, match=r"97\.1, 97\.2"):
        Grader(None, "", "97", rubrics=rubrics).check("97.9")


def test_a_lesson_without_a_rubric_is_named(rubrics):
    with pytest.raises(LabError, match="lesson '42' has no rubric"):
        Grader(None, "", "42", rubrics=rubrics).check("42.1")
