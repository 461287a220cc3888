"""The matrix of objects × labels, and its text twin."""

import xml.etree.ElementTree as ElementTree

from labkit.draw.matrix import Row, matrix

ROWS = [
    Row("api-1", {"app": "api", "tier": "backend"}),
    Row("web-1", {"app": "web", "tier": "frontend"}, chosen=True),
    Row("bare", {}),
]

TWIN = """\
pods × labels (▸ picked by tier=frontend: 1 of 3)
         app       tier
         api  web  backend  frontend
  api-1  ●    ·    ●        ·
▸ web-1  ·    ●    ·        ●
  bare   ·    ·    ·        ·"""


def test_the_text_twin_says_what_the_picture_shows():
    assert str(matrix(ROWS, title="pods × labels", highlight="tier=frontend")) == TWIN


def test_a_notebook_gets_both():
    bundle = matrix(ROWS, title="pods × labels")._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}


def test_the_picture_is_valid_xml_with_a_title_and_a_description():
    root = ElementTree.fromstring(matrix(ROWS, title="a < b & c", highlight="x").svg)
    names = [child.tag.split("}")[1] for child in root]
    assert names[:2] == ["title", "desc"]
    assert root[0].text == "a < b & c"
    assert "web-1: app=web, tier=frontend" in root[1].text


def test_the_picture_marks_what_is_chosen_by_more_than_colour():
    svg = matrix(ROWS, title="t", highlight="tier=frontend").svg
    assert "▸ web-1" in svg
    assert "▸ api-1" not in svg


def test_dark_screens_have_colours_of_their_own():
    assert "prefers-color-scheme:dark" in matrix(ROWS, title="t").svg


def test_nothing_to_draw_is_said():
    assert str(matrix([], title="pods × labels")) == "pods × labels (no objects here)"


def test_no_text_leaves_the_picture():
    root = ElementTree.fromstring(matrix([Row("x" * 60, {"k" * 40: "v"})], title="t").svg)
    width = float(root.get("width"))
    texts = [e for e in root.iter() if e.tag.endswith("text")]
    assert all(float(e.get("x")) + len(e.text) * 7 <= width for e in texts if e.get("text-anchor") != "middle")
