"""The API server as its clients see it: kubectl, raw HTTPS, and a kill -9 in the middle."""

import json
import signal
import subprocess
import threading
import urllib.error
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from labkit.glassbox.apiserver import deletion
from labkit.glassbox.json_faults import json_fault


def configmap(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.fixture
def configmaps(namespace):
    return f"/api/v1/namespaces/{namespace}/configmaps"


# --- writing


def test_a_created_object_is_named_dated_and_at_a_revision(api_server, configmaps):
    code, made = api_server.request("POST", configmaps, configmap("a", k="v"))
    assert code == 201
    assert list(made) == ["kind", "apiVersion", "metadata", "data"]
    assert list(made["metadata"]) == [
        *("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields")
    ]
    assert api_server.request("GET", f"{configmaps}/a") == (200, made)


def test_a_generated_name_begins_with_its_prefix(api_server, configmaps):
    body = {"metadata": {"generateName": "job-"}}
    names = {api_server.request("POST", configmaps, body)[1]["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


def test_a_second_object_of_a_name_is_refused(api_server, configmaps):
    api_server.request("POST", configmaps, configmap("a"))
    code, refusal = api_server.request("POST", configmaps, configmap("a"))
    assert (code, refusal["message"]) == (409, 'configmaps "a" already exists')


def test_an_update_from_an_old_revision_is_refused(api_server, configmaps):
    _, old = api_server.request("POST", configmaps, configmap("a", k="1"))
    api_server.request("PUT", f"{configmaps}/a", {**old, "data": {"k": "2"}})
    code, refusal = api_server.request("PUT", f"{configmaps}/a", {**old, "data": {"k": "3"}})
    told = "the object has been modified; please apply your changes to the latest version and try again"
    assert (code, refusal["reason"]) == (409, "Conflict")
    assert refusal["message"] == f'Operation cannot be fulfilled on configmaps "a": {told}'


def test_an_update_that_changes_nothing_keeps_the_revision(api_server, configmaps):
    _, made = api_server.request("POST", configmaps, configmap("a", k="1"))
    assert api_server.request("PUT", f"{configmaps}/a", configmap("a", k="1")) == (200, made)


def test_an_owner_that_is_named_twice_is_kept_once_with_a_warning(api_server, configmaps):
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
    body = {"metadata": {"name": "a", "ownerReferences": [owner, owner, {**owner, "uid": "v"}]}}
    with api_server.open("POST", configmaps, body) as answer:
        told, made = answer.headers["Warning"], json.loads(answer.read())
    assert [each["uid"] for each in made["metadata"]["ownerReferences"]] == ["u", "v"]
    assert told.startswith('299 - ".metadata.ownerReferences contains duplicate entries; API server dedups')
    assert told.endswith('duplicate UID(s) observed: u"')


def test_a_name_beside_a_prefix_counts_as_drawn(api_server, configmaps):
    api_server.request("POST", configmaps, configmap("a"))
    code, refusal = api_server.request("POST", configmaps, {"metadata": {"name": "a", "generateName": "a-"}})
    told = 'configmaps "a" already exists, the server was not able to generate a unique name for the object'
    assert (code, refusal["message"], refusal["details"]["retryAfterSeconds"]) == (409, told, 1)


def test_a_dry_run_stores_nothing(api_server, configmaps):
    code, shown = api_server.request("POST", f"{configmaps}?dryRun=All", configmap("a"))
    assert (code, "resourceVersion" in shown["metadata"]) == (201, False)
    assert api_server.request("GET", f"{configmaps}/a")[0] == 404


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge-patch+json", {"data": {"k": "2"}}),
        ("strategic-merge-patch+json", {"data": {"k": "2"}}),
        ("json-patch+json", [{"op": "replace", "path": "/data/k", "value": "2"}]),
    ],
)
def test_each_kind_of_patch_changes_the_object(api_server, configmaps, kind, patch):
    api_server.request("POST", configmaps, configmap("a", k="1"))
    code, changed = api_server.request("PATCH", f"{configmaps}/a", patch, content_type=f"application/{kind}")
    assert (code, changed["data"]) == (200, {"k": "2"})


@pytest.mark.parametrize(
    ("media", "sent", "told"),
    [
        ("merge-patch", '{"data": {"a": "1", "a": "2"}}', 'duplicate field \\"data.a\\"'),
        ("strategic-merge-patch", '{"data": {"a": "1", "a": "2"}}', 'duplicate field \\"data.a\\"'),
        ("json-patch", '[{"op": "add", "path": "/data/a", "value": "1", "x": 1}]',
         'json patch unknown field \\"[0].x\\"'),
    ],
)  # fmt: skip
def test_what_is_odd_in_a_patch_itself_is_a_warning(api_server, configmaps, media, sent, told):
    _, made = api_server.request("POST", configmaps, {"metadata": {"generateName": "odd-"}, "data": {"b": ""}})
    path = f"{configmaps}/{made['metadata']['name']}"
    answer = api_server.open("PATCH", path, sent.encode(), content_type=f"application/{media}+json")
    assert answer.headers.get_all("Warning") == [f'299 - "{told}"']


@pytest.mark.parametrize(
    ("media", "sent", "told"),
    [
        ("merge-patch", b"{", "error decoding patch: unexpected end of JSON input"),
        ("merge-patch", b"null", "Invalid JSON Patch"),
        ("strategic-merge-patch", b"{", "unexpected end of JSON input"),
        ("json-patch", b"[1]", "error decoding patch: json: cannot unmarshal number into Go value of type "
         "handlers.jsonPatchOp"),
        ("json-patch", b'[{"op": 1}]', "error decoding patch: json: cannot unmarshal number into Go struct field "
         "jsonPatchOp.op of type string"),
    ],
)  # fmt: skip
def test_a_patch_that_cannot_be_read(api_server, configmaps, media, sent, told):
    _, made = api_server.request("POST", configmaps, {"metadata": {"generateName": "unread-"}})
    path = f"{configmaps}/{made['metadata']['name']}"
    code, refusal = api_server.request("PATCH", path, sent, content_type=f"application/{media}+json")
    assert (code, refusal["message"]) == (400, told)


def test_a_strategic_merge_is_not_asked_what_kind_it_says(api_server, configmaps):
    api_server.request("POST", configmaps, configmap("a", k="1"))
    as_another = {"apiVersion": "apps/v1", "kind": "Deployment", "data": {"k": "2"}}
    strategic = "application/strategic-merge-patch+json"
    code, changed = api_server.request("PATCH", f"{configmaps}/a", as_another, content_type=strategic)
    assert (code, changed["kind"], changed["data"]) == (200, "ConfigMap", {"k": "2"})
    code, _ = api_server.request("PATCH", f"{configmaps}/a", as_another, content_type="application/merge-patch+json")
    assert code == 422


def test_a_creation_in_a_missing_namespace_is_refused(api_server):
    code, refusal = api_server.request("POST", "/api/v1/namespaces/nowhere/configmaps", configmap("a"))
    assert (code, refusal["message"]) == (404, 'namespaces "nowhere" not found')


def test_a_body_over_three_mebibytes_is_refused(api_server, configmaps):
    code, refusal = api_server.request("POST", configmaps, configmap("a", k="x" * (3 << 20)))
    assert (code, refusal["message"]) == (413, "Request entity too large: limit is 3145728")


# --- deleting


def test_a_collection_is_deleted_page_by_page_where_a_limit_is_given(api_server, configmaps):
    for name in "abc":
        api_server.request("POST", configmaps, configmap(name))
    _, gone = api_server.request("DELETE", f"{configmaps}?limit=2")
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "b"]
    _, rest = api_server.request("GET", configmaps)
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]
    _, gone = api_server.request("DELETE", f"{configmaps}?limit=2&continue={gone['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in gone["items"]] == ["c"]


@pytest.mark.parametrize(
    ("number", "fault"),
    [("", "invalid syntax"), ("1.5", "invalid syntax"), ("1_0", "invalid syntax"), ("9" * 20, "value out of range")],
)
@pytest.mark.parametrize("option", ["limit", "timeoutSeconds", "watch=1&timeoutSeconds"])
def test_an_option_that_is_no_number_is_refused(api_server, configmaps, option, number, fault):
    code, refusal = api_server.request("GET", f"{configmaps}?{option}={number}")
    assert (code, refusal["message"]) == (400, f'strconv.ParseInt: parsing "{number}": {fault}')


def test_a_finalizer_holds_a_deleted_object(api_server, configmaps):
    body = configmap("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    api_server.request("POST", configmaps, body)
    assert "deletionTimestamp" in api_server.request("DELETE", f"{configmaps}/a")[1]["metadata"]
    free = {"metadata": {"finalizers": None}}
    api_server.request("PATCH", f"{configmaps}/a", free, content_type="application/merge-patch+json")
    assert api_server.request("GET", f"{configmaps}/a")[0] == 404


def test_a_delete_meant_for_another_uid_is_refused(api_server, configmaps):
    api_server.request("POST", configmaps, configmap("a"))
    code, refusal = api_server.request("DELETE", f"{configmaps}/a", {"preconditions": {"uid": "other"}})
    assert code == 409
    assert "the UID in the precondition (other) does not match the UID in record" in refusal["message"]


def test_the_system_namespaces_cannot_be_deleted(api_server):
    code, refusal = api_server.request("DELETE", "/api/v1/namespaces/kube-system")
    assert code == 403
    assert refusal["message"] == 'namespaces "kube-system" is forbidden: this namespace may not be deleted'


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", []), (None, [])],
)
def test_a_propagation_policy_becomes_a_finalizer(policy, finalizers):
    assert deletion.finalizers_for([], deletion.Options(policy=policy)) == finalizers


# --- reading


def test_pages_show_one_moment(api_server, configmaps):
    for name in "abcde":
        api_server.request("POST", configmaps, configmap(name))
    _, first = api_server.request("GET", f"{configmaps}?limit=2")
    api_server.request("DELETE", f"{configmaps}/c")
    _, rest = api_server.request("GET", f"{configmaps}?limit=9&continue={first['metadata']['continue']}")
    assert first["metadata"]["remainingItemCount"] == 3
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "d", "e"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_revision_of_the_future_times_out(api_server, configmaps):
    with pytest.raises(urllib.error.HTTPError) as refused:
        api_server.open("GET", f"{configmaps}?resourceVersion=99999999999")
    refusal = json.loads(refused.value.read())
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (504, "1")
    assert refusal["message"].startswith("Timeout: Too large resource version: 99999999999, current: ")


@pytest.mark.parametrize(("query", "code"), [("", 400), ("watch=1&", 500)])
def test_a_revision_beyond_all_numbers_is_refused(api_server, configmaps, query, code):
    answered, refusal = api_server.request("GET", f"{configmaps}?{query}resourceVersion={'9' * 20}")
    told = f'resourceVersion: Invalid value: "{"9" * 20}": strconv.ParseUint: parsing "{"9" * 20}": value out of range'
    assert (answered, refusal["message"].removeprefix("invalid resource version: ")) == (code, told)


def test_metadata_alone_can_be_asked_for(api_server, configmaps):
    api_server.request("POST", configmaps, configmap("a", k="v"))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    _, shown = api_server.request("GET", configmaps, accept=accept)
    assert shown["kind"] == "PartialObjectMetadataList"
    assert set(shown["items"][0]) == {"kind", "apiVersion", "metadata"}


# --- watching


def events(answer):
    return [(event["type"], event["object"]) for event in map(json.loads, answer)]


def test_a_watch_replays_what_happened_since_a_revision(api_server, configmaps):
    _, first = api_server.request("POST", configmaps, configmap("a", k="1"))
    api_server.request("PUT", f"{configmaps}/a", configmap("a", k="2"))
    api_server.request("DELETE", f"{configmaps}/a")
    since = first["metadata"]["resourceVersion"]
    with api_server.open("GET", f"{configmaps}?watch=1&timeoutSeconds=1&resourceVersion={since}") as answer:
        assert [kind for kind, _ in events(answer)] == ["MODIFIED", "DELETED"]


@pytest.mark.parametrize(
    ("path", "selector", "told"),
    [
        ("/api/v1/persistentvolumes", "spec.x=1",
         '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("/api/v1/persistentvolumes", "metadata.namespace=x", None),
        ("/api/v1/nodes", "metadata.namespace=x", "field label not supported: metadata.namespace"),
        ("/api/v1/pods", "status.podIPs=1,spec.host!=x", None),
        ("/apis/apps/v1/replicasets", "status.replicas=0",
         '"status.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("/apis/batch/v1/jobs", "spec.x=1", 'field label "spec.x" not supported for Job'),
        ("/apis/events.k8s.io/v1/events", "regarding.kind=Pod,reportingController=x", None),
        ("/apis/events.k8s.io/v1/events", "involvedObject.kind=Pod",
         "field label not supported: involvedObject.kind"),
    ],
)  # fmt: skip
def test_by_which_fields_a_kind_is_selected(api_server, path, selector, told):
    code, answer = api_server.request("GET", f"{path}?fieldSelector={quote(selector)}")
    assert (code, answer.get("message")) == (400 if told else 200, told)


def test_an_event_is_found_by_what_it_regards(api_server, configmaps):
    events_of = configmaps.replace("configmaps", "events")
    about = {"kind": "ConfigMap", "namespace": configmaps.split("/")[4], "name": "a"}
    api_server.request("POST", events_of, {"metadata": {"name": "e"}, "involvedObject": about})
    newer = events_of.replace("/api/v1", "/apis/events.k8s.io/v1")
    for name, count in (("a", 1), ("b", 0)):
        found = api_server.request("GET", f"{newer}?fieldSelector=regarding.name%3D{name}")[1]
        assert len(found["items"]) == count


def test_a_watch_is_told_two_seconds_before_its_end_how_far_the_store_has_come(api_server, configmaps):
    query = "watch=1&timeoutSeconds=3&allowWatchBookmarks=true&resourceVersion="
    revision = api_server.request("GET", configmaps)[1]["metadata"]["resourceVersion"]
    with api_server.open("GET", f"{configmaps}?{query}{revision}") as answer:
        assert [kind for kind, _ in events(answer)] == ["BOOKMARK"]


@pytest.mark.parametrize("on", ["true", "1", "True", ""])
def test_a_watch_list_ends_its_initial_events_with_a_bookmark(api_server, configmaps, on):
    api_server.request("POST", configmaps, configmap("a"))
    switches = f"watch={on}&sendInitialEvents={on}&allowWatchBookmarks={on}"
    options = f"{switches}&timeoutSeconds=1&resourceVersionMatch=NotOlderThan"
    with api_server.open("GET", f"{configmaps}?{options}") as answer:
        (added, _), (bookmark, end) = events(answer)[:2]
    assert (added, bookmark) == ("ADDED", "BOOKMARK")
    assert end["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_an_object_that_leaves_the_selector_is_deleted_for_the_watcher(api_server, configmaps):
    body = configmap("a")
    body["metadata"]["labels"] = {"on": "yes"}
    _, made = api_server.request("POST", configmaps, body)
    body["metadata"]["labels"] = {"on": "no"}
    api_server.request("PUT", f"{configmaps}/a", body)
    options = f"watch=1&timeoutSeconds=1&labelSelector=on=yes&resourceVersion={made['metadata']['resourceVersion']}"
    with api_server.open("GET", f"{configmaps}?{options}") as answer:
        ((kind, seen),) = events(answer)
    assert (kind, seen["metadata"]["labels"]) == ("DELETED", {"on": "yes"})


# --- who may


def test_a_wrong_token_is_refused(api_server):
    assert api_server.request("GET", "/api/v1/pods", user="wrong")[1]["message"] == "Unauthorized"


@pytest.mark.parametrize(("user", "name"), [(None, "system:anonymous"), ("student", "student")])
def test_a_user_without_rights_is_told_which_one_is_missing(api_server, user, name):
    code, refusal = api_server.request("GET", "/api/v1/namespaces/default/pods", user=user)
    why = f'User "{name}" cannot list resource "pods" in API group "" in the namespace "default"'
    assert (code, refusal["message"]) == (403, f"pods is forbidden: {why}")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/version"])
def test_anybody_may_ask_whether_the_server_lives(api_server, path):
    assert api_server.request("GET", path, user=None)[0] == 200


# --- words


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a":1,', "unexpected end of JSON input"),
        (b"{x", "invalid character 'x' looking for beginning of object key string"),
    ],
)
def test_broken_json_is_told_as_go_does(body, told):
    assert json_fault(body) == told


# --- kubectl


def test_kubectl_creates_waits_for_and_deletes(api_server, namespace):
    api_server.kubectl("-n", namespace, "create", "configmap", "c", "--from-literal=k=v")
    waited = api_server.kubectl("-n", namespace, "wait", "--for=jsonpath={.data.k}=v", "configmap/c", "--timeout=10s")
    assert waited == "configmap/c condition met\n"
    assert "deleted" in api_server.kubectl("-n", namespace, "delete", "configmap", "c")


def test_kubectl_sees_the_served_kinds(api_server):
    listed = api_server.kubectl("api-resources", "-o", "name").split()
    assert {"pods", "deployments.apps", "leases.coordination.k8s.io"} <= set(listed)


# --- surviving


def test_kill_9_under_writes_loses_no_acknowledged_write(own_api_server):
    server, acknowledged = own_api_server, []
    path = "/api/v1/namespaces/default/configmaps"

    def write():
        for number in range(100_000):
            try:
                code, _ = server.request("POST", path, configmap(f"w-{number}"))
            except OSError:
                return
            if code == 201:
                acknowledged.append(f"w-{number}")
            if len(acknowledged) == 40:
                enough.set()

    enough = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(30)
    server.stop(signal.SIGKILL)
    writer.join(30)
    server.start()
    kept = {item["metadata"]["name"] for item in server.request("GET", path)[1]["items"]}
    assert set(acknowledged) <= kept


def test_a_restarted_server_goes_on_where_a_watch_was(own_api_server):
    server, path = own_api_server, "/api/v1/namespaces/default/configmaps"
    _, first = server.request("POST", path, configmap("a"))
    server.request("POST", path, configmap("b"))
    assert server.stop() == 0
    server.start()
    since = first["metadata"]["resourceVersion"]
    with server.open("GET", f"{path}?watch=1&timeoutSeconds=1&resourceVersion={since}") as answer:
        assert [obj["metadata"]["name"] for _, obj in events(answer)] == ["b"]


def test_a_client_that_hangs_up_leaves_no_watch_behind(own_api_server):
    server, path = own_api_server, "/api/v1/namespaces/default/configmaps"
    for _ in range(20):
        server.open("GET", f"{path}?watch=1").close()
    server.request("POST", path, configmap("a"))
    connections = subprocess.run(["ls", f"/proc/{server.process.pid}/fd"], capture_output=True, text=True).stdout
    assert len(connections.split()) < 20


def test_an_event_shows_its_unset_times_as_null(api_server):
    event = {"metadata": {"name": "unset"}, "involvedObject": {"namespace": "default"}}
    _, answer = api_server.request("POST", "/api/v1/namespaces/default/events", event)
    assert answer["eventTime"] is None
    assert answer["firstTimestamp"] is None
    assert answer["reportingComponent"] == ""


def test_the_newer_event_version_leaves_out_an_empty_reporter(api_server):
    event = {"metadata": {"name": "newer"}, "involvedObject": {"namespace": "default"}}
    api_server.request("POST", "/api/v1/namespaces/default/events", event)
    _, answer = api_server.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events/newer")
    assert answer["deprecatedFirstTimestamp"] is None
    assert "reportingController" not in answer


def test_a_namespace_in_the_body_of_a_cluster_scoped_object_is_dropped(api_server):
    code, answer = api_server.request(
        "POST", "/api/v1/namespaces", {"metadata": {"name": "scoped", "namespace": "foo"}}
    )
    assert code == 201
    assert "namespace" not in answer["metadata"]


def test_answers_escape_what_html_would_read_and_sort_maps(api_server):
    api_server.request(
        "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "go"}, "data": {"z": "<&>", "a": ""}}
    )
    with api_server.open("GET", "/api/v1/namespaces/default/configmaps/go") as answer:
        assert rb'{"a":"","z":"\u003c\u0026\u003e"}' in answer.read()


def test_a_lease_is_not_overwritten_without_its_version(api_server):
    path, lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", {"metadata": {"name": "l"}}
    assert api_server.request("PUT", path, lease)[0] == 201
    assert api_server.request("PUT", path, lease)[0] == 422


def test_a_local_load_balancer_has_a_port_to_ask_for_its_health(api_server):
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}
    service = {"metadata": {"name": "local"}, "spec": spec}
    _, answer = api_server.request("POST", "/api/v1/namespaces/default/services", service)
    assert 30000 <= answer["spec"]["healthCheckNodePort"] < 32768


SERVICE_TAKEN = {"type": "NodePort", "clusterIP": "10.96.0.50", "ports": [{"port": 80, "nodePort": 30500}]}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {"clusterIP": "10.0.0.5", "ports": [{"port": 80}]},
            'spec.clusterIPs: Invalid value: ["10.0.0.5"]: failed to allocate IP 10.0.0.5: the provided network does'
            " not match the current range",
        ),
        (
            {"clusterIP": "10.96.0.50", "ports": [{"port": 80}]},
            'spec.clusterIPs: Invalid value: ["10.96.0.50"]: failed to allocate IP 10.96.0.50: provided IP is already'
            " allocated",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid"
            " ports is 30000-32767",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30500}]},
            "spec.ports[0].nodePort: Invalid value: 30500: provided port is already allocated",
        ),
    ],
)
def test_a_service_is_refused_a_number_that_it_cannot_have(api_server, namespace, spec, told):
    services = f"/api/v1/namespaces/{namespace}/services"
    taken = {"metadata": {"name": "taken"}, "spec": SERVICE_TAKEN}
    assert api_server.request("POST", services, taken)[0] == 201
    code, answer = api_server.request("POST", services, {"metadata": {"name": "late"}, "spec": spec})
    assert (code, answer["message"]) == (422, f'Service "late" is invalid: {told}')
    assert api_server.request("DELETE", f"{services}/taken")[0] == 200


def test_a_service_keeps_its_node_port_and_may_change_it_to_a_free_one(api_server, namespace):
    services = f"/api/v1/namespaces/{namespace}/services"
    api_server.request("POST", services, {"metadata": {"name": "s"}, "spec": {**SERVICE_TAKEN, "clusterIP": ""}})
    _, held = api_server.request("GET", f"{services}/s")
    for number in (30500, 30501):
        held["spec"]["ports"] = [{"port": 80, "nodePort": number}]
        code, held = api_server.request("PUT", f"{services}/s", held)
        assert (code, held["spec"]["ports"][0]["nodePort"]) == (200, number)


def changed_service(api_server, namespace, spec, change):
    """Return the spec of a service that was made, the code of a change of it, and what it is after that."""
    path = f"/api/v1/namespaces/{namespace}/services"
    made = {"metadata": {"name": f"s-{uuid.uuid4().hex[:8]}"}, "spec": spec}
    held = api_server.request("POST", path, made)[1]["spec"]
    code, after = api_server.request("PUT", f"{path}/{made['metadata']['name']}", {**made, "spec": change(held)})
    return held, code, after


PORTS = {"ports": [{"name": "a", "port": 80}]}
LOCAL = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", **PORTS}


def test_a_port_keeps_the_number_on_nodes_that_goes_by_its_name(api_server, namespace):
    asked = {"type": "NodePort", "ports": [{"name": "a", "port": 81}, {"name": "b", "port": 82}]}
    held, code, after = changed_service(api_server, namespace, {"type": "NodePort", **PORTS}, lambda held: asked)
    assert (code, after["spec"]["ports"][0]["nodePort"]) == (200, held["ports"][0]["nodePort"])


def test_a_port_may_take_over_another_one_s_number(api_server, namespace):
    def take_over(held):
        return {"type": "NodePort", "ports": [{"name": "a", "port": 1}, {**held["ports"][0], "name": "b", "port": 2}]}

    held, code, after = changed_service(api_server, namespace, {"type": "NodePort", **PORTS}, take_over)
    assert (code, after["spec"]["ports"][1]["nodePort"]) == (200, held["ports"][0]["nodePort"])


@pytest.mark.parametrize(
    ("before", "after", "has_port"),
    [
        (LOCAL, LOCAL, True),
        ({"type": "LoadBalancer", **PORTS}, LOCAL, True),
        (PORTS, LOCAL, True),
        (LOCAL, {**LOCAL, "externalTrafficPolicy": "Cluster"}, False),
        (LOCAL, {**LOCAL, "type": "NodePort"}, False),
    ],
)
def test_a_health_check_port_comes_and_goes_with_the_need_of_it(api_server, namespace, before, after, has_port):
    def change(held):
        kept = {"healthCheckNodePort": held["healthCheckNodePort"]} if not has_port else {}
        return {**after, **kept}

    held, code, answer = changed_service(api_server, namespace, before, change)
    port = answer["spec"].get("healthCheckNodePort")
    assert (code, bool(port)) == (200, has_port)
    assert not held.get("healthCheckNodePort") or port in (None, held["healthCheckNodePort"])


def test_a_pod_in_a_new_namespace_waits_for_the_account_that_a_controller_makes(api_server):
    name = "t-" + uuid.uuid4().hex[:8]
    api_server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    path, pod = (
        f"/api/v1/namespaces/{name}",
        {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    )
    status, refusal = api_server.request("POST", f"{path}/pods", pod)
    told = f'pods "p" is forbidden: error looking up service account {name}/default: serviceaccount "default" not found'
    assert (status, refusal["message"]) == (403, told)
    with ThreadPoolExecutor() as pool:
        made = pool.submit(api_server.request, "POST", f"{path}/pods", pod)
        api_server.request("POST", f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
        assert made.result()[0] == 201


def test_a_lock_is_given_back_by_a_holder_that_is_nobody(api_server, namespace):
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    held = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 1}}
    lease = api_server.request("POST", path, held)[1]
    lease["spec"]["holderIdentity"] = ""
    assert api_server.request("PUT", f"{path}/l", lease)[1]["spec"]["holderIdentity"] == ""


def test_components_find_who_signs_their_clients_certificates(api_server):
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    assert api_server.request("GET", path)[1]["data"]["client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
