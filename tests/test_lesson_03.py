"""Lesson 03: its form, its manifests, and its checks, tried with answers right and wrong on a running cluster."""

import os
import re
import statistics
import subprocess
import uuid
from pathlib import Path

import nbformat
import pytest
import yaml

from labkit import Lab
from labkit.checks import State

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "03_labels.ipynb"
MANIFESTS = ROOT / "manifests" / "03_labels"
GOOD = sorted(p for p in MANIFESTS.rglob("*.yaml") if p.parent.name != "broken")
BROKEN = sorted((MANIFESTS / "broken").glob("*.yaml"))


# --- the notebook's form ----------------------------------------------------------


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def prose(notebook):
    return [c for c in notebook.cells if c.cell_type == "markdown"]


def code(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def tagged(notebook, tag):
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def lines_of(cell):
    return [line for line in cell.source.splitlines() if line.strip() and not line.startswith("###")]


def longest_run(cells, kind):
    best = run = 0
    for cell in cells:
        run = run + 1 if cell.cell_type == kind else 0
        best = max(best, run)
    return best


def test_the_notebook_is_valid_and_short_enough_for_a_lesson(notebook):
    nbformat.validate(notebook)
    assert 40 <= len(notebook.cells) <= 55


def test_half_of_its_cells_and_a_little_more_are_prose(notebook):
    assert 0.50 <= len(prose(notebook)) / len(notebook.cells) <= 0.60


def test_code_cells_are_short(notebook):
    lengths = [len(lines_of(c)) for c in code(notebook)]
    assert statistics.median(lengths) <= 3
    assert max(lengths) <= 10


def words_of(cell):
    """Return the words of a text cell, without its tables and its pictures in characters."""
    text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
    return [word for line in text.splitlines() if not line.startswith("|") for word in line.split()]


def test_text_cells_are_short_too(notebook):
    lengths = [len(words_of(c)) for c in prose(notebook)]
    assert 25 <= statistics.median(lengths) <= 45
    assert max(lengths) <= 70


def test_no_more_than_two_code_cells_in_a_row(notebook):
    assert longest_run(notebook.cells, "code") <= 2


def test_most_code_cells_keep_their_output_and_none_ended_in_an_unexpected_error(notebook):
    cells = code(notebook)
    assert sum(bool(c.outputs) for c in cells) / len(cells) > 0.8
    errors = [c for c in cells if any(o.output_type == "error" for o in c.outputs)]
    assert [c.id for c in errors] == [c.id for c in tagged(notebook, "raises-exception")]


def test_it_asks_for_predictions_has_exercises_and_pictures(notebook):
    source = "\n".join(c.source for c in code(notebook))
    assert len(set(re.findall(r"lab\.predict\(\"([^\"]+)", source))) >= 3
    assert re.findall(r"lab\.check\(\"([^\"]+)", source) == ["03.1", "03.2", "03.3"]
    assert source.count("lab.draw.labels(") >= 3


def test_its_ids_are_stable_and_its_two_special_cells_are_in_place(notebook):
    assert all(re.fullmatch(r"03-labels-[a-z0-9-]+", c.id) for c in notebook.cells)
    assert tagged(notebook, "parameters") == [code(notebook)[0]]
    assert tagged(notebook, "cleanup") == [notebook.cells[-1]]


def test_nbgrader_finds_each_solution_and_each_check_by_its_own_id(notebook):
    marked = [c for c in notebook.cells if "nbgrader" in c.metadata]
    solutions = [c for c in marked if c.metadata.nbgrader.solution]
    checks = [c for c in marked if c.metadata.nbgrader.grade]
    assert [len(solutions), len(checks)] == [3, 3]
    assert all("### BEGIN SOLUTION" in c.source and "### END SOLUTION" in c.source for c in solutions)
    assert all(c.metadata.nbgrader.points > 0 and c.metadata.nbgrader.locked for c in checks)
    assert all(c.metadata.nbgrader.grade_id == c.id and c.metadata.nbgrader.schema_version == 3 for c in marked)


def test_every_manifest_it_names_exists(notebook):
    names = re.findall(r"\.\./manifests/(\S+)", "\n".join(c.source for c in code(notebook)))
    assert names
    assert [n for n in names if not (ROOT / "manifests" / n).exists()] == []


# --- a namespace on a running cluster ----------------------------------------------------------


@pytest.fixture
def lab(cluster, tmp_path, monkeypatch):
    """A lesson's namespace of its own, with its second one; kubectl() speaks to it."""
    for name in ("KUBECONFIG", "PATH", "LABKIT_KUBECTL"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.chdir(MANIFESTS)
    lab = Lab(cluster=str(cluster.kubeconfig), namespace=f"test-03-{uuid.uuid4().hex[:8]}", lesson="03")
    yield lab
    lab.cleanup()


@pytest.fixture
def shop(lab):
    """The lesson's six pods, and an empty second namespace."""
    kubectl("apply -f shop")
    lab.make_namespace("other")
    return lab


def kubectl(command):
    """Run a kubectl command as the lesson's cells do, through a shell, and return what it says."""
    run = subprocess.run(f"kubectl {command}", shell=True, capture_output=True, text=True, timeout=60)
    return run.stdout + run.stderr


def verdict(lab, number):
    return lab.check(number)


# --- manifests ----------------------------------------------------------


@pytest.mark.parametrize("path", GOOD + BROKEN, ids=lambda p: str(p.relative_to(MANIFESTS)))
def test_a_manifest_is_one_idea_of_about_twenty_lines_said_in_its_first_line(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 25
    assert len(list(yaml.safe_load_all(path.read_text()))) == 1


@pytest.mark.cluster
@pytest.mark.parametrize("path", GOOD, ids=lambda p: str(p.relative_to(MANIFESTS)))
def test_the_api_accepts_a_good_manifest(lab, path):
    assert re.search(r"(created|configured)", kubectl(f"apply --validate=strict -f {path}"))


@pytest.mark.cluster
def test_the_api_refuses_the_broken_label_value(lab):
    said = kubectl("apply -f broken/label-value.yaml")
    assert said.startswith(
        'The Pod "visitor" is invalid: metadata.labels: Invalid value: "ana@uni.example": a valid label'
    )
    assert kubectl("get pods").startswith("No resources found")


@pytest.mark.cluster
def test_the_api_refuses_the_broken_name(lab):
    said = kubectl("apply -f broken/name.yaml")
    assert said.startswith(
        'The Pod "Shop_Web" is invalid: metadata.name: Invalid value: "Shop_Web": a lowercase RFC 1123'
    )


# --- exercise 03.1: the backup's pods ----------------------------------------------------------


@pytest.mark.cluster
class TestBackup:
    def test_the_starter_is_not_tried(self, shop):
        assert verdict(shop, "03.1").state is State.NOT_TRIED

    def test_the_reference_is_right(self, shop):
        kubectl("label pods -l 'environment,tier!=frontend' backup=tonight")
        assert verdict(shop, "03.1").state is State.RIGHT

    def test_labels_put_on_one_by_one_are_right_too(self, shop):
        kubectl("label pod shop-db backup=tonight")
        kubectl("""patch pod shop-cart -p '{"metadata":{"labels":{"backup":"tonight"}}}'""")
        assert verdict(shop, "03.1").state is State.RIGHT

    def test_forgetting_that_absent_is_unequal_is_wrong_and_the_hint_asks_about_scratch(self, shop):
        kubectl("label pods -l 'tier!=frontend' backup=tonight")
        found = verdict(shop, "03.1")
        assert found.state is State.WRONG
        assert found.findings[0].found == "3: scratch, shop-cart, shop-db"
        assert [hint.partition(".")[0] for hint in found.hints] == ["scratch got the label"]

    def test_backends_only_is_wrong_and_the_hint_says_that_one_is_missing(self, shop):
        kubectl("label pods -l tier=backend backup=tonight")
        found = verdict(shop, "03.1")
        assert (found.state, found.findings[0].found) == (State.WRONG, "1: shop-cart")
        assert found.hints[0].startswith("One pod is missing.")

    def test_another_value_is_wrong_and_the_hint_names_overwrite(self, shop):
        kubectl("label pods -l 'environment,tier!=frontend' backup=yes")
        found = verdict(shop, "03.1")
        assert found.state is State.WRONG
        assert any("--overwrite" in hint for hint in found.hints)


# --- exercise 03.2: a pod in quarantine ----------------------------------------------------------


@pytest.fixture
def api(lab):
    """The Deployment of the exercise, with its two pods ready."""
    kubectl("apply -f api.yaml")
    lab.wait("pods app=api", "2 Ready")
    return lab


def one_pod():
    return kubectl("get pods -l app=api -o name").split()[0]


def settle(lab):
    lab.wait("pods app=api,quarantine!=yes", "2 Ready")
    lab.wait("deployment/api", ".status.availableReplicas=2")


@pytest.mark.cluster
class TestQuarantine:
    def test_the_starter_is_not_tried(self, lab):
        assert verdict(lab, "03.2").state is State.NOT_TRIED

    def test_the_reference_is_right(self, api):
        kubectl(f"label {one_pod()} app- quarantine=yes")
        settle(api)
        assert verdict(api, "03.2").state is State.RIGHT

    def test_taking_away_the_other_label_of_the_selector_is_right_too(self, api):
        kubectl(f"label {one_pod()} pod-template-hash- quarantine=yes")
        settle(api)
        assert verdict(api, "03.2").state is State.RIGHT

    def test_a_pod_that_only_gained_a_label_is_wrong_and_the_hint_points_to_the_selector(self, api):
        kubectl(f"label {one_pod()} quarantine=yes")
        found = verdict(api, "03.2")
        assert found.state is State.WRONG
        assert [f.name for f in found.findings if f.state is State.WRONG] == ["nobody owns it"]
        assert "kubectl get replicasets -o wide" in found.hints[0]

    def test_a_pod_made_by_hand_is_wrong_and_the_hint_says_so(self, api):
        kubectl("run lookalike --image=registry.k8s.io/pause:3.10 --labels=quarantine=yes")
        api.wait("pod/lookalike", "Running")
        found = verdict(api, "03.2")
        assert found.state is State.WRONG
        assert found.hints[0].startswith("This pod was not made by the Deployment.")


# --- exercise 03.3: a database for tests ----------------------------------------------------------


@pytest.mark.cluster
class TestDatabaseForTests:
    def test_the_starter_is_not_tried(self, shop):
        assert verdict(shop, "03.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, shop):
        other = f"{shop.namespace}-other"
        kubectl(f"apply -n {other} -f shop/shop-db.yaml")
        kubectl(f"label -n {other} pod shop-db environment=test --overwrite")
        shop.wait("pod/shop-db", "Running", namespace=other)
        assert verdict(shop, "03.3").state is State.RIGHT

    def test_kubectl_run_with_labels_is_right_too(self, shop):
        other = f"{shop.namespace}-other"
        labels = "app=shop,tier=storage,environment=test"
        kubectl(f"run shop-db -n {other} --image=registry.k8s.io/pause:3.10 --labels={labels}")
        shop.wait("pod/shop-db", "Running", namespace=other)
        assert verdict(shop, "03.3").state is State.RIGHT

    def test_the_unchanged_copy_is_wrong_and_the_hint_says_where_it_claims_to_be(self, shop):
        other = f"{shop.namespace}-other"
        kubectl(f"apply -n {other} -f shop/shop-db.yaml")
        shop.wait("pod/shop-db", "Running", namespace=other)
        found = verdict(shop, "03.3")
        assert found.state is State.WRONG
        assert found.hints[0].startswith("This one says that it is in production.")

    def test_working_in_the_wrong_namespace_is_wrong_and_the_hint_names_n(self, shop):
        kubectl("label pod shop-db environment=test --overwrite")
        found = verdict(shop, "03.3")
        assert found.state is State.WRONG
        assert any(hint.startswith("The shop-db of your own namespace has changed") for hint in found.hints)
