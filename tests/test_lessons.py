"""What holds for every lesson: the notebook's form, and manifests that the API takes, or refuses where they say so."""

import re
import statistics

import nbformat
import pytest
import yaml

from labkit import rubric
from labkit.glassbox.kubelet.images import Images
from tests.lessons import NOTEBOOKS, ROOT, kubectl, manifests

MANIFESTS = [p for p in sorted((ROOT / "manifests").rglob("*.yaml")) if not p.read_text().startswith("#cloud-config")]

# The course's words, and how the Spanish slides say them.
WORDS = {
    "cluster": "clúster", "node": "nodo", "control plane": "plano de control", "pod": "pod",
    "replica set": "conjunto de réplicas", "label": "etiqueta", "annotation": "anotación",
    "selector": "selector de etiquetas", "service": "servicio", "volume": "volumen", "secret": "secreto",
    "namespace": "espacio de nombres", "scheduler": "planificador", "load test": "prueba de carga",
    "milestone": "hito", "pets and cattle": "mascotas y ganado", "load balancing": "balanceo de carga",
    "north–south traffic": "tráfico norte–sur", "east–west traffic": "tráfico este–oeste",
}  # fmt: skip

# Where an image of the manifests can be had by any cluster.
REGISTRIES = {
    "busybox:1.36": "https://hub.docker.com/_/busybox",
    "python:3": "https://hub.docker.com/_/python",
    "registry.k8s.io/pause:3.10": "https://registry.k8s.io",
}

# What the API says to each manifest of a folder broken/, so that it fails for the reason that its comment tells.
REFUSALS = {
    "02_pods_replicas/broken/set-in-controller.yaml": "ReplicationControllerSpec.spec.selector of type",
    "03_labels/broken/label-value.yaml": 'metadata.labels: Invalid value: "ana@uni.example"',
    "03_labels/broken/name.yaml": 'metadata.name: Invalid value: "Shop_Web"',
    "04_services_dns/broken/name.yaml": 'metadata.name: Invalid value: "web.shop"',
    "05_volumes_secrets/broken/modes.yaml": "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other",
}


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def notebook(path):
    return nbformat.read(path, as_version=4)


def prose(notebook):
    return [c for c in notebook.cells if c.cell_type == "markdown"]


def code(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def tagged(notebook, tag):
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def lines_of(cell):
    return [line for line in cell.source.splitlines() if line.strip() and not line.startswith("###")]


def source_of(notebook):
    return "\n".join(c.source for c in code(notebook))


def longest_run(cells, kind):
    best = run = 0
    for cell in cells:
        run = run + 1 if cell.cell_type == kind else 0
        best = max(best, run)
    return best


def words_of(cell):
    """Return the words of a text cell, without its tables and its pictures in characters."""
    text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
    return [word for line in text.splitlines() if not line.startswith("|") for word in line.split()]


# --- the notebook's form ----------------------------------------------------------


def test_the_notebook_is_valid_and_short_enough_for_a_lesson(notebook):
    nbformat.validate(notebook)
    assert 40 <= len(notebook.cells) <= 55


def test_half_of_its_cells_and_a_little_more_are_prose(notebook):
    assert 0.50 <= len(prose(notebook)) / len(notebook.cells) <= 0.60


def test_code_cells_are_short(notebook):
    lengths = [len(lines_of(c)) for c in code(notebook)]
    assert statistics.median(lengths) <= 3
    assert max(lengths) <= 10


def test_no_line_of_code_is_too_wide_for_the_page(notebook):
    assert [line for c in code(notebook) for line in c.source.splitlines() if len(line) > 100] == []


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


def test_it_asks_for_predictions_shows_pictures_and_tells_what_has_changed_since_the_slides(notebook):
    source = source_of(notebook)
    assert len(set(re.findall(r"lab\.predict\(\"([^\"]+)", source))) >= 3
    assert source.count("lab.draw.") >= 3
    assert sum("**Since the slides.**" in c.source for c in prose(notebook)) >= 2


def test_it_checks_each_exercise_of_its_rubric_once_in_order(notebook, path):
    checked = re.findall(r"lab\.check\(\"([^\"]+)", source_of(notebook))
    assert 3 <= len(checked) <= 5
    assert checked == sorted(rubric.load(rubric.find(path.stem[:2])).exercises)


def test_its_ids_are_stable_and_its_two_special_cells_are_in_place(notebook, path):
    prefix = "-".join(path.stem.split("_")[:2])
    assert all(re.fullmatch(rf"{prefix}-[a-z0-9-]+", c.id) for c in notebook.cells)
    assert tagged(notebook, "parameters") == [code(notebook)[0]]
    assert tagged(notebook, "cleanup") == [notebook.cells[-1]]


def test_nbgrader_finds_each_solution_and_each_check_by_its_own_id(notebook, path):
    marked = [c for c in notebook.cells if "nbgrader" in c.metadata]
    solutions = [c for c in marked if c.metadata.nbgrader.solution]
    checks = [c for c in marked if c.metadata.nbgrader.grade]
    assert len(solutions) == len(checks) == len(rubric.load(rubric.find(path.stem[:2])).exercises)
    assert all("### BEGIN SOLUTION" in c.source and "### END SOLUTION" in c.source for c in solutions)
    assert all(c.metadata.nbgrader.points > 0 and c.metadata.nbgrader.locked for c in checks)
    assert all(c.metadata.nbgrader.grade_id == c.id and c.metadata.nbgrader.schema_version == 3 for c in marked)


def test_its_last_text_is_a_glossary_in_the_slides_own_words(notebook):
    glossary = prose(notebook)[-1]
    assert glossary.id.endswith("-glossary")
    pairs = dict(pairs_of(glossary))
    assert len(pairs) >= 6
    assert {e: s for e, s in pairs.items() if s != WORDS.get(e, s)} == {}
    assert WORDS.keys() & pairs.keys()


def pairs_of(glossary):
    """Yield the English and Spanish terms of a glossary's table; "node, cluster" beside "nodo, clúster" are two."""
    for line in glossary.source.splitlines()[4:]:
        cells = [cell.strip() for cell in line.replace("*", "").strip().strip("|").split("|")]
        for english, spanish in zip(cells[::2], cells[1::2], strict=True):
            both = english.split(", "), spanish.split(", ")
            yield from zip(*both, strict=True) if len(both[0]) == len(both[1]) else [(english, spanish)]


def test_the_table_of_all_figures(capsys):
    rows = [figures(path.stem, nbformat.read(path, as_version=4)) for path in NOTEBOOKS]
    with capsys.disabled():
        print("\n" + "\n".join("".join(f"{cell:>13}" for cell in row) for row in [COLUMNS, WANTED, *rows]))
    assert len(rows) == len(NOTEBOOKS) >= 5


COLUMNS = [
    "lesson",
    "cells",
    "prose %",
    "code median",
    "code max",
    "in a row",
    "text median",
    "predictions",
    "exercises",
]
WANTED = ["wanted", "40-55", "50-60", "<= 3", "<= 10", "<= 2", "25-45", ">= 3", "3-5"]


def figures(name, nb):
    lengths, source = [len(lines_of(c)) for c in code(nb)], source_of(nb)
    return [name[:12], len(nb.cells), round(100 * len(prose(nb)) / len(nb.cells)), statistics.median(lengths),
            max(lengths), longest_run(nb.cells, "code"), statistics.median(len(words_of(c)) for c in prose(nb)),
            len(set(re.findall(r"lab\.predict\(\"([^\"]+)", source))), source.count("lab.check(")]  # fmt: skip


def test_every_manifest_it_names_exists(notebook):
    names = re.findall(r"\.\./manifests/([^\s\"]+)", source_of(notebook))
    assert names
    assert [n for n in names if not any((ROOT / "manifests").glob(n))] == []


# --- its manifests ----------------------------------------------------------


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_manifest_is_one_idea_of_about_twenty_lines_said_in_its_first_line(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 25
    assert len(list(yaml.safe_load_all(path.read_text()))) == 1


@pytest.mark.cluster
@pytest.mark.parametrize("lesson", [path.stem[:2] for path in NOTEBOOKS])
def test_the_api_takes_every_good_manifest_as_it_stands(lab, lesson):
    # An encryption configuration is for the API server itself, a quota for a namespace of its own: see their lessons.
    apart = ("broken", "encryption", "quota")
    good = [p for p in MANIFESTS if p.is_relative_to(manifests(lesson)) and p.parent.name not in apart]
    said = {path.name: kubectl(f"apply --validate=strict -f {path}") for path in good}
    assert {name: text for name, text in said.items() if not re.search(r"(created|configured|unchanged)$", text)} == {}


@pytest.mark.cluster
@pytest.mark.parametrize("lesson", [path.stem[:2] for path in NOTEBOOKS])
def test_the_api_refuses_every_broken_one_for_its_reason(lab, lesson):
    for path in sorted((manifests(lesson) / "broken").glob("*.yaml")):
        assert path.read_text().startswith("# Refused: ")
        assert REFUSALS[str(path.relative_to(ROOT / "manifests"))] in kubectl(f"apply -f {path}")


def test_every_image_is_on_a_public_registry_and_known_to_the_embedded_cluster():
    named = {image for path in MANIFESTS for image in re.findall(r"image: *(\S+)", path.read_text())}
    assert named - REGISTRIES.keys() == set()
    assert [image for image in named if not Images().resolve(image)] == []
