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


# -- batch


def job(**changes):
    pod = {"containers": [{"name": "c", "image": "b"}], "restartPolicy": "Never"}
    selecting = {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}}
    return {"spec": {**selecting, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}, **changes}}


INDEXED = {"completionMode": "Indexed", "completions": 5, "parallelism": 5}
BY_INDEX = {**INDEXED, "completions": 100_001, "backoffLimitPerIndex": 1}
ON_CODES = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"managedBy": "a.b/" + "c" * 60}, ["managedBy: Too long: may not be more than 63 bytes"]),
        (BY_INDEX, ["maxFailedIndexes: Required value: must be specified when completions is above 100000"]),
        ({**BY_INDEX, "maxFailedIndexes": 1, "parallelism": 10_001},
         ["parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and"
          " used with backoff limit per index"]),
        ({"podFailurePolicy": {"rules": [{**ON_CODES, "action": ""}]}},
         ['podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]']),
        ({"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "A", "status": ""}]}]}}, []),
        ({"podFailurePolicy": {"rules": []}, "podReplacementPolicy": "TerminatingOrFailed"},
         ['podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"']),
        ({**INDEXED, "successPolicy": {"rules": [{"succeededIndexes": "0-5"}]}},
         ['successPolicy.rules[0].succeededIndexes: Invalid value: "0-5": error parsing succeededIndexes: too large'
          ' index: "5"']),
        ({**INDEXED, "successPolicy": {"rules": [{"succeededIndexes": "0,1-2", "succeededCount": 4}]}},
         ["successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of"
          " indexes in the specified succeededIndexes field)"]),
    ],
)  # fmt: skip
def test_a_job_is_refused(spec, told):
    assert told_of("jobs", job(**spec)) == [f"spec.{each}" for each in told]


@pytest.mark.parametrize(
    ("schedule", "zone", "before", "told"),
    [
        ("TZ=UTC 0 * * * *", None, "TZ=UTC 1 * * * *", []),
        ("TZ=UTC 0 * * * *", "UTC", "TZ=UTC 1 * * * *",
         ["cannot use both timeZone field and TZ or CRON_TZ in schedule"]),
        ("TZ=UTC 0 * * * *", None, "0 * * * *",
         ["cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]),
        ("TZ=Mars 0 * * * *", None, "TZ=UTC 1 * * * *", ["provided bad location Mars: unknown time zone Mars"]),
    ],
)  # fmt: skip
def test_a_schedule_with_a_time_zone_of_its_own_stays_where_it_was(schedule, zone, before, told):
    def cron_job(schedule, zone=None):
        return {"spec": {"schedule": schedule, "timeZone": zone, "jobTemplate": {"spec": {"template": pod}}}}

    pod = {"spec": {"containers": [{"name": "c", "image": "b"}], "restartPolicy": "Never"}}
    told = [f'spec.schedule: Invalid value: "{schedule}": {each}' for each in told]
    assert told_of("cronjobs", cron_job(schedule, zone), cron_job(before)) == told


BEGAN, ENDED = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def status(*conditions, **more):
    return {"conditions": [{"type": each, "status": "True"} for each in conditions], **more}


COMPLETE = status("SuccessCriteriaMet", "Complete", startTime=BEGAN, completionTime=ENDED)
NO_CONDITION = "conditions: Invalid value: cannot"


@pytest.mark.parametrize(
    ("new", "old", "told"),
    [
        (COMPLETE, {}, []),
        (status("FailureTarget", "Failed", startTime=BEGAN), {}, []),
        (status("Failed", startTime=BEGAN), {},
         [f"{NO_CONDITION} set Failed=True condition without the FailureTarget=true condition"]),
        (status("Complete", startTime=BEGAN, completionTime=ENDED), {},
         [f"{NO_CONDITION} set Complete=True condition without the SuccessCriteriaMet=true condition"]),
        ({**COMPLETE, "active": 1}, {}, ["active: Invalid value: 1: active>0 is invalid for finished job"]),
        ({**COMPLETE, "completionTime": "2025-01-01T00:00:00Z"}, {},
         ['completionTime: Invalid value: "2025-01-01T00:00:00Z": completionTime cannot be set before startTime']),
        ({"completionTime": ENDED}, {}, [f'completionTime: Invalid value: "{ENDED}": cannot set completionTime when'
                                        " there is no Complete=True condition"]),
        ({"ready": 2, "active": 1}, {}, ["ready: Invalid value: 2: cannot set more ready pods than active"]),
        ({"succeeded": 1}, {"succeeded": 2}, ["succeeded: Invalid value: 1: cannot decrease the succeeded counter"]),
        ({}, {"startTime": BEGAN}, ["startTime: Required value: startTime cannot be removed for unsuspended job"]),
        ({"startTime": ENDED}, {"startTime": BEGAN},
         ["startTime: Required value: startTime cannot be removed for unsuspended job"]),
        ({"startTime": ENDED}, status("Suspended", startTime=BEGAN), []),
        (status("SuccessCriteriaMet", startTime=BEGAN), COMPLETE,
         [f"{NO_CONDITION} disable the terminal Complete=True condition"]),
        ({"failedIndexes": "0,2", "completedIndexes": "1-3"}, {},
         ['failedIndexes: Invalid value: "0,2": failedIndexes and completedIndexes overlap at index: 2']),
    ],
)  # fmt: skip
def test_a_job_s_status_goes_one_way(new, old, told):
    from labkit.glassbox.resources import REGISTRY

    spec = {"completionMode": "Indexed", "completions": 5, "parallelism": 2, "backoffLimitPerIndex": 1}
    found = REGISTRY.find("jobs").strategy.validate_status_update({"spec": spec, "status": new}, {"status": old})
    assert [f"{cause.field}: {cause.message}" for cause in found] == [f"status.{each}" for each in told]


# -- autoscaling, policy


def autoscaler(metric=None, **spec):
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"scaleTargetRef": scaled, "maxReplicas": 3, **spec}
    return {"spec": {**spec, **({"metrics": [metric]} if metric else {})}}


PER_POD = {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}}
OBJECT = {"describedObject": {"kind": "K", "name": "n"}, "metric": {"name": "m"}}


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ({"type": ""}, ["type: Required value: must specify a metric source type",
                        *['type: Unsupported value: "": supported values: "ContainerResource", "External", "Object",'
                          ' "Pods", "Resource"'] * 2]),
        ({"type": "Object", "object": {**OBJECT, "target": {"type": "Value"}}},
         ["object.target.averageValue: Required value: must set either a target value or averageValue"]),
        ({"type": "Object", "object": {**OBJECT, "target": {"type": "Value", "value": "1", "averageValue": "1"}}}, []),
        ({"type": "Pods", "pods": {**PER_POD, "target": {"averageValue": "1"}}},
         ["pods.target.type: Required value: must specify a metric target type",
          'pods.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue']),
        ({"type": "ContainerResource", "containerResource": {
            "name": "disk", "container": "A", "target": {"type": "Value", "averageValue": "1"}}},
         ['containerResource.name: Invalid value: "disk": must be a standard resource type or fully qualified',
          'containerResource.name: Invalid value: "disk": must be a standard resource for containers',
          f'containerResource.container: Invalid value: "A": {LABEL} with an alphanumeric character']),
    ],
)  # fmt: skip
def test_an_autoscaler_s_metric_is_refused(metric, told):
    assert told_of("horizontalpodautoscalers", autoscaler(metric)) == [f"spec.metrics[0].{each}" for each in told]


def test_an_autoscaler_tolerates_no_less_than_nothing():
    told = 'spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0'
    assert told_of("horizontalpodautoscalers", autoscaler(behavior={"scaleUp": {"tolerance": "-1"}})) == [told]


def test_conditions_are_complete_and_of_one_type_each():
    good = {"type": "A", "status": "True", "reason": "R", "lastTransitionTime": BEGAN}
    bad = {"type": "A", "status": "yes", "reason": "a b", "observedGeneration": -1, "message": "m" * 32769}
    assert status_faults("poddisruptionbudgets", {"conditions": [good, bad, {**good, "type": "B", "reason": ""}]}) == [
        'status.conditions[1].type: Duplicate value: "A"',
        'status.conditions[1].status: Unsupported value: "yes": supported values: "False", "True", "Unknown"',
        "status.conditions[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
        "status.conditions[1].lastTransitionTime: Required value: must be set",
        'status.conditions[1].reason: Invalid value: "a b": a condition reason must start with alphabetic character,'
        " optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric"
        " character or '_'",
        "status.conditions[1].message: Too long: may not be more than 32768 bytes",
        "status.conditions[2].reason: Required value: must be set",
    ]


# -- storage.k8s.io

ON_NODE = {"key": "kubernetes.io/hostname", "values": ["a"]}
INLINE = {"accessModes": ["ReadWriteOnce"], "csi": {"driver": "a.b", "volumeHandle": "c"}}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"parameters": {str(index): "" for index in range(513)}},
         ["parameters: Too long: may not be more than 512 bytes"]),
        ({"parameters": {"a": "b" * 262144}}, ["parameters: Too long: may not be more than 262144 bytes"]),
        ({"allowedTopologies": [{"matchLabelExpressions": [ON_NODE, ON_NODE]}]},
         ['allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "kubernetes.io/hostname"']),
        ({"allowedTopologies": [{"matchLabelExpressions": [{**ON_NODE, "values": ["a", "a"]}]}]},
         ['allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"']),
        ({"allowedTopologies": [{"matchLabelExpressions": [ON_NODE]}] * 2},
         ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""']),
    ],
)  # fmt: skip
def test_a_storage_class_is_refused(fields, told):
    assert told_of("storageclasses", {"provisioner": "a.b/c", **fields}) == told


def test_what_a_storage_class_makes_volumes_by_never_changes():
    old = {"provisioner": "a", "parameters": {"a": "b"}}
    told = told_of(
        "storageclasses", {"provisioner": "a", "reclaimPolicy": "Retain"}, {**old, "reclaimPolicy": "Delete"}
    )
    assert told[0] == "parameters: Invalid value: null: field is immutable"
    assert 'reclaimPolicy: Invalid value: "Retain": field is immutable' in told


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("csidrivers", {"tokenRequests": [{"expirationSeconds": 10}]},
         ["tokenRequests[0].expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes"]),
        ("csidrivers", {"serviceAccountTokenInSecrets": True},
         ["serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests"
          " are specified"]),
        ("csidrivers", {"nodeAllocatableUpdatePeriodSeconds": 9},
         ["nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds"]),
        ("csidrivers", {"volumeLifecycleModes": ["x"]},
         ['volumeLifecycleModes: Unsupported value: "x": supported values: "Persistent", "Ephemeral"']),
        ("csinodes", {"drivers": [{"name": "a" * 64, "nodeID": "b" * 193, "topologyKeys": ["c", "c"],
                                   "allocatable": {"count": -1}}]},
         ["drivers[0].name: Too long: may not be more than 63 bytes",
          f'drivers[0].nodeID: Invalid value: "{"b" * 193}": must be 192 characters or less',
          "drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
          'drivers[0]: Duplicate value: "c"']),
        ("volumeattachments", {"attacher": "a", "nodeName": "n", "source": {}},
         ["source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]),
        ("volumeattachments", {"attacher": "a", "nodeName": "n", "source": {
            "persistentVolumeName": "v", "inlineVolumeSpec": INLINE}},
         ["source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]),
        ("volumeattachments", {"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": INLINE}}, []),
    ],
)  # fmt: skip
def test_what_drivers_tell_is_refused(kind, spec, told):
    assert told_of(kind, {"spec": spec}) == [f"spec.{each}" for each in told]


def test_how_an_attachment_failed_is_told_in_short():
    assert status_faults("volumeattachments", {"attachError": {"message": "m" * 1025, "errorCode": -1}}) == [
        "status.attachError.message: Too long: may not be more than 262144 bytes",
        "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ]


def test_a_class_of_attributes_has_some():
    assert told_of("volumeattributesclasses", {"driverName": "A.b"}) == [
        "parameters: Required value: must contain at least one key/value pair"
    ]


# -- discovery, coordination, scheduling, node, certificates


def endpoint_slice(kind="IPv4", **endpoint):
    return {"addressType": kind, "endpoints": [{"addresses": ["10.0.0.1"], **endpoint}]}


@pytest.mark.parametrize(
    ("kind", "endpoint", "told"),
    [
        ("IPv4", {"addresses": ["01.2.3.4"]}, ['addresses[0]: Invalid value: "01.2.3.4": must not have leading 0s']),
        ("IPv4", {"addresses": ["fd00::1"]}, ['addresses[0]: Invalid value: "fd00::1": must be an IPv4 address']),
        ("IPv4", {"addresses": ["10.0.0.1"] * 101}, ["addresses: Too many: 101: must have at most 100 items"]),
        ("FQDN", {"addresses": ["a.example.", "a"]},
         ['addresses[1]: Invalid value: "a": should be a domain with at least two segments separated by dots']),
        ("IPv4", {"hints": {"forZones": [{"name": "a"}, {"name": "a"}]}},
         ['hints.forZones[1].name: Duplicate value: "a"']),
        ("IPv4", {"hints": {"forNodes": [{"name": str(index)} for index in range(9)]}},
         ["hints.forNodes: Too many: 9: must have at most 8 items"]),
    ],
)  # fmt: skip
def test_an_endpoint_is_refused(kind, endpoint, told):
    assert told_of("endpointslices", endpoint_slice(kind, **endpoint)) == [f"endpoints[0].{each}" for each in told]


def test_a_slice_has_a_thousand_endpoints():
    given = {"addressType": "IPv4", "endpoints": [{}] * 1001}
    assert told_of("endpointslices", given) == ["endpoints: Too many: 1001: must have at most 1000 items"]


def test_a_lock_has_no_strategy_as_long_as_that_feature_is_off(api_server, namespace):
    lease = {"metadata": {"name": "l"}, "spec": {"strategy": "x", "preferredHolder": "y", "holderIdentity": "z"}}
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    assert api_server.request("POST", path, lease)[1]["spec"] == {"holderIdentity": "z"}


def test_a_class_of_the_system_has_its_value():
    known = {"metadata": {"name": "system-node-critical"}, "value": 1}
    assert told_of("priorityclasses", known) == [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error:"
        " value of system-node-critical PriorityClass must be 2000001000"
    ]


def test_a_runtime_class_tolerates_each_taint_once():
    again = [{"key": "a", "operator": "Exists"}] * 2
    assert told_of("runtimeclasses", {"handler": "a", "scheduling": {"tolerations": again}}) == [
        'scheduling.tolerations[1]: Duplicate value: {"Key":"a","Operator":"Exists","Value":"","Effect":"",'
        '"TolerationSeconds":null}'
    ]


APPROVED, DENIED, FAILED = ({"type": each, "status": "True"} for each in ("Approved", "Denied", "Failed"))


@pytest.mark.parametrize(
    ("new", "old", "told"),
    [
        ({"conditions": [FAILED]}, {}, []),
        ({}, {"conditions": [FAILED]}, ['conditions: Forbidden: updates may not remove a condition of type "Failed"']),
        ({"conditions": [{**FAILED, "status": "False"}]}, {},
         ['conditions[0].status: Unsupported value: "False": supported values: "True"']),
        ({"conditions": [APPROVED, DENIED]}, {"conditions": [APPROVED, DENIED]},
         ['conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive']),
        ({"certificate": "LS0tLS1CRUdJTiBYLS0tLS0KQUFBQQotLS0tLUVORCBYLS0tLS0K"}, {},
         ['certificate: Invalid value: "<certificate data>": only CERTIFICATE PEM blocks are allowed, found "X"']),
        ({}, {"certificate": "YQ=="}, ["certificate: Forbidden: updates may not modify existing certificate content"]),
    ],
)  # fmt: skip
def test_what_a_signer_writes_is_refused(new, old, told):
    assert status_faults("certificatesigningrequests", new, old) == [f"status.{each}" for each in told]


# -- apiextensions

LIST, KEYS, MAP = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
KEYED = {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}
OF_SET, OF_MAP = (
    "must be atomic as item of a list with x-kubernetes-list-type=set",
    "parent array's x-kubernetes-list-type",
)


def schema_faults(schema):
    from labkit.glassbox.resources.validation import structural

    return [f"{cause.field}: {cause.message}" for cause in structural.check(schema, "s")]


def rule(**given):
    return {"type": "string", "x-kubernetes-validations": [{"rule": "true", **given}]}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", MAP: "atomic"}, f'.type: Invalid value: "string": must be object if {MAP} is specified'),
        ({"x-kubernetes-int-or-string": True, LIST: "set"},
         f".type: Required value: must be array if {LIST} is specified"),
        ({"type": "array", LIST: "set", "items": {"type": "array", LIST: "set", "items": {"type": "string"}}},
         f'.items.{LIST}: Invalid value: "set": {OF_SET}'),
        ({"type": "array", LIST: "set", "items": {"type": "object"}}, f".items.{MAP}: Invalid value: null: {OF_SET}"),
        ({"type": "array", LIST: "set", "items": {"type": "string", "nullable": True}},
         f".items.nullable: Forbidden: cannot be nullable when {LIST} is set"),
        ({"type": "array", KEYS: ["k"], "items": KEYED},
         f".{LIST}: Required value: must be map if {KEYS} is non-empty"),
        ({"type": "array", LIST: "map", KEYS: ["k"], "items": {"type": "string"}},
         f'.items.type: Invalid value: "string": must be object if {OF_MAP} is map'),
        ({"type": "array", LIST: "map", KEYS: ["k", "k"], "items": KEYED},
         f'.{KEYS}: Invalid value: ["k","k"]: must not contain duplicate entries'),
        ({"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"kind": {"type": "integer"}}},
         '.properties[kind].type: Invalid value: "integer": must be string'),
        ({"type": "string", "enum": ["a"], "default": "b"}, '.default: Unsupported value: "b": supported values: "a"'),
        (rule(message=" "), '.x-kubernetes-validations[0].message: Invalid value: " ": message must be non-empty if'
                            " specified"),
        (rule(rule="true\n"), None),
        (rule(rule="true\n&& true"), ".x-kubernetes-validations[0].message: Required value: message must be specified"
                                     " if rule contains line breaks"),
        (rule(messageExpression=" "), ".x-kubernetes-validations[0].messageExpression: Required value:"
                                      " messageExpression must be non-empty if specified"),
    ],
)  # fmt: skip
def test_a_field_of_a_definition_is_refused(schema, told):
    found = schema_faults({"type": "object", "properties": {"a": schema}})
    assert found == ([f"s.properties[a]{told}"] if told else [])


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"nullable": True}, ".nullable: Forbidden: nullable cannot be true at the root"),
        ({"additionalProperties": {"type": "string"}},
         ".additionalProperties: Forbidden: must not be used at the root"),
        ({"properties": {"kind": {"type": "string", "default": "K"}}},
         ".properties[kind].default: Forbidden: must not be set in top-level kind"),
        ({"properties": {"metadata": {"type": "string"}}},
         '.properties[metadata].type: Invalid value: "string": must be object'),
    ],
)  # fmt: skip
def test_the_root_of_a_definition_is_refused(schema, told):
    assert schema_faults({"type": "object", **schema}) == [f"s{told}"]


def test_rules_are_not_looked_at_where_the_schema_has_a_fault():
    faulty = {**rule(rule="self.none"), MAP: "atomic"}
    assert [each.partition(": ")[0] for each in schema_faults({"type": "object", "properties": {"a": faulty}})] == [
        "s.properties[a].type"
    ]


def test_what_a_deprecated_version_says_can_be_read():
    def definition(text):
        version = {"name": "v1", "storage": True, "deprecated": True, "deprecationWarning": text}
        return {"spec": {"group": "a.b", "versions": [{**version, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}

    told = {
        "": "must not be an empty string",
        "a" * 257: "must be <= 256 characters long",
        "a\tb": "must only contain printable UTF-8 characters; non-printable character found at index 1",
    }
    for text, sentence in told.items():
        found = [each for each in told_of("customresourcedefinitions", definition(text)) if "deprecation" in each]
        assert [each.rpartition('": ')[2] for each in found] == [sentence]


def test_the_names_that_were_accepted_are_names():
    names = {"plural": "as", "kind": "A_", "listKind": "A_"}
    assert [
        each.partition(": ")[0] for each in status_faults("customresourcedefinitions", {"acceptedNames": names})
    ] == [
        "status.acceptedNames.kind",
        "status.acceptedNames.listKind",
        "status.acceptedNames.listKind",
    ]


# -- admissionregistration

RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def policy(**changes):
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}], **changes}
    return {"spec": spec}


def hook(path, *, versions=("v1",)):
    service = {"name": "s", "namespace": "n", "path": path}
    given = {"name": "a.b.c", "clientConfig": {"service": service}, "admissionReviewVersions": list(versions)}
    return {"webhooks": [{**given, "sideEffects": "None"}]}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"paramKind": {}}, ["paramKind.apiVersion: Required value", "paramKind.kind: Required value"]),
        ({"paramKind": {"apiVersion": "a/b/c", "kind": "K"}},
         ['paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
        ({"validations": [{"expression": "true", "message": " "}]},
         ['validations[0].message: Invalid value: " ": message must be non-empty if specified']),
        ({"validations": [{"expression": "true", "message": "a\nb"}]},
         ['validations[0].message: Invalid value: "a\\nb": message must not contain line breaks']),
        ({"validations": [{"expression": "true", "messageExpression": " "}]},
         ['validations[0].messageExpression: Invalid value: " ": must be non-empty if specified']),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "'v'"}, {"key": "k", "valueExpression": ""}]},
         ["auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
          'auditAnnotations[1].key: Duplicate value: "k"']),
        ({"matchConditions": [{"name": str(index), "expression": "true"} for index in range(65)]},
         ["matchConditions: Too many: 65: must have at most 64 items"]),
        ({"matchConstraints": {"resourceRules": [{**RULE, "resourceNames": ["a", "a"]}]}},
         ['matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a"']),
    ],
)  # fmt: skip
def test_a_policy_is_refused(spec, told):
    assert told_of("validatingadmissionpolicies", policy(**spec)) == [f"spec.{each}" for each in told]


def test_a_binding_names_a_policy_and_what_is_done():
    given = {"policyName": "A", "paramRef": {"name": "a/b", "parameterNotFoundAction": "Deny"}}
    assert told_of("validatingadmissionpolicybindings", {"spec": given}) == [
        'spec.policyName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric'
        " characters, '-' or '.', and must start and end with an alphanumeric character",
        "spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'",
        "spec.validationActions: Required value: at least one validation action is required",
    ]


def test_what_was_found_about_a_policy_says_where_and_what():
    found = {"typeChecking": {"expressionWarnings": [{}]}, "conditions": [{"type": "A", "status": "x", "reason": "R"}]}
    assert status_faults("validatingadmissionpolicies", found) == [
        "status.typeChecking.expressionWarnings[0].warning: Required value",
        "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
        'status.conditions[0].status: Unsupported value: "x": supported values: "False", "True", "Unknown"',
        "status.conditions[0].lastTransitionTime: Required value: must be set",
    ]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/", []), ("/a/b/", []), ("/a//b", ["segment[1] may not be empty"]), ("//", ["segment[0] may not be empty"]),
        ("a", ["must start with a '/'", "segment[0] may not be empty"]),
    ],
)  # fmt: skip
def test_a_service_that_is_asked_has_a_path_of_names(path, told):
    at = "webhooks[0].clientConfig.service.path"
    found = told_of("validatingwebhookconfigurations", hook(path))
    assert found == [f'{at}: Invalid value: "{path}": {each}' for each in told]


def test_versions_of_reviews_are_names():
    told = 'webhooks[0].admissionReviewVersions[1]: Invalid value: "1": a DNS-1035 label must consist of lower case'
    found = told_of("validatingwebhookconfigurations", hook("/", versions=("v1", "1")))
    assert [each[: len(told)] for each in found] == [told]


# -- metadata, authorization


def test_a_generation_is_no_less_than_nothing():
    told = "metadata.generation: Invalid value: -1: must be greater than or equal to 0"
    assert told_of("configmaps", {"metadata": {"name": "x", "generation": -1}}) == [told]


def test_a_grace_period_is_the_system_s(api_server, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    given = api_server.request("POST", path, {"metadata": {"name": "x"}})[1]
    given["metadata"]["deletionGracePeriodSeconds"] = 5
    code, refusal = api_server.request("PUT", f"{path}/x", given)
    assert code == 422
    assert refusal["message"] == (
        'ConfigMap "x" is invalid: metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable'
    )


@pytest.mark.parametrize(
    ("field", "selector", "told"),
    [
        ("labelSelector", {}, "requirements: Required value: when spec.resourceAttributes.labelSelector is specified,"
                              " requirements or rawSelector is required"),
        ("fieldSelector", {"requirements": [{"key": "", "operator": "Exists"}]},
         "requirements[0].key: Required value: must be specified"),
        ("fieldSelector", {"requirements": [{"key": "a", "operator": "In"}]},
         "requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"),
        ("labelSelector", {"requirements": [{"key": "a", "operator": "Like"}]}, None),
    ],
)  # fmt: skip
def test_a_question_about_some_objects_says_which(api_server, field, selector, told):
    asked = {"verb": "list", "resource": "pods", field: selector}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    code, answer = api_server.request("POST", path, {"spec": {"resourceAttributes": asked}})
    causes = [f"{each['field']}: {each['message']}" for each in answer.get("details", {}).get("causes", [])]
    assert (code, causes) == ((422, [f"spec.resourceAttributes.{field}.{told}"]) if told else (201, []))


# -- flowcontrol, apiregistration

SHARED = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
SOMEBODY = {"kind": "User", "user": {"name": "u"}}


def flow(rule=None, **spec):
    rules = [{"subjects": [SOMEBODY], "resourceRules": [{**SHARED, **(rule or {})}]}]
    return {"spec": {"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 5, "rules": rules, **spec}}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"verbs": ["feed"]}, 'verbs: Unsupported value: ["feed"]: supported values: "create", "delete",'
                              ' "deletecollection", "get", "list", "patch", "proxy", "update", "watch"'),
        ({"namespaces": ["-a"]}, "namespaces[0]: Invalid value: \"-a\": each member of this list must be '*' or a"
                                 f" DNS-1123 label; {LABEL} with an alphanumeric character"),
    ],
)  # fmt: skip
def test_a_flow_s_requests_are_known_verbs_in_namespaces(rule, told):
    assert told_of("flowschemas", flow(rule)) == [f"spec.rules[0].resourceRules[0].{told}"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "must not be empty"), ("a", "must start with slash"), ("/a b", "must not contain white-space"),
        ("/a//b", "must not contain double slash"), ("/a*", "wildcard can only do suffix matching"), ("/a/*", None),
    ],
)  # fmt: skip
def test_a_flow_s_paths_are_paths(url, told):
    rules = [{"subjects": [SOMEBODY], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": [url]}]}]
    at = "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]"
    assert told_of("flowschemas", flow(rules=rules)) == ([f'{at}: Invalid value: "{url}": {told}'] if told else [])


def test_what_every_server_has_stays_as_it_is():
    told = told_of("flowschemas", {"metadata": {"name": "catch-all"}, **flow(rules=[])})
    assert told == [
        'spec: Invalid value: {"PriorityLevelConfiguration":{"Name":"p"},"MatchingPrecedence":5,'
        '"DistinguisherMethod":null,"Rules":null}: spec of \'catch-all\' must equal the fixed value'
    ]
    level = {"metadata": {"name": "exempt"}, "spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 5}}}
    assert told_of("prioritylevelconfigurations", level) == []


def test_hands_are_dealt_from_a_hash():
    queuing = {"queues": 512, "handSize": 8}
    limited = {"limitResponse": {"type": "Queue", "queuing": queuing}}
    assert told_of("prioritylevelconfigurations", {"spec": {"type": "Limited", "limited": limited}}) == [
        "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 512 and"
        " handSize 8 should not be greater than 60"
    ]


def test_an_api_of_this_server_has_no_certificates():
    spec = {"group": "", "version": "V1", "groupPriorityMinimum": 1, "versionPriority": 1, "caBundle": "YQ=="}
    assert told_of("apiservices", {"metadata": {"name": "V1."}, "spec": spec}) == [
        "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
        'spec.version: Invalid value: "V1": a DNS-1035 label must consist of lower case alphanumeric characters or'
        " '-', start with an alphabetic character, and end with an alphanumeric character",
        'spec.caBundle: Invalid value: "1 bytes": local APIServices may not have a caBundle',
    ]


# -- resource.k8s.io

WANTED = {"name": "gpu", "exactly": {"deviceClassName": "gpus"}}
CHOICES = {"name": "any", "firstAvailable": [{"name": each, "deviceClassName": "gpus"} for each in ("big", "small")]}
SETTINGS = {"opaque": {"driver": "d.example", "parameters": {}}}
OF_A_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def claim(*requests, **devices):
    return {"spec": {"devices": {"requests": list(requests or (WANTED, CHOICES)), **devices}}}


def claimed(**changes):
    return claim({"name": "gpu", "exactly": {**WANTED["exactly"], **changes}})


def slice_of(*devices, **spec):
    pool = {"name": "p", "generation": 0, "resourceSliceCount": 1}
    return {"spec": {"driver": "d.example", "pool": pool, "nodeName": "n", "devices": list(devices), **spec}}


def device_faults(**device):
    found = told_of("resourceslices", slice_of({"name": "a", **device}))
    return [each.removeprefix("spec.devices[0].") for each in found]


@pytest.mark.parametrize("name", ["gpu", "any", "any/big"])
def test_a_claim_may_speak_of_its_requests_and_their_choices(name):
    rules = {"requests": [name]}
    assert told_of("resourceclaims", claim(config=[{**SETTINGS, **rules}])) == []
    assert told_of("resourceclaims", claim(constraints=[{"matchAttribute": "a.b/c", **rules}])) == []


@pytest.mark.parametrize("name", ["gpu/big", "any/none", "any/big/more", "none"])
def test_a_claim_speaks_of_no_others(name):
    assert told_of("resourceclaims", claim(config=[{**SETTINGS, "requests": [name]}])) == [
        f'spec.devices.config[0].requests[0]: Invalid value: "{name}": {OF_A_REQUEST}'
    ]


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        ({}, [': Required value: exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple'
              " fields are set"]),
        ({"distinctAttribute": "c"}, ['.distinctAttribute: Invalid value: "c": a fully qualified name must be a domain'
                                      " and a name separated by a slash"]),
        ({"matchAttribute": "/"}, ['.matchAttribute: Invalid value: "": the domain must not be empty',
                                   '.matchAttribute: Invalid value: "": the name must not be empty']),
        ({"matchAttribute": "a.b/c", "requests": ["gpu", "gpu"]}, ['.requests[1]: Duplicate value: "gpu"']),
    ],
)  # fmt: skip
def test_a_constraint_compares_one_attribute(constraint, told):
    found = told_of("resourceclaims", claim(constraints=[constraint]))
    assert found == [f"spec.devices.constraints[0]{each}" for each in told]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ('device.driver == "d" && device.attributes["a.b"].size > 1', None),
        ("1", 'Invalid value: "1": must evaluate to bool or the unknown type, not int'),
        ("device.size", 'Invalid value: "device.size": compilation failed: ERROR: <input>:1:7: undefined field'),
        ("true" + " " * 10240, "Too long: may not be more than 10240 bytes"),
    ],
)
def test_devices_are_chosen_by_an_expression_about_one(expression, told):
    found = told_of("resourceclaims", claimed(selectors=[{"cel": {"expression": expression}}]))
    path = "spec.devices.requests[0].exactly.selectors[0].cel.expression"
    assert [each.partition(" 'size'")[0] for each in found] == ([f"{path}: {told}"] if told else [])


def test_a_toleration_of_a_device_says_what_it_tolerates():
    given = [{"key": "a"}, {"operator": "Exists", "value": "a"}, {"operator": "x", "effect": "y"}]
    path = "spec.devices.requests[0].exactly.tolerations"
    assert told_of("resourceclaims", claimed(tolerations=given)) == [
        f'{path}[1].value: Invalid value: "a": must be empty for operator `Exists`',
        f'{path}[2].operator: Unsupported value: "x": supported values: "Equal", "Exists"',
        f'{path}[2].effect: Unsupported value: "y": supported values: "NoExecute", "NoSchedule", "None"',
    ]


def test_what_a_driver_is_told_is_an_object():
    def told(parameters):
        return told_of("resourceclaims", claim(config=[{"opaque": {"driver": "d", "parameters": parameters}}]))

    path = "spec.devices.config[0].opaque.parameters"
    assert told(None) == [f"{path}: Required value"]
    assert told("a") == [f'{path}: Invalid value: "<value omitted>": must be a valid JSON object']
    assert told({"a": "b" * 10240}) == [f"{path}: Too long: may not be more than 10240 bytes"]


def test_what_is_claimed_stays_and_is_not_looked_at_again():
    old = claim({"name": "%", "exactly": WANTED["exactly"]})
    (told,) = told_of("resourceclaims", claim({"name": "&", "exactly": WANTED["exactly"]}), old)
    assert told.startswith(
        'spec: Invalid value: {"Devices":{"Requests":[{"Name":"\\u0026","Exactly":{"DeviceClassName"'
    )
    assert told.endswith("field is immutable")
    assert told_of("resourceclaims", old, old) == []


def test_a_template_of_claims_has_labels_and_annotations_and_no_name():
    spec = {"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": claim()["spec"]}
    assert told_of("resourceclaimtemplates", {"spec": spec}) == ["spec.metadata.name: Forbidden: cannot be set"]


DEVICE = {"driver": "d", "pool": "p", "device": "a"}
GIVEN = {"devices": {"results": [{"request": "gpu", **DEVICE}]}}


def claim_status_faults(status, old=None, **meta):
    from labkit.glassbox.resources import REGISTRY

    obj = {"metadata": {"name": "x", **meta}, **claim(), "status": status}
    found = REGISTRY.find("resourceclaims").strategy.validate_status_update(obj, {**obj, "status": old or {}})
    return [f"{cause.field}: {cause.message}".partition(" (e.g.")[0] for cause in found]


def test_who_may_use_a_claim_is_told_once_it_has_devices():
    user = {"resource": "pods", "name": "a", "uid": "1"}
    late = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
    path, leaving = "status.reservedFor", {"deletionTimestamp": "2024-01-01T00:00:00Z"}
    assert claim_status_faults({"allocation": GIVEN, "reservedFor": [user]}) == []
    assert claim_status_faults({"reservedFor": [user]}) == [
        f"{path}: Forbidden: may not be specified when `allocated` is not set"
    ]
    held = {"allocation": GIVEN, "reservedFor": [user, {"resource": "pods"}, user]}
    assert claim_status_faults(held, held, **leaving) == [
        f"{path}[1].name: Required value",
        f"{path}[1].uid: Required value",
        f'{path}[2]: Duplicate value: "1"',
    ]
    assert claim_status_faults({"allocation": GIVEN, "reservedFor": [user]}, {"allocation": GIVEN}, **leaving) == [
        f"{path}: Forbidden: {late}"
    ]


def test_the_devices_of_a_claim_stay():
    other = {"devices": {"results": [{"request": "gpu", **DEVICE, "device": "b"}]}}
    (told,) = claim_status_faults({"allocation": other}, {"allocation": GIVEN})
    assert told.startswith('status.allocation: Invalid value: {"Devices":{"Results":[{"Request":"gpu","Driver":"d"')


def test_a_driver_tells_of_devices_that_were_given():
    told = [DEVICE, DEVICE, {**DEVICE, "device": "b", "shareID": "c"}]
    told[1] = {**DEVICE, "networkData": {"ips": ["10.0.0.1", "010.0.0.1/8"]}}
    assert claim_status_faults({"allocation": GIVEN, "devices": told}, {"allocation": GIVEN}) == [
        'status.devices[1].networkData.ips[0]: Invalid value: "10.0.0.1": must be a valid address in CIDR form,',
        'status.devices[1].networkData.ips[1]: Invalid value: "010.0.0.1/8": must be in canonical form ("10.0.0.1/8")',
        'status.devices[2].shareID: Invalid value: "c": uid must be in RFC 4122 normalized form,'
        " `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters",
        "status.devices[2]: Invalid value: d/p/b/c: must be an allocated device in the claim",
        "status.devices[1]: Duplicate value: d/p/a",
    ]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"nodeName": ""}, ['.nodeName: Invalid value: "": must be either unset or set to a non-empty string',
                            ": Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`,"
                            " `perDeviceNodeSelection` is required"]),
        ({"allNodes": False}, [".allNodes: Invalid value: false: must be either unset or set to true"]),
        ({"allNodes": True}, [': Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`,'
                              " `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set"]),
        ({"sharedCounters": []}, [': Invalid value: "": only one of `sharedCounters` or `devices` is allowed']),
        ({"pool": {"name": "a//b", "resourceSliceCount": 1}},
         ['.pool.name: Invalid value: "": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric'
          " characters, '-' or '.', and must start and end with an alphanumeric character"]),
    ],
)  # fmt: skip
def test_a_slice_says_where_its_devices_are(spec, told):
    assert told_of("resourceslices", slice_of(**spec)) == [f"spec{each}" for each in told]


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ({"attributes": {"a": {"ints": [1]}, "b": {"version": "1.2"}}},
         ['attributes[a]: Invalid value: "": exactly one value must be specified',
          'attributes[b].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0']),
        ({"taints": [{"key": "a", "effect": "x"}, {"key": "a"}]},
         ['taints[0].effect: Unsupported value: "x": supported values: "NoExecute", "NoSchedule", "None"',
          "taints[1].effect: Required value"]),
        ({"consumesCounters": [{"counterSet": "a"}, {"counters": {"b": {"value": "1"}}}]},
         ["consumesCounters[0].counters: Required value", "consumesCounters[1].counterSet: Required value"]),
        ({"bindingConditions": ["a"], "bindingFailureConditions": ["a"]},
         ['bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with'
          " bindingConditions"]),
        ({"bindingConditions": ["a"]},
         ["bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use"
          " bindingConditions"]),
    ],
)  # fmt: skip
def test_a_device_is_refused(device, told):
    assert device_faults(**device) == told


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"default": "5", "validValues": ["5", "10"]}, []),
        ({"validValues": ["5"]}, [".default: Required value: required when validValues is defined"]),
        ({"default": "7", "validValues": ["10", "5", "200"]},
         ['.validValues[1]: Invalid value: "5": values must be sorted in ascending order',
          '.validValues[2]: Invalid value: "200": option is larger than capacity value: 100',
          '.validValues: Invalid value: "7": default value is not valid according to the requestPolicy']),
        ({"default": "5", "validRange": {"min": "1", "max": "200", "step": "3"}},
         ['.validRange.max: Invalid value: "200": max is larger than capacity value: 100',
          '.validRange.step: Invalid value: "5": value is not a multiple of a given step (3) from (1)',
          '.validRange.step: Invalid value: "200": value is not a multiple of a given step (3) from (1)']),
        ({"default": "5", "validRange": {"min": "1", "step": "0"}},
         ['.validRange.step: Invalid value: "0": must be greater than zero']),
    ],
)  # fmt: skip
def test_how_much_of_a_device_may_be_asked_for(policy, told):
    capacity = {"a": {"value": "100", "requestPolicy": policy}}
    found = device_faults(capacity=capacity, allowMultipleAllocations=True)
    assert found == [f"capacity[a].requestPolicy{each}" for each in told]
    assert device_faults(capacity=capacity) == [
        "capacity[a].requestPolicy: Forbidden: allowMultipleAllocations must be true"
    ]


def test_a_class_may_stand_for_an_extended_resource():
    for name in ("cpu", "kubernetes.io/gpu", "requests.a.b/c"):
        told = f'spec.extendedResourceName: Invalid value: "{name}": must be a valid extended resource name'
        assert told_of("deviceclasses", {"spec": {"extendedResourceName": name}}) == [told]
    assert told_of("deviceclasses", {"spec": {"extendedResourceName": "example.com/gpu"}}) == []


def test_devices_as_their_administrator_has_them_are_for_namespaces_that_say_so(api_server, namespace):
    path = f"/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims"
    asked = {"metadata": {"name": "a"}, **claimed(adminAccess=True)}
    told = "admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing"
    code, answer = api_server.request("POST", path, asked)
    (cause,) = answer["details"]["causes"]
    assert (code, cause["field"]) == (422, "spec.devices.requests[0].adminAccess")
    assert cause["message"] == f"Forbidden: {told} namespace"
    labels = {"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}}
    merge = {"content_type": "application/merge-patch+json"}
    assert api_server.request("PATCH", f"/api/v1/namespaces/{namespace}", labels, **merge)[0] == 200
    assert api_server.request("POST", path, asked)[0] == 201


# -- warnings

OLD = "beta.kubernetes.io/arch"
NEW = 'deprecated since v1.14; use "kubernetes.io/arch" instead'
LONG, SHORT = "2001:0db8::1", "2001:db8::1"


def warned(kind, obj):
    from labkit.glassbox.resources import REGISTRY

    return REGISTRY.find(kind).strategy.warnings({"metadata": {"name": "x"}, **obj})


@pytest.mark.parametrize(
    ("kind", "obj", "told"),
    [
        ("networkpolicies", {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": f"{LONG}/128"}}]}]}},
         [f'spec.egress[0].to[0].ipBlock.cidr: IPv6 CIDR value "{LONG}/128" should be in RFC 5952 canonical format'
          f' ("{SHORT}/128")']),
        ("endpointslices", {"addressType": "IPv6", "endpoints": [{"addresses": [LONG]}]},
         [f'endpoints[0].addresses[0]: IPv6 address "{LONG}" should be in RFC 5952 canonical format ("{SHORT}")']),
        ("endpointslices", {"addressType": "FQDN"}, ["spec.addressType: FQDN endpoints are deprecated"]),
        ("runtimeclasses", {"scheduling": {"nodeSelector": {OLD: "a"}}}, [f"scheduling.nodeSelector: {NEW}"]),
        ("storageclasses", {"allowedTopologies": [{"matchLabelExpressions": [{"key": OLD}]}]},
         [f"allowedTopologies[0].matchLabelExpressions[0].key: {NEW}"]),
        ("csistoragecapacities", {"nodeTopology": {"matchLabels": {OLD: "a"}, "matchExpressions": [{"key": OLD}]}},
         [f"nodeTopology.matchExpressions[0].key: {OLD} is {NEW}", f"nodeTopology.matchLabels.{OLD}: {NEW}"]),
        ("statefulsets", {"spec": {"revisionHistoryLimit": -1}},
         ["spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"]),
        ("cronjobs", {"spec": {"schedule": "TZ=UTC @daily"}},
         ["cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see"
          " https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"]),
        ("jobs", {"spec": {"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001}},
         ["spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4,"
          " Kubernetes might not be able to track completedIndexes when a big number of indexes fail"]),
    ],
)  # fmt: skip
def test_what_is_odd_is_warned_of(kind, obj, told):
    assert warned(kind, obj) == told


def test_a_change_that_no_controller_looks_at_is_not_warned_of(api_server, namespace):
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    containers = [{"name": "c", "image": "busybox:1.36"}]
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelector": {OLD: "a"}, "containers": containers}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "replicas": 0, "template": pods}
    assert api_server.request("POST", path, {"metadata": {"name": "odd"}, "spec": spec})[0] == 201

    def told(change, content_type="application/merge-patch+json"):
        with api_server.open("PATCH", f"{path}/odd", change, content_type=content_type) as answer:
            return answer.headers.get_all("Warning", [])

    assert told({"metadata": {"labels": {"c": "d"}}}) == []
    (warning,) = told({"spec": {"minReadySeconds": 1}})
    assert warning.startswith(f'299 - "spec.template.spec.nodeSelector[{OLD}]: deprecated since v1.14;')
