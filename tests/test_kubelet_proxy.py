"""What the API server refuses before it asks a kubelet, in upstream's words."""

import pytest

BODY = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}}


@pytest.fixture
def pod(api_server, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert api_server.request("POST", path, BODY)[0] == 201
    return f"{path}/p"


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ("exec?stdout=1&command=true&container=a", 400, "pod p does not have a host assigned"),
        ("attach?stdout=1&container=a", 400, "pod p does not have a host assigned"),
        ("portforward?ports=80", 400, "pod p does not have a host assigned"),
        ("exec?command=true&container=c", 400, "container c is not valid for pod p"),
        ("exec?command=true", 400, "a container name must be specified for pod p, choose one of: [a b]"),
        ("log?container=a&limitBytes=0", 422, 'PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: '
         "must be greater than 0"),
        ("log?container=a&sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", 422, 'PodLogOptions "p" is invalid: []: '
         "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"),
        ("log?container=a&sinceTime=x", 400, 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as '
         '"2006"'),
        ("log?container=a&tailLines=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("proxy/", 400, "address not allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_told(api_server, pod, asked, code, message):
    status, answer = api_server.request("GET", f"{pod}/{asked}")
    assert (status, answer["message"]) == (code, message)


def test_a_single_container_is_meant_whatever_runs_before_it(api_server, namespace):
    spec = {"initContainers": [{"name": "i", "image": "i"}], "containers": [{"name": "a", "image": "i"}]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    api_server.request("POST", path, {"metadata": {"name": "one"}, "spec": spec})
    assert api_server.request("GET", f"{path}/one/log")[0] == 204
    spec["containers"].append({"name": "b", "image": "i"})
    api_server.request("POST", path, {"metadata": {"name": "two"}, "spec": spec})
    _, refusal = api_server.request("GET", f"{path}/two/log")
    assert refusal["message"].endswith("choose one of: [i a b]")


def test_a_pod_on_a_node_that_is_not_there(api_server, pod):
    bound = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "n-nowhere"}}
    assert api_server.request("POST", f"{pod}/binding", bound)[0] == 201
    status, answer = api_server.request("GET", f"{pod}/log?container=a")
    assert (status, answer["message"]) == (404, 'pods "n-nowhere" not found')


NONE = "you must specify at least 1 of stdin, stdout, stderr"


@pytest.mark.parametrize(
    ("streams", "message"),
    [("stdout=1", "Upgrade request required"), ("stdout=True&stdin=False", "Upgrade request required"),
     ("stdin=", "Upgrade request required"), ("stdin=False&stdout=0", NONE), ("", NONE)],
)  # fmt: skip
def test_a_pod_on_a_node_is_talked_to_by_upgrade_alone(api_server, pod, streams, message):
    bound = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "n-streams"}}
    node = {"metadata": {"name": "n-streams"}}
    assert api_server.request("POST", "/api/v1/nodes", node)[0] in (201, 409)
    assert api_server.request("POST", f"{pod}/binding", bound)[0] == 201
    addresses = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
    api_server.request(
        "PATCH", "/api/v1/nodes/n-streams/status", addresses, content_type="application/merge-patch+json"
    )
    status, answer = api_server.request("POST", f"{pod}/exec?command=true&container=a&{streams}")
    assert (status, answer["message"]) == (400, message)
