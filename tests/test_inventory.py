"""clusters.yaml: names for clusters."""

import pytest

from labkit import inventory
from labkit.errors import LabError


def write(tmp_path, text):
    path = tmp_path / "clusters.yaml"
    path.write_text(text)
    return path


def test_a_name_stands_for_a_cluster(tmp_path):
    known = inventory.read(write(tmp_path, "clusters: {campus: 'kubeconfig:admin', here: glassbox}"))
    assert inventory.resolve(["here", "campus"], known) == {"here": "glassbox", "campus": "kubeconfig:admin"}


def test_what_the_file_does_not_name_is_a_cluster_as_it_is_written():
    assert inventory.resolve(["glassbox:three"], {"here": "glassbox"}) == {"glassbox:three": "glassbox:three"}


def test_without_the_file_there_are_no_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inventory.read() == {}


def test_a_name_that_is_neither_tells_the_names_there_are():
    with pytest.raises(LabError, match=r"clusters\.yaml names here, campus"):
        inventory.resolve(["campsu"], {"here": "glassbox", "campus": "kubeconfig"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clusters: {a: 7}", r"clusters\.a is no cluster"),
        ("clusters: {a: 'docker:x'}", r"clusters\.a: no kind of cluster is named 'docker:x'"),
        ("cluster: {a: glassbox}", "names no clusters"),
        ("clusters: [glassbox]", "names no clusters"),
        ("clusters: {a: glassbox}\nmore: 1", "names no clusters"),
        ("a: b: c", "cannot be read"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_its_entry(tmp_path, text, told):
    with pytest.raises(LabError, match=told):
        inventory.read(write(tmp_path, text))


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(LabError, match="No such file"):
        inventory.read(tmp_path / "none.yaml")
