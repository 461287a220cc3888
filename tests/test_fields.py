"""The algebra of sets of fields, shapes, and what merging and removing make of values: pure functions."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.glassbox.apiserver.fields import managers, sets, shapes, values
from labkit.glassbox.apiserver.fields.managers import View, Writer

POD, CONFIG_MAP = "io.k8s.api.core.v1.Pod", "io.k8s.api.core.v1.ConfigMap"
PATHS = st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']), min_size=1, max_size=3).map(tuple)


def fields(members):
    """Return the set with these paths."""
    found = {}
    for path in members:
        one = {}
        for element in reversed(path):
            one = {element: one}
        found = sets.union(found, one)
    return found


SETS = st.sets(PATHS, max_size=6)


@given(SETS, SETS)
def test_sets_of_fields_are_sets_of_paths(one, other):
    def members(found):
        return set(sets.paths(found))

    assert members(fields(one)) == one
    assert members(sets.union(fields(one), fields(other))) == one | other
    assert members(sets.intersection(fields(one), fields(other))) == one & other
    assert members(sets.difference(fields(one), fields(other))) == one - other
    beneath = {path for path in one if any(path[: len(each)] == each for each in other)}
    assert members(sets.without(fields(one), fields(other))) == one - beneath


@given(SETS)
def test_a_set_that_is_sent_back_is_the_same(members):
    assert sets.parse(fields(members)) == fields(members)


def test_the_keys_of_an_item_have_one_order():
    assert sets.parse({'k:{"protocol":"TCP", "port":80}': {}}) == {'k:{"port":80,"protocol":"TCP"}': {}}


def test_a_path_reads_as_in_error_texts():
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', "f:x", 'v:"a/b"', "i:0")
    assert sets.text(path) == '.spec[containerPort=80,protocol="TCP"].x[="a/b"][0]'


def test_items_are_told_apart_by_their_keys_defaults_included():
    ports = shapes.named(POD).field("spec").field("containers").element.field("ports")
    assert values.element_of(ports, {"containerPort": 80}) == 'k:{"containerPort":80,"protocol":"TCP"}'


def test_a_new_object_owns_its_leaves_and_what_go_would_not_have_written_of_an_empty_one():
    shape = shapes.named(POD)
    pod = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]},
    }
    port = {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    assert values.compare(shape, shapes.zero(shape), pod)[0] == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:name": {}, "f:ports": {".": {}, **port}}}},
    }


def test_a_schema_of_a_custom_resource_says_how_it_is_merged():
    item = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}
    parts = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]}
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    shape = shapes.shape_of({"type": "object", "properties": {"parts": parts, "free": free}})
    merged = values.merge(shape, {"parts": [{"id": "a", "n": 1}]}, {"parts": [{"id": "b"}, {"id": "a", "n": 2}]})
    assert merged == {"parts": [{"id": "b"}, {"id": "a", "n": 2}]}
    named = values.fields_of(shape, {"free": {"x": {"y": [1]}}, "parts": [{"id": "a"}]})
    assert named == {"f:free": {"f:x": {".": {}, "f:y": {}}}, "f:parts": {'k:{"id":"a"}': {".": {}, "f:id": {}}}}


def test_merging_follows_the_order_of_what_is_applied_and_keeps_the_rest_in_place():
    assert values.merged_order(["a", "x", "b", "c"], ["c", "b", "new"]) == ["a", "x", "c", "b", "new"]
    assert values.merged_order(["a", "x"], ["new", "a"]) == ["new", "a", "x"]


def test_items_of_the_same_name_stay_until_one_is_applied():
    env = shapes.named(POD).field("spec").field("containers").element.field("env")
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    assert values.merge(env, twice, [{"name": "B"}]) == [*twice, {"name": "B"}]
    assert values.merge(env, twice, [{"name": "A", "value": "3"}]) == [{"name": "A", "value": "3"}]


def test_what_does_not_fit_is_told_with_its_path():
    pod = {"spec": {"containers": [{"name": "c", "image": 1, "bogus": 1}], "hostNetwork": "yes"}}
    assert list(values.faults(shapes.named(POD), pod)) == [
        '.spec.containers[name="c"].image: expected string, got &value.valueUnstructured{Value:1}',
        '.spec.containers[name="c"].bogus: field not declared in schema',
        '.spec.hostNetwork: expected boolean, got &value.valueUnstructured{Value:"yes"}',
    ]


# -- managers


def views(version):
    return View(shapes.named(CONFIG_MAP)) if version == "v1" else None


def config_map(**data):
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": data}


def writer(name, time="2026-01-01T00:00:00Z", operation=managers.UPDATE, version="v1"):
    return Writer(name, version, time, operation)


def test_at_most_ten_writers_are_kept_and_the_oldest_become_one():
    entries, old = [], config_map(k="")
    for number in range(12):
        new = {**old, "data": {**old["data"], f"k{number}": "x"}}
        entries = managers.updated(old, new, entries, writer(f"w{number:02}", f"2026-01-01T00:00:{number:02}Z"), views)
        old = new
    assert [entry["manager"] for entry in entries] == ["ancient-changes", *(f"w{number:02}" for number in range(3, 12))]
    assert entries[0]["fieldsV1"] == {"f:data": {"f:k0": {}, "f:k1": {}, "f:k2": {}}}


def test_the_entries_of_a_version_that_is_served_no_more_go():
    gone = writer("gone", version="v0").entry({"f:data": {"f:a": {}}})
    entries = managers.updated(config_map(a="1"), config_map(a="1", b="2"), [gone], writer("me"), views)
    assert [entry["manager"] for entry in entries] == ["me"]


def test_what_an_applier_leaves_out_stays_while_somebody_else_manages_it():
    one, two = writer("one", operation=managers.APPLY), writer("two", operation=managers.APPLY)
    live, entries = managers.applied(config_map(), config_map(a="1", b="2"), [], one, views, force=False)
    live, entries = managers.applied(live, config_map(a="1"), entries, two, views, force=False)
    live, entries = managers.applied(live, config_map(c="3"), entries, one, views, force=False)
    assert live["data"] == {"a": "1", "c": "3"}
    assert [(entry["manager"], entry["fieldsV1"]) for entry in entries] == [
        ("one", {"f:data": {"f:c": {}}}),
        ("two", {"f:data": {"f:a": {}}}),
    ]


def test_entries_that_differ_in_their_time_alone_are_no_change():
    early, late = (writer("w", time).entry({"f:data": {}}) for time in ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"))
    assert not managers.differ([early], [late])
    assert managers.differ([early], [writer("v").entry({"f:data": {}})])
