"""Controller revisions: found again by what they hold, renumbered on the way back, another name on a collision."""

import pytest

from labkit.glassbox.controllers import history
from tests.components import client, workload


@pytest.fixture
def owner(api_server, namespace):
    return client(api_server).create("statefulsets", workload("StatefulSet", "web", namespace, 0))


@pytest.fixture
def api(api_server):
    return client(api_server)


def with_image(owner, image):
    [container] = owner["spec"]["template"]["spec"]["containers"]
    template = {**owner["spec"]["template"], "spec": {"containers": [{**container, "image": image}]}}
    return {**owner, "spec": {**owner["spec"], "template": template}}


def test_a_revision_holds_the_template_as_a_patch_with_its_keys_in_order(owner):
    data = history.data_of(owner)
    assert list(data["spec"]["template"]) == ["$patch", "metadata", "spec"]
    assert history.template_of({"data": data}) == owner["spec"]["template"]


def test_the_same_template_is_the_same_revision_and_an_old_one_gets_the_next_number(api, owner):
    first, collisions = history.current(api, owner, [], "hash")
    assert (first["revision"], collisions) == (1, 0)
    assert first["metadata"]["name"] == f"web-{first['metadata']['labels']['hash']}"
    assert history.current(api, owner, [first], "hash") == (first, 0)
    second, _ = history.current(api, with_image(owner, "other:1"), [first], "hash")
    assert second["revision"] == 2
    again, _ = history.current(api, owner, [first, second], "hash")
    assert (again["metadata"]["name"], again["revision"]) == (first["metadata"]["name"], 3)


def test_a_copy_that_is_behind_finds_the_revision_that_is_there(api, owner):
    made, _ = history.current(api, owner, [], "hash")
    assert history.current(api, owner, [], "hash") == (made, 0)


def test_a_name_that_another_has_counts_as_a_collision(api, owner):
    made, _ = history.current(api, owner, [], "hash")
    other = {**owner, "metadata": {**owner["metadata"], "uid": "another"}}
    renamed, collisions = history.current(api, other, [], "hash")
    assert collisions == 1
    assert renamed["metadata"]["name"] != made["metadata"]["name"]


@pytest.mark.parametrize(
    ("live", "limit", "gone"),
    [(set(), 10, []), (set(), 1, ["a", "b"]), ({"a"}, 1, ["b"]), ({"a", "b", "c"}, 0, [])],
)
def test_the_oldest_go_first_and_what_is_in_use_neither_counts_nor_goes(live, limit, gone):
    revisions = [{"metadata": {"name": name}} for name in "abc"]
    assert [each["metadata"]["name"] for each in history.beyond_limit(revisions, live, limit)] == gone
