"""What the API server accepts but says that it is probably not meant."""

import base64

import pytest

from labkit.glassbox.resources.registry import REGISTRY

REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
BETA_OS = {"matchExpressions": [{"key": "beta.kubernetes.io/os", "operator": "In", "values": ["-"]}]}
OLD_OS = 'beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead'
NO_POD = "a null labelSelector results in matching no pod"
CLASS = "volume.beta.kubernetes.io/storage-class"


def asked(**amounts):
    """Return a claim's spec."""
    return {"resources": {field: {"storage": amount} for field, amount in amounts.items()}}


def warned(kind, spec, metadata=None, **more):
    return REGISTRY.find(kind).strategy.warnings({"metadata": metadata or {}, "spec": spec, **more})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, []),
        ({"nodeSelector": {"beta.kubernetes.io/arch": "a", "kubernetes.io/os": "b"}},
         ['spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use "kubernetes.io/arch" instead']),
        ({"nodeSelector": {"node-role.kubernetes.io/master": ""}},
         ["spec.nodeSelector[node-role.kubernetes.io/master]: use \"node-role.kubernetes.io/control-plane\" instead"]),
        ({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [BETA_OS]}}}},
         [f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].key: {OLD_OS}"]),
        ({"affinity": {"nodeAffinity": {PREFERRED: [{"preference": BETA_OS}]}}},
         [f"spec.affinity.nodeAffinity.{PREFERRED}[0].preference.matchExpressions[0].key: {OLD_OS}",
          f"spec.affinity.nodeAffinity.{PREFERRED}[0].preference.matchExpressions[0].values[0]: - is invalid, a valid"
          " label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
          " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation"
          " is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"]),
        ({"topologySpreadConstraints": [{"topologyKey": "beta.kubernetes.io/os"}]},
         [f"spec.topologySpreadConstraints[0].topologyKey: {OLD_OS}",
          f"spec.topologySpreadConstraints[0].labelSelector: {NO_POD}"]),
        ({"affinity": {"podAffinity": {REQUIRED: [{}]}, "podAntiAffinity": {PREFERRED: [{"podAffinityTerm": {}}]}}},
         [f"spec.affinity.podAffinity.{REQUIRED}[0].labelSelector: {NO_POD}",
          f"spec.affinity.podAntiAffinity.{PREFERRED}[0].podAffinityTerm.labelSelector: {NO_POD}"]),
        ({"volumes": [{"gitRepo": {}}, {"storageos": {}}, {"rbd": {}}, {"emptyDir": {}}]},
         ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
          "spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+",
          "spec.volumes[2].rbd: deprecated in v1.28, non-functional in v1.31+"]),
        ({"volumes": [{"ephemeral": {"volumeClaimTemplate": {"spec": asked(requests="1m")}}}]},
         ['spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value "1m"'
          " is invalid, must be an integer"]),
        ({"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"path": "a"}, {"path": "a/b"}]}}]},
         ['volume "v" (ConfigMap "c"): overlapping paths: "a/b" with "a"']),
        ({"volumes": [{"name": "v", "projected": {"sources": [
            {}, {"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "s", "items": [{"path": "t"}]}}]}}]},
         ['volume "v" (Projected) has no sources provided',
          'volume "v" (Projected): overlapping paths: "t" (Secret "s") with "t" (ServiceAccountToken)']),
        ({"hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}], "imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
         ['spec.hostAliases[1].ip: duplicate ip "1.1.1.1"', 'spec.imagePullSecrets[1].name: duplicate name "a"']),
        ({"overhead": {"memory": "100m", "cpu": "100m"}},
         ['spec.overhead[memory]: fractional byte value "100m" is invalid, must be an integer']),
        ({"containers": [{"resources": {"limits": {"memory": "1500m"}, "requests": {"ephemeral-storage": "1m"}}}]},
         ['spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer',
          'spec.containers[0].resources.requests[ephemeral-storage]: fractional byte value "1m" is invalid, must be an'
          " integer"]),
        ({"initContainers": [{"env": [{"name": "a", "value": "b"}, {"name": "a", "value": "$(a):c"}]}]}, []),
        ({"containers": [{"env": [{"name": "a", "value": "b"}, {"name": "a", "value": "$(a)"}]}]},
         ['spec.containers[0].env[1]: hides previous definition of "a", which may be dropped when using apply']),
        ({"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 80}]}]},
         ["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"]),
        ({"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}, {"ports": [{"containerPort": 80}]}]},
         ["spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]"]),
        ({"containers": [{"ports": [{"containerPort": 80, "hostPort": 80},
                                    {"containerPort": 80, "hostPort": 80, "hostIP": "1.1.1.1"}]}]},
         ["spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]"]),
        ({"containers": [{"ports": [{"containerPort": 80, "hostIP": "1.1.1.1", "protocol": "TCP"}]}]},
         ["spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP"
          " HostIP:1.1.1.1}"]),
        ({"containers": [{"ports": [{"name": "w", "containerPort": 80}]}, {"ports": [{"name": "w"}]}]},
         ['spec.containers[1].ports[0]: duplicate port name "w" with spec.containers[0].ports[0], services and probes'
          " that select ports by name will use spec.containers[0].ports[0]"]),
        ({"dnsConfig": {"nameservers": ["1::01"]}, "hostAliases": [{"ip": "2001:DB8::1"}]},
         ['spec.dnsConfig.nameservers[0]: IPv6 address "1::01" should be in RFC 5952 canonical format ("1::1")',
          'spec.hostAliases[0].ip: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")']),
    ],
)  # fmt: skip
def test_a_pod_that_is_odd(spec, told):
    assert warned("pods", spec, {"name": "p"}) == told


def test_nothing_is_said_when_a_pod_changes():
    pod = {"metadata": {"name": "p"}, "spec": {"terminationGracePeriodSeconds": -1}}
    assert REGISTRY.find("pods").strategy.change_warnings(pod, pod) == []


def test_a_pod_whose_name_is_no_host_name():
    (told,) = warned("pods", {}, {"name": "a.b"})
    assert told.startswith("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior")


def test_a_template_whose_pods_get_no_time_to_end():
    told = "must be >= 0; negative values are invalid and will be treated as 1"
    template = {"spec": {"terminationGracePeriodSeconds": -1}}
    assert warned("deployments", {"template": template}, {"name": "d"}) == [
        f"spec.template.spec.terminationGracePeriodSeconds: {told}"
    ]


def test_a_pod_without_time_to_end_gets_a_second():
    pod = {"metadata": {}, "spec": {"terminationGracePeriodSeconds": -1}}
    REGISTRY.find("pods").strategy.default(pod)
    assert pod["spec"] == {"terminationGracePeriodSeconds": 1}


@pytest.mark.parametrize(
    ("note", "field", "told"),
    [
        ("seccomp.security.alpha.kubernetes.io/pod", "",
         'non-functional in v1.27+; use the "seccompProfile" field instead'),
        ("container.apparmor.security.beta.kubernetes.io/c", "",
         'deprecated since v1.30; use the "appArmorProfile" field instead'),
        ("container.apparmor.security.beta.kubernetes.io/c", "appArmorProfile", ""),
        ("container.seccomp.security.alpha.kubernetes.io/c", "seccompProfile", ""),
        ("scheduler.alpha.kubernetes.io/critical-pod", "",
         'non-functional in v1.16+; use the "priorityClassName" field instead'),
    ],
)  # fmt: skip
def test_an_annotation_of_a_template_that_does_nothing(note, field, told):
    container = {"name": "c", "securityContext": {field: {"type": "RuntimeDefault"}}}
    template = {"metadata": {"annotations": {note: "x"}}, "spec": {"containers": [container]}}
    path = f"spec.template.metadata.annotations[{note}]"
    assert warned("deployments", {"template": template}, {"name": "d"}) == ([f"{path}: {told}"] if told else [])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"externalIPs": ["1::01"]},
         ['spec.externalIPs[0]: IPv6 address "1::01" should be in RFC 5952 canonical format ("1::1")',
          "spec.externalIPs is deprecated and may no longer be implemented in some clusters"]),
        ({"clusterIP": "None", "externalIPs": ["1.1.1.1"], "sessionAffinity": "ClientIP"},
         ["spec.externalIPs is ignored for headless services",
          "spec.SessionAffinity is ignored for headless services"]),
        ({"loadBalancerSourceRanges": ["1::00/64"]},
         ['spec.loadBalancerSourceRanges[0]: IPv6 CIDR value "1::00/64" should be in RFC 5952 canonical format'
          ' ("1::/64")']),
        ({"type": "ExternalName", "externalIPs": ["1.1.1.1"]},
         ['spec.externalIPs is ignored when spec.type is "ExternalName"']),
        ({"externalName": "a"}, ['spec.externalName is ignored when spec.type is not "ExternalName"']),
        ({"trafficDistribution": "PreferClose"},
         ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"']),
    ],
)  # fmt: skip
def test_a_service_that_is_odd(spec, told):
    assert warned("services", spec) == told


def test_a_volume_that_is_odd():
    spec = {"persistentVolumeReclaimPolicy": "Recycle", "glusterfs": {},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [BETA_OS]}}}  # fmt: skip
    assert warned("persistentvolumes", spec, {"annotations": {CLASS: "a"}}) == [
        f'metadata.annotations[{CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead',
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended"
        " approach is to use dynamic provisioning.",
        f"spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: {OLD_OS}",
        "spec.glusterfs: deprecated in v1.25, non-functional in v1.26+",
    ]


def test_a_claim_of_parts_of_a_byte():
    assert warned("persistentvolumeclaims", asked(limits="1500m")) == [
        'spec.resources.limits[storage]: fractional byte value "1500m" is invalid, must be an integer'
    ]


def test_a_certificate_that_is_none():
    data = {"tls.crt": base64.b64encode(b"x").decode(), "tls.key": ""}
    told = warned("secrets", None, type="kubernetes.io/tls", data=data)
    assert told == ["tls: failed to find any PEM data in certificate input"]
