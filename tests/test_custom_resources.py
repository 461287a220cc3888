"""Kinds that a user adds: their schemas, versions, subresources, columns; they come and go while the server runs."""

import signal
import uuid

import pytest

from labkit.glassbox import objects
from labkit.glassbox.apiserver.custom_resources import accepted
from labkit.glassbox.resources import json_path, structural
from labkit.glassbox.resources.custom_resource import cell, deprecation, priority
from labkit.glassbox.resources.validation import formats, schema_values
from tests.components import client, controllers
from tests.embedded import eventually

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def an_object(**properties):
    return {"type": "object", "properties": properties}


# -- what a schema makes of an object


def shaped(value, schema):
    structural.fill(value, schema)
    return value, structural.prune(value, schema)


def test_a_default_is_filled_in_where_its_object_is_there():
    schema = an_object(spec=an_object(color={**TEXT, "default": "red"}), other=an_object(n={**NUMBER, "default": 1}))
    assert shaped({"spec": {}}, schema) == ({"spec": {"color": "red"}}, [])


def test_a_null_that_may_not_be_counts_as_absent():
    schema = an_object(a={**TEXT, "default": "x"}, b=TEXT, c={**TEXT, "nullable": True})
    assert shaped({"a": None, "b": None, "c": None}, schema)[0] == {"a": "x", "c": None}


def test_what_is_not_specified_is_dropped_and_told_by_its_path():
    schema = an_object(
        list={"type": "array", "items": an_object(k=TEXT)}, any={"x-kubernetes-preserve-unknown-fields": True}
    )
    given = {"kind": "W", "metadata": {}, "list": [{"k": "a", "z": 1}], "any": {"deep": [1]}, "bogus": 2}
    kept, dropped = shaped(given, schema)
    assert kept == {"kind": "W", "metadata": {}, "list": [{"k": "a"}], "any": {"deep": [1]}}
    assert sorted(dropped) == ["bogus", "list[0].z"]


def test_an_embedded_resource_keeps_what_every_resource_has():
    schema = an_object(pod={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": TEXT}})
    assert shaped({"pod": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}, "zzz": 1}}, schema)[1] == [
        "pod.zzz"
    ]


@pytest.mark.parametrize(
    ("pod", "faults"),
    [
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "A_", "generateName": "a-"}}, []),
        ({}, ["pod.apiVersion: Required value", "pod.kind: Required value"]),
        ({"apiVersion": "a/b/c", "kind": ""}, [
            'pod.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
            'pod.kind: Invalid value: "": must not be empty']),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b", "finalizers": ["x y"]}}, [
            'pod.metadata.name: Invalid value: "a/b": may not contain \'/\'',
            'pod.metadata.finalizers: Invalid value: "x y": name part must consist of alphanumeric characters']),
    ],
)  # fmt: skip
def test_an_embedded_resource_says_what_it_is_and_has_metadata_as_others(pod, faults):
    schema = an_object(pod={"type": "object", "x-kubernetes-embedded-resource": True})
    found = [f"{each.field}: {each.message}" for each in schema_values.check_embedded({"pod": pod}, schema)]
    assert [each[: len(fault)] for each, fault in zip(found, faults, strict=True)] == faults


def told(value, schema, old=schema_values.NOTHING):
    return [f"{each.field}: {each.message}" for each in schema_values.check(value, schema, "", old)]


@pytest.mark.parametrize(
    ("value", "schema", "fault"),
    [
        ("x", NUMBER, 'a: Invalid value: "string": a in body must be of type integer: "string"'),
        (
            3,
            {"type": "integer", "maximum": 3, "exclusiveMaximum": True},
            "a: Invalid value: 3: a in body should be less than 3",
        ),
        (5, {"type": "integer", "multipleOf": 2}, "a: Invalid value: 5: a in body should be a multiple of 2"),
        ("ab", {"type": "string", "minLength": 3}, 'a: Invalid value: "ab": a in body should be at least 3 chars long'),
        ("a\n", {"type": "string", "pattern": "^a$"}, "a: Invalid value: \"a\\n\": a in body should match '^a$'"),
        (
            "b",
            {"type": "string", "pattern": "("},
            'a: Invalid value: "b": a in body should match \'(, but pattern is invalid: error parsing regexp: missing '
            "closing ): `(`'",
        ),
        (
            [1],
            {"type": "array", "items": TEXT},
            'a[0]: Invalid value: "integer": a[0] in body must be of type string: "integer"',
        ),
        ([], {"type": "array", "minItems": 1}, "a: Invalid value: 0: a in body should have at least 1 items"),
        (True, {"enum": [1, "x"]}, 'a: Unsupported value: true: supported values: "1", "x"'),
        (
            "1.2.3",
            {"type": "string", "format": "ipv4"},
            'a: Invalid value: "1.2.3": a in body must be of type ipv4: "1.2.3"',
        ),
        (
            1,
            {"anyOf": [{"minimum": 2}, {"minimum": 3}]},
            '<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)',
        ),
        (1, {"not": {"minimum": 1}}, '<nil>: Invalid value: "": "a" must not validate the schema (not)'),
    ],
)
def test_a_value_is_refused_in_upstream_s_words(value, schema, fault):
    assert told({"a": value}, an_object(a=schema))[0] == fault


def test_a_fault_that_was_there_before_is_let_alone():
    schema = an_object(a={"type": "integer", "maximum": 3}, b={"type": "integer", "maximum": 3})
    assert told({"a": 9, "b": 9}, schema, {"a": 9, "b": 1}) == [
        "b: Invalid value: 9: b in body should be less than or equal to 3"
    ]


def test_an_item_of_a_map_is_compared_with_the_one_of_the_same_key():
    items = {**an_object(k=TEXT, n={"type": "integer", "maximum": 1})}
    schema = {"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    old = [{"k": "a", "n": 5}]
    assert told([{"k": "b", "n": 1}, {"k": "a", "n": 5}], schema, old) == []
    assert len(told([{"k": "b", "n": 5}, {"k": "a", "n": 5}], schema, old)) == 1


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(", "missing closing ): `(`"),
        ("[a", "missing closing ]: `[a`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a{2000}", "invalid repeat count: `{2000}`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        ("[z-a]", "invalid character class range: `z-a`"),
    ],
)
def test_a_pattern_that_go_does_not_read_is_refused_in_its_words(pattern, fault):
    with pytest.raises(formats.BadPattern) as refused:
        formats.pattern(pattern)
    assert str(refused.value) == f"error parsing regexp: {fault}"


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        (r"^\p{Lu}[[:digit:]]+$", "Ä12", True),
        (r"^\pL+$", "a1", False),
        ("^a$", "a\n", False),
        (r"^\d$", "٣", False),
        ("(a+)+$", "a" * 50 + "b", False),  # an engine that goes back would not end
    ],
)
def test_patterns_are_go_s(pattern, text, is_found):
    assert bool(formats.pattern(pattern).search(text)) == is_found


# -- columns


CONDITIONS = {
    "labels": {"app.kubernetes.io/name": "web"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False", "n": 5}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".status.conditions[*].type", ["Ready", "Other"]),
        ('.status.conditions[?(@.type=="Other")].status', ["False"]),
        (".status['conditions'][-1].type", ["Other"]),
        (".status.conditions[-1:].type", ["Other"]),
        (".status.conditions[0:1].type", ["Ready"]),
        (".status.conditions[0:3].type", []),  # beyond its end
        (".status.conditions[?(@.n>4)].type", ["Other"]),
        (".status.conditions[?(@.n)].type", ["Other"]),
        (".status..type", ["Ready", "Other"]),
        (r".labels.app\.kubernetes\.io/name", ["web"]),
        (r".labels['app\.kubernetes\.io/name']", ["web"]),
        (".labels['app.kubernetes.io/name']", []),
        (".", [CONDITIONS]),
    ],
)
def test_a_column_finds_what_lies_at_its_path(path, found):
    assert json_path.find(path, CONDITIONS) == found


def test_a_path_that_is_not_served_is_refused():
    with pytest.raises(json_path.BadPath, match="unrecognized part"):
        json_path.parse(".a[0,1]")


@pytest.mark.parametrize(
    ("found", "kind", "shown"),
    [
        ([3.0], "integer", 3),
        (["3"], "integer", None),
        ([True], "string", "true"),
        ([{"a": 1}], "string", '{"a":1}'),
        (["1970-01-01T00:00:00Z"], "date", "60s"),
        (["yesterday"], "date", None),
    ],
)
def test_a_cell_shows_what_fits_its_type(found, kind, shown):
    assert cell(found, kind, 60.0) == shown


# -- versions and names


def test_clients_prefer_stable_versions_and_then_the_newer():
    given = ["v1beta1", "foo", "v2", "v10", "v11alpha2", "v1"]
    assert sorted(given, key=priority) == ["v10", "v2", "v1", "v1beta1", "v11alpha2", "foo"]


def test_a_deprecated_version_names_a_better_one():
    v1, old = {"name": "v1", "served": True}, {"name": "v1beta1", "served": True, "deprecated": True}
    spec = {"group": "g.example.com", "names": {"kind": "W"}, "versions": [v1, old]}
    assert deprecation(spec, old) == "g.example.com/v1beta1 W is deprecated; use g.example.com/v1 W"


def test_a_name_that_another_has_is_not_accepted():
    crd = {"spec": {"group": "g.example.com", "names": {"plural": "ws", "kind": "W"}}, "status": {}}
    status = accepted(crd, {"ws"}, 0.0)
    assert [(each["type"], each["status"], each["reason"], each["message"]) for each in status["conditions"]] == [
        ("NamesAccepted", "False", "PluralConflict", '"ws" is already in use'),
        ("Established", "False", "NotAccepted", "not all names are accepted"),
    ]
    assert status["acceptedNames"] == {"kind": "W"}


# -- a running server


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definition(kind, *versions, scope="Namespaced", **names):
    plural, group = f"{kind.lower()}s", "test.example.com"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "kind": kind, **names},
            "versions": list(versions) or [version()],
        },
    }


def version(name="v1", storage=True, schema=None, **more):
    schema = schema or an_object(spec=an_object(size={**NUMBER, "default": 1}), status=an_object(phase=TEXT))
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}


def define(server, *versions, **options):
    """Define a kind of its own; return its name and the path of its objects."""
    kind = f"W{uuid.uuid4().hex[:8]}"
    crd = definition(kind, *versions, **options)
    code, made = server.request("POST", CRDS, crd)
    assert code == 201, made
    eventually(lambda: established(server, crd))
    return crd, f"/apis/test.example.com/v1/namespaces/default/{crd['spec']['names']['plural']}"


def established(server, crd):
    _, found = server.request("GET", f"{CRDS}/{crd['metadata']['name']}")
    return objects.is_true(found, "Established")


def widget(crd, name="w", api_version="v1", **fields):
    kind = crd["spec"]["names"]["kind"]
    return {"apiVersion": f"test.example.com/{api_version}", "kind": kind, "metadata": {"name": name}, **fields}


def test_custom_resources_survive_the_server(own_api_server):
    crd, path = define(own_api_server)
    own_api_server.request("POST", path, widget(crd, spec={}))
    own_api_server.stop(signal.SIGKILL)
    own_api_server.start()
    assert own_api_server.request("GET", f"{path}/w")[1]["spec"] == {"size": 1}


def test_an_object_is_read_through_today_s_schema(api_server):
    crd, path = define(api_server)
    api_server.request("POST", path, widget(crd, spec={"size": 3}))
    newer = an_object(spec=an_object(color={**TEXT, "default": "red"}))
    change = {"spec": {"versions": [version(schema=newer)]}}
    api_server.request(
        "PATCH", f"{CRDS}/{crd['metadata']['name']}", change, content_type="application/merge-patch+json"
    )
    assert api_server.request("GET", f"{path}/w")[1]["spec"] == {"color": "red"}
    assert api_server.request("GET", path)[1]["items"][0]["spec"] == {"color": "red"}


def test_a_new_storage_version_serves_what_the_old_one_stored(api_server):
    crd, path = define(api_server)
    api_server.request("POST", path, widget(crd, spec={"size": 3}))
    change = {"spec": {"versions": [version(storage=False), version("v2")]}}
    _, changed = api_server.request(
        "PATCH", f"{CRDS}/{crd['metadata']['name']}", change, content_type="application/merge-patch+json"
    )
    assert changed["status"]["storedVersions"] == ["v1", "v2"]
    _, listed = api_server.request("GET", path.replace("/v1/", "/v2/"))
    assert [each["apiVersion"] for each in listed["items"]] == ["test.example.com/v2"]
    assert api_server.request("GET", f"{path}/w")[1]["apiVersion"] == "test.example.com/v1"


def test_a_default_status_is_there_from_the_beginning(api_server):
    status = {**an_object(phase=TEXT), "default": {"phase": "New"}}
    crd, path = define(
        api_server, version(schema=an_object(spec=an_object(), status=status), subresources={"status": {}})
    )
    _, made = api_server.request("POST", path, widget(crd, status={"phase": "Old"}))
    assert made["status"] == api_server.request("GET", f"{path}/w")[1]["status"] == {"phase": "New"}


def test_an_unserved_version_is_not_there(api_server):
    _, path = define(api_server, version(), {**version("v2", storage=False), "served": False})
    assert api_server.request("GET", path.replace("/v1/", "/v2/")) == (404, "404 page not found\n")


def test_a_watch_tells_of_custom_resources_and_ends_when_they_do(api_server):
    crd, path = define(api_server)
    with api_server.open("GET", f"{path}?watch=1&timeoutSeconds=20") as stream:
        api_server.request("POST", path, widget(crd, spec={}))
        assert b'"type":"ADDED"' in stream.readline()
        api_server.request("DELETE", f"{CRDS}/{crd['metadata']['name']}")
        assert b'"type":"DELETED"' in stream.readline()
        assert stream.readline() == b""
    assert api_server.request("GET", path)[0] == 404


def test_a_definition_waits_for_the_finalizers_of_its_objects(api_server):
    crd, path = define(api_server)
    held = widget(crd, spec={})
    held["metadata"]["finalizers"] = ["example.com/hold"]
    api_server.request("POST", path, held)
    api_server.request("DELETE", f"{CRDS}/{crd['metadata']['name']}")
    code, refused = api_server.request("POST", path, widget(crd, "late", spec={}))
    assert (code, refused["message"]) == (405, "create not allowed while custom resource definition is terminating")
    release = {"metadata": {"finalizers": None}}
    api_server.request("PATCH", f"{path}/w", release, content_type="application/merge-patch+json")
    eventually(lambda: api_server.request("GET", f"{CRDS}/{crd['metadata']['name']}")[0] == 404)


def test_a_short_name_that_is_taken_becomes_free_with_its_owner(api_server):
    short = f"s{uuid.uuid4().hex[:6]}"
    first, _ = define(api_server, shortNames=[short])
    second = definition(f"W{uuid.uuid4().hex[:8]}", shortNames=[short])
    api_server.request("POST", CRDS, second)
    path = f"{CRDS}/{second['metadata']['name']}"

    def reason():
        conditions = api_server.request("GET", path)[1]["status"]["conditions"] or []
        return [each["reason"] for each in conditions if each["type"] == "NamesAccepted"]

    eventually(lambda: reason() == ["ShortNamesConflict"])
    api_server.request("DELETE", f"{CRDS}/{first['metadata']['name']}")
    eventually(lambda: established(api_server, second))


def test_a_kind_called_like_a_declared_one_is_another(api_server):
    crd = definition("Pod")
    crd["metadata"]["name"] = "pods.test.example.com"
    assert api_server.request("POST", CRDS, crd)[0] == 201
    path = "/apis/test.example.com/v1/namespaces/default/pods"
    eventually(lambda: api_server.request("GET", path)[0] == 200)
    assert api_server.request("POST", path, widget(crd, "custom", spec={}))[1]["spec"] == {"size": 1}
    assert "custom" not in api_server.kubectl("get", "pods", check=False)
    assert "custom" in api_server.kubectl("get", "pods.test.example.com")
    api_server.request("DELETE", f"{CRDS}/pods.test.example.com")


def test_a_cluster_scoped_kind_has_no_namespaces(api_server):
    crd, path = define(api_server, scope="Cluster")
    assert api_server.request("POST", path, widget(crd, spec={}))[0] == 404
    code, made = api_server.request("POST", path.replace("/namespaces/default", ""), widget(crd, spec={}))
    assert (code, "namespace" in made["metadata"]) == (201, False)


def test_a_conversion_webhook_is_refused_by_its_name(api_server):
    crd = definition("Converted")
    webhook = {"clientConfig": {"url": "https://x.example.com"}, "conversionReviewVersions": ["v1"]}
    crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    code, refused = api_server.request("POST", CRDS, crd)
    assert (code, refused["details"]["causes"][0]["field"]) == (422, "spec.conversion.strategy")


def test_who_may_see_custom_resources_is_told_by_roles(api_server):
    crd, path = define(api_server)
    assert api_server.request("GET", path, user="student")[0] == 403
    plural, name = crd["spec"]["names"]["plural"], crd["metadata"]["name"]
    api_server.kubectl("create", "role", plural, "--verb=list", f"--resource={name}")
    api_server.kubectl("create", "rolebinding", plural, f"--role={plural}", "--user=student")
    assert api_server.request("GET", path, user="student")[0] == 200


def test_kubectl_explains_a_custom_kind(api_server):
    spec = an_object(size={**NUMBER, "description": "How big."})
    crd, _ = define(api_server, version(schema=an_object(spec=spec)))
    assert "How big." in api_server.kubectl("explain", f"{crd['spec']['names']['kind'].lower()}.spec.size")


# -- the controllers


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "garbage-collector-controller", "namespace-controller"):
        yield client(api_server)


def owned(api, namespace, owner):
    reference = objects.owner_reference(owner, owner["kind"], owner["apiVersion"], controller=False)
    return api.create(
        "configmaps", {"metadata": {"name": "owned", "namespace": namespace, "ownerReferences": [reference]}}
    )


def there(api, namespace):
    return [objects.name(each) for each in api.list("configmaps", namespace)["items"]]


def test_what_a_custom_resource_owns_goes_with_it(api, api_server, namespace):
    crd, path = define(api_server)
    path = path.replace("default", namespace)
    _, owner = api_server.request("POST", path, widget(crd, spec={}))
    owned(api, namespace, owner)
    api_server.request("DELETE", f"{path}/w")
    eventually(lambda: there(api, namespace) == [])


def test_what_its_objects_own_goes_with_a_definition(api, api_server, namespace):
    crd, path = define(api_server)
    _, owner = api_server.request("POST", path.replace("default", namespace), widget(crd, spec={}))
    owned(api, namespace, owner)
    api_server.request("DELETE", f"{CRDS}/{crd['metadata']['name']}")
    eventually(lambda: there(api, namespace) == [])


def test_a_namespace_goes_with_its_custom_resources(api, api_server, namespace):
    crd, path = define(api_server)
    api_server.request("POST", path.replace("default", namespace), widget(crd, spec={}))
    api_server.request("DELETE", f"/api/v1/namespaces/{namespace}")
    eventually(lambda: api_server.request("GET", f"/api/v1/namespaces/{namespace}")[0] == 404)
    assert api_server.request("GET", path.replace("/namespaces/default", ""))[1]["items"] == []


def test_many_definitions_are_taken_up_at_once(own_api_server):
    made = [definition(f"Many{number}", shortNames=[f"m{number}"]) for number in range(40)]
    for crd in made:
        assert own_api_server.request("POST", CRDS, crd)[0] == 201
    eventually(lambda: all(established(own_api_server, crd) for crd in made))
