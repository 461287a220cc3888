"""What each group refuses, kind by kind: the path, the value and the sentence, as upstream's own tables have it."""

import pytest

from tests.test_validation import faults

LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end"


def told_of(kind, obj, old=None):
    """Return "field: message" for each cause, without the examples that most sentences end with."""
    return [each.partition(" (e.g.")[0] for each in faults(kind, obj, old)]


def status_faults(kind, status, old=None):
    from labkit.glassbox.resources import REGISTRY

    found = REGISTRY.find(kind).strategy.validate_status_update({"status": status}, {"status": old or {}})
    return [f"{cause.field}: {cause.message}".partition(" (e.g.")[0] for cause in found]


# -- networking.k8s.io

BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


def ingress(backend=None, **more):
    path = {"path": "/", "pathType": "Prefix", "backend": BACKEND if backend is None else backend}
    return {"spec": {"rules": [{"host": "a.example", "http": {"paths": [path]}}]}, **more}


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        ({}, [': Invalid value: "": resource or service backend is required']),
        ({"service": {"name": "web"}}, [": Required value: port name or number is required"]),
        ({"service": {"name": "web", "port": {"name": "a", "number": 1}}},
         [': Invalid value: "": cannot set both port name & port number']),
        ({"resource": {}}, [".resource.kind: Required value: kind is required",
                            ".resource.name: Required value: name is required"]),
        ({"resource": {"kind": "a/b", "name": "%"}}, ['.resource.kind: Invalid value: "a/b": may not contain \'/\'',
                                                      '.resource.name: Invalid value: "%": may not contain \'%\'']),
    ],
)  # fmt: skip
def test_a_backend_is_a_service_or_an_object(backend, told):
    assert told_of("ingresses", ingress(backend)) == [f"spec.rules[0].http.paths[0].backend{each}" for each in told]


def test_an_ingress_and_its_old_annotation_name_the_same_class_when_it_is_made():
    metadata = {"name": "x", "annotations": {"kubernetes.io/ingress.class": "a"}}
    same, other = (ingress(metadata=metadata) for _ in range(2))
    same["spec"]["ingressClassName"], other["spec"]["ingressClassName"] = "a", "b"
    told = 'annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are'
    assert told_of("ingresses", same) == []
    assert told_of("ingresses", other) == [f"{told} specified"]
    assert told_of("ingresses", other, same) == []


def test_where_an_ingress_is_reached_is_an_address_or_a_name():
    reached = [{"ip": "a"}, {"hostname": "127.0.0.1"}]
    assert status_faults("ingresses", {"loadBalancer": {"ingress": reached}}) == [
        'status.loadBalancer.ingress[0].ip: Invalid value: "a": must be a valid IP address,',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "127.0.0.1": must be a DNS name, not an IP address',
    ]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"controller": "a.b/c^"}, ["controller: Invalid value: \"c^\": Invalid path (regex used for validation is"
                                    " '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"]),
        ({"parameters": {"scope": ""}}, ['parameters.scope: Unsupported value: "": supported values: "Cluster",'
                                         ' "Namespace"']),
        ({"parameters": {"scope": "Namespace", "namespace": "a.b"}},
         [f'parameters.namespace: Invalid value: "a.b": {LABEL} with an alphanumeric character']),
    ],
)  # fmt: skip
def test_an_ingress_class_names_who_serves_it(spec, told):
    spec = {"controller": "a.b/c", **spec}
    if "parameters" in spec:
        spec["parameters"] = {"kind": "k", "name": "n", **spec["parameters"]}
    assert told_of("ingressclasses", {"spec": spec}) == [f"spec.{each}" for each in told]


@pytest.mark.parametrize(
    ("cidr", "told"),
    [
        ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
        ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
        ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ("fd00:0::/64", 'must be in canonical form ("fd00::/64")'),
    ],
)
def test_a_range_of_services_is_written_in_one_way(cidr, told):
    assert told_of("servicecidrs", {"spec": {"cidrs": [cidr]}}) == [f'spec.cidrs[0]: Invalid value: "{cidr}": {told}']


def test_ranges_of_services_are_of_two_families():
    told = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
    assert told_of("servicecidrs", {"spec": {"cidrs": ["10.0.0.0/8", "11.0.0.0/8"]}}) == [
        f'spec.cidrs: Invalid value: {{"CIDRs":["10.0.0.0/8","11.0.0.0/8"]}}: {told}'
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("10.0.0.01", "must not have leading 0s"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
        ("fe80::1%eth0", "must be a valid IP address,"),
        ("fd00:0::1", 'must be in canonical form ("fd00::1")'),
    ],
)
def test_an_address_is_written_in_one_way(name, told):
    address = {"metadata": {"name": name}, "spec": {"parentRef": {"resource": "services", "name": "a"}}}
    assert told_of("ipaddresses", address) == [f'metadata.name: Invalid value: "{name}": {told}']


# -- apps

TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "b"}]}}


def workload(**changes):
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, **changes}}


def test_a_daemon_set_is_told_of_its_selector_once():
    bad = {"matchExpressions": [{"key": "a", "operator": "In"}]}
    assert told_of("daemonsets", workload(selector=bad)) == [
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
    ]
    assert told_of("daemonsets", {"spec": {"template": TEMPLATE}}) == [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'
    ]


def test_what_is_no_number_of_pods_counts_as_none():
    rolling = {"maxUnavailable": "x", "maxSurge": 0}
    assert told_of("daemonsets", workload(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})) == [
        'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "x": a valid percent string must be a numeric'
        " string followed by an ending '%'",
        "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
    ]


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("deployments", {"readyReplicas": 1},
         "readyReplicas: Invalid value: 1: cannot be greater than status.replicas"),
        ("statefulsets", {"replicas": 1, "currentReplicas": 2},
         "currentReplicas: Invalid value: 2: cannot be greater than status.replicas"),
        ("statefulsets", {"replicas": 1, "availableReplicas": 1},
         "availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas"),
        ("replicasets", {"replicas": 1, "availableReplicas": 1},
         "availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"),
        ("daemonsets", {"numberReady": -1}, "numberReady: Invalid value: -1: must be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_a_workload_counts_its_pods_within_its_replicas(kind, status, told):
    assert status_faults(kind, status) == [f"status.{told}"]


@pytest.mark.parametrize("kind", ["deployments", "daemonsets", "statefulsets"])
def test_collisions_are_not_forgotten(kind):
    told = "status.collisionCount: Invalid value: 0: cannot be decremented"
    assert status_faults(kind, {}, {"collisionCount": 1}) == [told]
