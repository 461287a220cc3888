"""What the API server's own admission plugins add to a write, and what they refuse."""

import pytest

from labkit.glassbox.apiserver.admission import limit_ranger

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
MERGE = {"content_type": "application/merge-patch+json"}
ENFORCED = {"kubernetes.io/enforce-mountable-secrets": "true"}
ACCOUNT = {"metadata": {"name": "own", "annotations": ENFORCED}, "secrets": [{"name": "mine"}]}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"volumes": [{"name": "v", "secret": {"secretName": "other"}}]}, 'volume with secret.secretName="other" is '
         "not allowed because service account own does not reference that secret"),
        ({"imagePullSecrets": [{"name": "x"}]}, 'imagePullSecrets[0].name="x" is not allowed because service account '
         "own does not reference that imagePullSecret"),
        ({"containers": [{"name": "c", "image": "i", "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}]}]},
         'container c with envVar A referencing secret.secretName="other" is not allowed because service account own '
         "does not reference that secret"),
    ],
)  # fmt: skip
def test_an_account_may_keep_its_pods_to_the_secrets_that_it_names(api_server, namespace, more, told):
    at = f"/api/v1/namespaces/{namespace}"
    api_server.request("POST", f"{at}/serviceaccounts", ACCOUNT)
    spec = {"serviceAccountName": "own", "containers": [{"name": "c", "image": "i"}], **more}
    code, refusal = api_server.request("POST", f"{at}/pods", {"metadata": {"name": "p"}, "spec": spec})
    assert (code, refusal["message"]) == (403, f'pods "p" is forbidden: {told}')
    spec = {"serviceAccountName": "own", "containers": [{"name": "c", "image": "i"}]}
    spec["volumes"] = [{"name": "v", "secret": {"secretName": "mine"}}]
    assert api_server.request("POST", f"{at}/pods", {"metadata": {"name": "p"}, "spec": spec})[0] == 201


@pytest.mark.parametrize("subresource", ["eviction", "binding"])
def test_what_is_posted_below_a_pod_is_of_its_namespace(api_server, namespace, subresource):
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "c", "image": "i"}]}
    api_server.request("POST", path, {"metadata": {"name": "p"}, "spec": spec})
    posted = {"metadata": {"name": "p", "namespace": "elsewhere"}, "target": {"name": "n"}}
    if subresource == "eviction":
        posted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": posted["metadata"]}
    code, refusal = api_server.request("POST", f"{path}/p/{subresource}", posted)
    told = "the namespace of the provided object does not match the namespace sent on the request"
    assert (code, refusal["message"]) == (400, told)


def test_who_newly_keeps_pods_to_named_secrets_is_told_that_this_goes_out_of_use(api_server, namespace):
    at = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    told = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    with api_server.open("POST", at, ACCOUNT) as answer:
        wanted = f'299 - "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: {told}"'
        assert answer.headers["Warning"] == wanted
    with api_server.open("PATCH", f"{at}/own", {"metadata": {"labels": {"a": "b"}}}, **MERGE) as answer:
        assert answer.headers["Warning"] is None


def test_only_one_priority_class_is_the_default_one(api_server, namespace):
    one, other = ({"metadata": {"name": f"{name}-{namespace}"}} for name in ("one", "other"))
    try:
        api_server.request("POST", CLASSES, {**one, "globalDefault": True, "value": 1})
        _, made = api_server.request("POST", CLASSES, other)
        assert made["value"] == 0
        name = other["metadata"]["name"]
        code, refusal = api_server.request("PATCH", f"{CLASSES}/{name}", {"globalDefault": True}, **MERGE)
        why = f"PriorityClass {one['metadata']['name']} is already marked as default. Only one default can exist"
        told = f'priorityclasses.scheduling.k8s.io "{name}" is forbidden: {why}'
        assert (code, refusal["message"]) == (403, told)
    finally:
        for each in (one, other):
            api_server.request("DELETE", f"{CLASSES}/{each['metadata']['name']}")


def test_what_the_last_of_several_limit_ranges_gave_is_noted(api_server, namespace):
    at = f"/api/v1/namespaces/{namespace}"
    for name, amounts in (("a", {"cpu": "1"}), ("b", {"cpu": "2", "memory": "1Gi"})):
        limits = [{"type": "Container", "default": amounts}]
        api_server.request("POST", f"{at}/limitranges", {"metadata": {"name": name}, "spec": {"limits": limits}})
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    _, made = api_server.request("POST", f"{at}/pods", pod)
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert made["metadata"]["annotations"] == {
        limit_ranger.ANNOTATION: "LimitRanger plugin set: memory request for container c; memory limit for container c"
    }
