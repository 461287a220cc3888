"""What a kind does not let change is refused as upstream refuses it: path, value as Go prints it, sentence."""

import copy

import pytest

from labkit.glassbox.apiserver import schema
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.validation.internal_struct import difference, struct

CONTAINERS = [{"name": "c", "image": "busybox:1.36"}]
JOB = {"metadata": {"name": "x", "uid": "u"}, "spec": {
    "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
    "template": {
        "metadata": {"labels": {
            "batch.kubernetes.io/controller-uid": "u", "controller-uid": "u",
            "batch.kubernetes.io/job-name": "x", "job-name": "x",
        }},
        "spec": {"restartPolicy": "Never", "containers": CONTAINERS},
    },
}}  # fmt: skip
LOCAL = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "a"}
ATTRIBUTES = {"volumeAttributesClassName": "a"}
BOUND = {"phase": "Bound"}
CLASS = "volume.beta.kubernetes.io/storage-class"
SECRET = {"name": "a", "namespace": "b"}
DRIVEN = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": {"driver": "a", "volumeHandle": "b"}}


def pinned(key):
    """Return a volume's node affinity."""
    return {
        "required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "In", "values": ["b"]}]}]}
    }


ZONED = pinned("failure-domain.beta.kubernetes.io/zone")
ROLE = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}}
BALANCER = {"type": "LoadBalancer", "ports": [{"port": 80}], "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 31000, "loadBalancerClass": "a.example/b"}  # fmt: skip
NODE = {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"], "providerID": "a"}
EVENT = {"metadata": {"name": "x", "namespace": "default"}, "eventTime": "2026-01-01T00:00:00.000000Z",
         "type": "Normal", "regarding": {"kind": "Pod"}, "reportingController": "a", "reportingInstance": "b",
         "action": "c", "reason": "d"}  # fmt: skip
SCOPED = {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}


def merged(old, change):
    if not isinstance(old, dict) or not isinstance(change, dict):
        return change
    return {**old, **{key: merged(old.get(key), value) for key, value in change.items()}}


def refusals(kind, old, change):
    """Return "field: message" for each cause of refusing a change, without the lines of a difference."""
    resource = REGISTRY.find(kind)
    old = copy.deepcopy({"metadata": {"name": "x"}, **old})
    schema.apply_defaults(resource, old)
    new = copy.deepcopy(merged(old, change))
    schema.apply_defaults(resource, new)
    resource.strategy.default(new)
    resource.strategy.prepare_for_update(new, old)
    causes = resource.strategy.validate_update(new, old)
    return list(dict.fromkeys(f"{cause.field}: {cause.message}".partition("\n")[0] for cause in causes))


IMMUTABLE = "field is immutable"
ONLY_BOUND = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


@pytest.mark.parametrize(
    ("kind", "old", "change", "told"),
    [
        ("configmaps", {"data": {"a": "b"}, "immutable": True}, {"data": {"a": "c"}},
         ["data: Forbidden: field is immutable when `immutable` is set"]),
        ("services", {"spec": BALANCER}, {"spec": {"loadBalancerClass": "a.example/c"}},
         ['spec.loadBalancerClass: Invalid value: "a.example/c": may not change once set']),
        ("services", {"spec": BALANCER}, {"spec": {"healthCheckNodePort": 31001}},
         ["spec.healthCheckNodePort: Forbidden: field is immutable"]),
        ("services", {"spec": {"ports": [{"port": 80}]}}, {"spec": {"loadBalancerClass": "a.example/b"}},
         ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"]),
        ("persistentvolumes", {"spec": LOCAL}, {"spec": {"hostPath": {"path": "/b"}}},
         ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"]),
        ("persistentvolumes", {"spec": LOCAL}, {"spec": {"volumeMode": "Block"}},
         [f'volumeMode: Invalid value: "Block": {IMMUTABLE}']),
        ("persistentvolumeclaims", {"spec": CLAIM}, {"spec": {"volumeMode": "Block"}},
         [f"spec: Forbidden: {ONLY_BOUND}", f'volumeMode: Invalid value: "Block": {IMMUTABLE}']),
        ("persistentvolumeclaims", {"spec": CLAIM, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}},
         {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
         ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]),
        ("persistentvolumes", {"spec": LOCAL | {"nodeAffinity": ZONED}},
         {"spec": {"nodeAffinity": pinned("topology.kubernetes.io/zone")}}, []),
        ("persistentvolumes", {"spec": LOCAL | {"nodeAffinity": ZONED}}, {"spec": {"nodeAffinity": pinned("a")}},
         ['nodeAffinity: Invalid value: {"Required":{"NodeSelectorTerms":[{"MatchExpressions":[{"Key":"a",'
          f'"Operator":"In","Values":["b"]}}],"MatchFields":null}}]}}}}: {IMMUTABLE}, except for updating from beta'
          " label to GA"]),
        ("persistentvolumes", {"spec": DRIVEN}, {"spec": {"csi": {"controllerExpandSecretRef": SECRET}}}, []),
        ("persistentvolumes", {"spec": DRIVEN}, {"spec": {"csi": {"nodeExpandSecretRef": SECRET}}},
         ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"]),
        ("persistentvolumeclaims",
         {"spec": CLAIM | ATTRIBUTES, "status": BOUND | {"currentVolumeAttributesClassName": "a"}},
         {"spec": {"volumeAttributesClassName": None}},
         ["spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when"
          " status.currentVolumeAttributesClassName is not nil"]),
        ("persistentvolumeclaims", {"spec": CLAIM | ATTRIBUTES, "status": BOUND},
         {"spec": {"volumeAttributesClassName": None}}, []),
        ("persistentvolumeclaims", {"spec": CLAIM, "status": BOUND}, {"spec": ATTRIBUTES}, []),
        ("persistentvolumeclaims", {"spec": CLAIM}, {"spec": ATTRIBUTES}, [f"spec: Forbidden: {ONLY_BOUND}"]),
        ("persistentvolumeclaims", {"spec": CLAIM, "status": BOUND},
         {"spec": {"resources": {"limits": {"storage": "3Gi"}}}},
         [f"spec: Forbidden: {ONLY_BOUND}"]),
        ("persistentvolumeclaims", {"metadata": {"name": "x", "annotations": {CLASS: "a"}}, "spec": CLAIM},
         {"metadata": {"annotations": {CLASS: "b"}}},
         [f'metadata.annotations.{CLASS}: Invalid value: "b": {IMMUTABLE}']),
        ("jobs", JOB, {"spec": {"completions": 2}}, [f"spec.completions: Invalid value: 2: {IMMUTABLE}"]),
        ("jobs", JOB, {"spec": {"successPolicy": {"rules": [{"succeededCount": 1}]}, "completionMode": "Indexed"}},
         [f'spec.completionMode: Invalid value: "Indexed": {IMMUTABLE}',
          'spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: ' + IMMUTABLE]),
        ("rolebindings", ROLE, {"roleRef": {"name": "b"}},
         ['roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"b"}:'
          " cannot change roleRef"]),
        ("resourcequotas", {"spec": SCOPED}, {"spec": {"scopes": None}},
         [f"spec.scopes: Invalid value: null: {IMMUTABLE}"]),
        ("nodes", {"spec": NODE}, {"spec": {"podCIDR": "10.2.0.0/24"}},
         ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']),
        ("nodes", {"spec": NODE}, {"spec": {"podCIDRs": ["10.2.0.0/24"]}}, []),  # the one range counts
        ("nodes", {"spec": NODE}, {"spec": {"providerID": "b"}},
         ['spec.providerID: Forbidden: node updates may not change providerID except from "" to valid']),
        ("nodes", {"spec": NODE},
         {"spec": {"configSource": {"configMap": {"uid": "a", "name": "b", "namespace": "c"}}}},
         ["spec.configSource.configMap.uid: Forbidden: uid must not be set in spec",
          "spec.configSource.configMap.kubeletConfigKey: Required value"]),
        ("nodes", {"spec": NODE}, {"spec": {"configSource": {}}},
         ['spec.configSource: Invalid value: {"ConfigMap":null}: exactly one reference subfield must be non-nil']),
        ("endpoints", {"subsets": [{}]}, {"metadata": {"labels": {"a": "b"}}}, []),  # as older rules let it be
        ("ingressclasses", {"spec": {"controller": "a/b"}}, {"spec": {"controller": ""}},
         [f'spec.controller: Invalid value: "": {IMMUTABLE}', "spec.controller: Required value"]),
        ("priorityclasses", {"value": 5}, {"value": 6}, ["value: Forbidden: may not be changed in an update."]),
        ("runtimeclasses", {"handler": "a"}, {"handler": "b"}, [f'handler: Invalid value: "b": {IMMUTABLE}']),
        ("volumeattachments", {"spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"}}},
         {"spec": {"nodeName": "m"}},
         ['spec: Invalid value: {"Attacher":"a","Source":{"PersistentVolumeName":"p","InlineVolumeSpec":null},'
          f'"NodeName":"m"}}: {IMMUTABLE}']),
        ("csinodes", {"spec": {"drivers": [{"name": "a", "nodeID": "x"}]}},
         {"spec": {"drivers": [{"name": "a", "nodeID": "y"}]}},
         ['spec.drivers: Invalid value: {"Name":"a","NodeID":"y","TopologyKeys":null,"Allocatable":null}: '
          + IMMUTABLE]),
        ("events.events.k8s.io", EVENT, {"note": "z"}, [f'message: Invalid value: "z": {IMMUTABLE}']),
        ("events.events.k8s.io", EVENT, {"regarding": {"kind": "Node"}},
         ['involvedObject: Invalid value: {"Kind":"Node","Namespace":"","Name":"","UID":"","APIVersion":"",'
          f'"ResourceVersion":"","FieldPath":""}}: {IMMUTABLE}']),
        ("events.events.k8s.io", EVENT, {"series": {"count": 1}},
         ['series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: Required value"]),
    ],
)  # fmt: skip
def test_what_a_kind_does_not_let_change(kind, old, change, told):
    assert refusals(kind, old, change) == told


def test_a_job_s_template_is_quoted_with_all_its_unset_fields():
    (told,) = refusals("jobs", JOB, {"spec": {"template": {"spec": {"hostNetwork": True}}}})
    assert told.startswith('spec.template.spec: Invalid value: {"Volumes":null,"InitContainers":null,"Containers":[{')
    assert '"SecurityContext":{"HostNetwork":true,"HostPID":false,' in told
    assert told.endswith('"HostnameOverride":null,"SchedulingGroup":null}: field is immutable')


@pytest.mark.parametrize(("status", "refused"), [({}, False), ({"active": 1}, True)])
def test_a_suspended_job_without_pods_may_be_given_other_resources(status, refused):
    old = merged(JOB, {"spec": {"suspend": True}, "status": status})
    asked = {"containers": [{**CONTAINERS[0], "resources": {"limits": {"cpu": "1"}}}], "nodeSelector": {"a": "b"}}
    assert bool(refusals("jobs", old, {"spec": {"template": {"spec": asked}}})) == refused


def test_a_struct_shows_its_fields_in_go_s_order():
    assert struct("Volume", {"emptyDir": {}, "name": "v"})["EmptyDir"] == {"Medium": "", "SizeLimit": None}
    assert list(struct("EnvVar", {"value": "1", "name": "a"}).items()) == [
        ("Name", "a"), ("Value", "1"), ("ValueFrom", None),
    ]  # fmt: skip
    assert struct("PodAffinityTerm", {"topologyKey": "z", "labelSelector": {"matchLabels": {"b": "1", "a": "2"}}}) == {
        "LabelSelector": {"matchLabels": {"a": "2", "b": "1"}}, "Namespaces": None, "TopologyKey": "z",
        "NamespaceSelector": None, "MatchLabelKeys": None, "MismatchLabelKeys": None,
    }  # fmt: skip


def test_a_difference_shows_three_lines_around():
    told = difference("EnvVar", {"name": "a", "value": "<"}, {"name": "a", "value": "2"})
    assert told == (
        '@@ -1,5 +1,5 @@\n {\n  "Name": "a",\n- "Value": "\\u003c",\n+ "Value": "2",\n  "ValueFrom": null\n }\n'
    )
    assert difference("EnvVar", {"name": "a"}, {"name": "a", "value": ""}) == ""
