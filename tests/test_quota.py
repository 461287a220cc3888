"""Quotas and limit ranges: what a namespace may have, and what its pods get unasked."""

import pytest

from labkit.glassbox import quota
from labkit.glassbox.apiserver.admission import limit_ranger
from labkit.glassbox.apiserver.admission.quota import unspecified
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.limit_range import complete
from labkit.glassbox.resources.validation.limits import limit_range
from labkit.glassbox.resources.validation.quotas import resource_quota
from tests.components import client, controllers
from tests.embedded import eventually

PODS = REGISTRY.find("pods")


def pod(*containers, **spec):
    named = [{"name": f"c{number}", "resources": resources} for number, resources in enumerate(containers)]
    return {"metadata": {"name": "p"}, "spec": {"containers": named, **spec}}


def asking(**requests):
    return {"requests": requests}


# --- counting


def test_a_pod_takes_what_its_containers_ask_for_in_the_form_in_which_they_do():
    taken = quota.usage(PODS, pod(asking(cpu="300m", memory="64Mi"), {**asking(cpu="1"), "limits": {"memory": "1G"}}))
    assert taken == {
        **{"count/pods": "1", "pods": "1", "cpu": "1300m", "requests.cpu": "1300m"},
        **{"memory": "64Mi", "requests.memory": "64Mi", "limits.memory": "1G"},
    }


def test_a_pod_that_has_ended_takes_only_its_place():
    ended = {**pod(asking(cpu="1")), "status": {"phase": "Succeeded"}}
    assert quota.usage(PODS, ended) == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("spec", "ports", "balancers"),
    [
        ({"type": "ClusterIP", "ports": [{}]}, "0", "0"),
        ({"type": "NodePort", "ports": [{}, {}]}, "2", "0"),
        ({"type": "LoadBalancer", "ports": [{}]}, "1", "1"),
        ({"type": "LoadBalancer", "ports": [{}], "allocateLoadBalancerNodePorts": False}, "0", "1"),
    ],
)
def test_a_service_takes_ports_of_the_nodes(spec, ports, balancers):
    taken = quota.usage(REGISTRY.find("services"), {"spec": spec})
    assert (taken["services.nodeports"], taken["services.loadbalancers"]) == (ports, balancers)


def test_a_claim_is_counted_by_its_class_too():
    claim = {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}}
    taken = quota.usage(REGISTRY.find("persistentvolumeclaims"), claim)
    assert taken["fast.storageclass.storage.k8s.io/requests.storage"] == taken["requests.storage"] == "2Gi"


@pytest.mark.parametrize(
    ("scope", "spec", "within"),
    [
        ({"scopes": ["BestEffort"]}, pod({}), True),
        ({"scopes": ["BestEffort"]}, pod(asking(cpu="1")), False),
        ({"scopes": ["NotTerminating"]}, pod({}), True),
        ({"scopes": ["Terminating"]}, pod({}, activeDeadlineSeconds=5), True),
        ({"scopes": ["Terminating", "BestEffort"]}, pod(asking(cpu="1"), activeDeadlineSeconds=5), False),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "NotIn", "values": ["a"]}]
                }
            },
            pod({}, priorityClassName="b"),
            True,
        ),
    ],
)
def test_scopes_narrow_down_the_pods(scope, spec, within):
    assert quota.applies({"spec": scope}, PODS, spec) == within


def test_what_a_quota_bounds_must_be_said_by_each_container():
    assert unspecified(pod({}, asking(cpu="1")), {"requests.cpu": "1", "limits.memory": "1Gi", "pods": "1"}) == (
        "limits.memory for: c0,c1; requests.cpu for: c0"
    )


# --- the ranges


def test_what_a_range_leaves_out_follows_from_the_rest():
    limit = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}
    complete(limit)
    assert (limit["default"], limit["defaultRequest"]) == ({"cpu": "2"}, {"memory": "1Mi", "cpu": "2"})


def test_a_container_gets_what_it_does_not_name():
    limit = {"type": "Container", "default": {"cpu": "2", "memory": "1Gi"}, "defaultRequest": {"cpu": "10m"}}
    container = {"name": "c", "resources": {"limits": {"cpu": "1"}}}
    told = list(limit_ranger.fill(container, limit, "container c"))
    assert container["resources"] == {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "10m"}}
    assert told == ["cpu request for container c", "memory limit for container c"]


@pytest.mark.parametrize(
    ("limit", "resources", "told"),
    [
        ({"max": {"cpu": "2"}}, {"limits": {"cpu": "3"}}, ["maximum cpu usage per Container is 2, but limit is 3"]),
        ({"max": {"cpu": "2"}}, {}, ["maximum cpu usage per Container is 2.  No limit is specified"]),
        ({"min": {"cpu": "1"}}, asking(cpu="500m"), ["minimum cpu usage per Container is 1, but request is 500m"]),
        ({"min": {"cpu": "1"}}, asking(cpu="1"), []),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {**asking(cpu="1"), "limits": {"cpu": "3"}},
            ["cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"],
        ),
    ],
)
def test_a_container_out_of_range_is_refused(limit, resources, told):
    assert list(limit_ranger.faults({"type": "Container", **limit}, pod(resources))) == told


def test_a_pod_is_measured_by_its_sum():
    limit = {"type": "Pod", "max": {"memory": "1Gi"}}
    half = {"limits": {"memory": "600Mi"}}
    assert list(limit_ranger.faults(limit, pod(half))) == []
    assert list(limit_ranger.faults(limit, pod(half, half))) == [
        "maximum memory usage per Pod is 1Gi, but limit is 1200Mi"
    ]


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"type": "Pod", "default": {"cpu": "1"}}, "may not be specified when `type` is 'Pod'"),
        ({"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}, "min value 2 is greater than max value 1"),
        ({"type": "PersistentVolumeClaim"}, "either minimum or maximum storage value is required"),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}}, "ratio 500m is less than 1"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(limit, told):
    assert any(told in cause.message for cause in limit_range({"spec": {"limits": [limit]}}))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"hard": {"nonsense": "1"}}, "must be a standard resource for quota"),
        ({"hard": {"pods": "1500m"}}, "must be an integer"),
        ({"hard": {"pods": "-1"}}, "must be greater than or equal to 0"),
        ({"scopes": ["BestEffort", "NotBestEffort"]}, "conflicting scopes"),
        ({"hard": {"configmaps": "1"}, "scopes": ["Terminating"]}, "unsupported scope applied to resource"),
    ],
)
def test_a_quota_that_makes_no_sense_is_refused(spec, told):
    assert any(told in cause.message for cause in resource_quota({"spec": spec}))


# --- on the API


@pytest.fixture
def counted(api_server):
    """The quota controller."""
    with controllers(api_server.kubeconfig, "resourcequota-controller"):
        yield client(api_server)


def make_quota(api, namespace, **hard):
    api.create("resourcequotas", {"metadata": {"name": "q", "namespace": namespace}, "spec": {"hard": hard}})
    eventually(lambda: api.get("resourcequotas", "q", namespace)["status"].get("used"))


def used(api, namespace):
    return api.get("resourcequotas", "q", namespace)["status"]["used"]


def configmap(name):
    return {"metadata": {"name": name}, "data": {}}


def test_the_last_place_is_given_once_and_given_back(api_server, counted, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api_server.request("POST", path, configmap("a"))
    make_quota(counted, namespace, configmaps="2")
    assert api_server.request("POST", path, configmap("b"))[0] == 201
    assert used(counted, namespace) == {"configmaps": "2"}
    code, refusal = api_server.request("POST", path, configmap("c"))
    why = "exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2"
    assert (code, refusal["message"]) == (403, f'configmaps "c" is forbidden: {why}')
    api_server.request("DELETE", f"{path}/a")
    eventually(lambda: used(counted, namespace) == {"configmaps": "1"})
    assert api_server.request("POST", path, configmap("c"))[0] == 201


def test_what_fails_or_is_only_tried_is_not_charged(api_server, counted, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    make_quota(counted, namespace, configmaps="9")
    api_server.request("POST", path, configmap("a"))
    assert api_server.request("POST", f"{path}?dryRun=All", configmap("b"))[0] == 201
    assert api_server.request("POST", path, configmap("a"))[0] == 409
    assert used(counted, namespace) == {"configmaps": "1"}


def test_a_pod_that_ends_gives_back_what_it_took(api_server, counted, namespace):
    spec = {"containers": [{"name": "c", "image": "b:1", "resources": asking(cpu="100m")}]}
    make_quota(counted, namespace, **{"requests.cpu": "1", "count/pods": "9"})
    api_server.request("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "p"}, "spec": spec})
    assert used(counted, namespace) == {"count/pods": "1", "requests.cpu": "100m"}
    counted.patch("pods", "p", namespace, {"status": {"phase": "Succeeded"}}, subresource="status")
    eventually(lambda: used(counted, namespace) == {"count/pods": "1", "requests.cpu": "0"})


def test_new_bounds_are_counted_anew(counted, namespace):
    make_quota(counted, namespace, pods="1")
    counted.patch("resourcequotas", "q", namespace, {"spec": {"hard": {"serviceaccounts": None, "secrets": "3"}}})
    eventually(lambda: set(used(counted, namespace)) == {"pods", "secrets"})


def test_a_pod_in_a_namespace_with_a_range_shows_what_it_got(api_server, namespace):
    limits = [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "10m"}, "max": {"cpu": "1"}}]
    where = f"/api/v1/namespaces/{namespace}"
    api_server.request("POST", f"{where}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    container = {"name": "c", "image": "b:1"}
    _, made = api_server.request(
        "POST", f"{where}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
    )
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "10m"}}
    assert made["metadata"]["annotations"] == {
        limit_ranger.ANNOTATION: "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    }
    container["resources"] = {"limits": {"cpu": "2"}}
    code, refusal = api_server.request(
        "POST", f"{where}/pods", {"metadata": {"name": "q"}, "spec": {"containers": [container]}}
    )
    why = "[maximum cpu usage per Container is 1, but limit is 2]"
    assert (code, refusal["message"]) == (403, f'pods "q" is forbidden: {why[1:-1]}')
