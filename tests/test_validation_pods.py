"""A pod is refused as upstream refuses it: every part of its spec by its own rules, changes by others."""

import pytest

from labkit.glassbox.apiserver import schema
from labkit.glassbox.resources import REGISTRY
from tests.test_validation import LABEL, SUBDOMAIN, faults

NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
EXEC = {"exec": {"command": ["true"]}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
VOLUMES = [
    {"name": "empty", "emptyDir": {}},
    {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
    {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}},
]


def pod(container=None, meta=None, **spec):
    containers = [{"name": "c", "image": "busybox:1.36", **(container or {})}]
    return {"metadata": {"name": "x", **(meta or {})}, "spec": {"containers": containers, **spec}}


def refusal(container=None, meta=None, **spec):
    """Return what is told of a pod, paths within its container and its spec for short."""
    found = faults("pods", pod(container, meta, **spec))
    return [each.replace("spec.containers[0]", "@").removeprefix("spec.") for each in found]


def test_a_volume_that_is_refused_cannot_be_mounted():
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    assert refusal(mounts, volumes=[{"name": "v", "secret": {}}]) == [
        "volumes[0].secret.secretName: Required value",
        '@.volumeMounts[0].name: Not found: "v"',
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"gcePersistentDisk": {}}, ["persistentDisk.pdName: Required value"]),
        ({"iscsi": {}}, ["iscsi.targetPortal: Required value", "iscsi.iqn: Required value"]),
        ({"gitRepo": {"repository": "r", "directory": "/d"}},
         ['gitRepo.directory: Invalid value: "/d": must be a relative path']),
        ({"fc": {"targetWWNs": ["a"]}}, ["fc.lun: Required value: lun is required if targetWWNs is specified"]),
        ({"hostPath": {"type": "Nope"}}, ["hostPath.path: Required value"]),
        ({"secret": {"secretName": "s", "items": [{"key": "k", "path": "..k"}]}},
         ["secret.items[0].path: Invalid value: \"..k\": must not start with '..'"]),
        ({"downwardAPI": {"items": [{"path": "p", "resourceFieldRef": {"resource": "limits.cpu"}}]}},
         ["downwardAPI.resourceFieldRef.containerName: Required value"]),
        ({"downwardAPI": {"items": [{"path": "p"}]}},
         ["downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"]),
        ({"csi": {"driver": "d", "nodePublishSecretRef": {}}}, ["csi.nodePublishSecretRef.name: Required value"]),
        ({"csi": {"driver": "d" * 64}}, ["csi.driver: Too long: may not be more than 63 bytes"]),
        ({"image": {}}, ["image.reference: Required value"]),
        ({"ephemeral": {"volumeClaimTemplate": {"metadata": {"uid": "u"}, "spec": CLAIM}}},
         ["ephemeral.volumeClaimTemplate.metadata.uID: Forbidden: cannot be set"]),
        ({"secret": {"secretName": "s"}, "downwardAPI": {}},
         ["downwarAPI: Forbidden: may not specify more than 1 volume type"]),
        ({"projected": {"sources": [{"clusterTrustBundle": {"path": ""}}]}}, []),  # its feature gate is closed
    ],
)  # fmt: skip
def test_a_volume_has_one_whole_source(source, told):
    assert refusal(volumes=[{"name": "v", **source}]) == [f"volumes[0].{each}" for each in told]


def test_files_of_a_projected_volume_have_places_of_their_own():
    one, other = (
        {kind: {"name": kind.lower(), "items": [{"key": "k", "path": "p"}]}} for kind in ("secret", "configMap")
    )
    told = 'volumes[0].projected: Invalid value: "configmap": conflicting duplicate paths'
    assert refusal(volumes=[{"name": "v", "projected": {"sources": [one, other]}}]) == [told]


def test_a_claim_of_the_pods_own_is_named_after_both():
    volumes = [VOLUMES[2], {"name": "v", "persistentVolumeClaim": {"claimName": "x-own"}}]
    told = "must not reference a PVC that gets created for an ephemeral volume"
    path = "volumes[1].persistentVolumeClaim.claimName"
    assert refusal(volumes=volumes) == [f'{path}: Invalid value: "x-own": {told}']


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        ({"mountPropagation": "Bidirectional"},
         [".mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"]),
        ({"recursiveReadOnly": "Enabled", "mountPropagation": "HostToContainer"},
         [".recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
          ".recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified"]),
        ({"subPath": "a", "subPathExpr": "b"},
         ['[0].subPathExpr: Invalid value: "b": subPathExpr and subPath are mutually exclusive']),
        ({"subPath": "..a"}, []),
    ],
)  # fmt: skip
def test_a_mount_is_refused(mount, told):
    mounts = {"volumeMounts": [{"name": "empty", "mountPath": "/m", **mount}]}
    assert refusal(mounts, volumes=VOLUMES) == [f"@.volumeMounts{each}" for each in told]


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ({"name": "own", "devicePath": "/d"}, []),
        ({"name": "empty", "devicePath": "/d"},
         ['name: Invalid value: "empty": can only use volume source type of PersistentVolumeClaim or Ephemeral for'
          " block mode"]),
        ({"name": "claim", "devicePath": "/d/.."},
         ["devicePath: Invalid value: \"/d/..\": can not contain backsteps ('..')"]),
        ({"name": "claim"}, ["devicePath: Required value"]),
    ],
)  # fmt: skip
def test_a_raw_device_is_a_claim(device, told):
    assert refusal({"volumeDevices": [device]}, volumes=VOLUMES) == [f"@.volumeDevices[0].{each}" for each in told]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"fieldRef": {"fieldPath": "spec.host"}}, []),
        ({"fieldRef": {"fieldPath": "metadata.name['a']"}},
         ["fieldRef.fieldPath: Invalid value: \"metadata.name['a']\": error converting fieldPath:"
          " field label does not support subscript: metadata.name['a']"]),
        ({"fieldRef": {"fieldPath": "metadata.labels['a b']"}}, [f'fieldRef: Invalid value: "a b": {NAME_PART}']),
        ({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}},
         ["resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with"
          " the cpu resource"]),
        ({"fileKeyRef": {"volumeName": "claim", "path": "p", "key": "K"}},
         ['fileKeyRef.volumeName: Invalid value: "claim": referenced volume must be of type emptyDir']),
        ({"fileKeyRef": {"volumeName": "empty", "path": "p", "key": "K"}}, []),
    ],
)  # fmt: skip
def test_where_a_variable_comes_from(source, told):
    env = {"env": [{"name": "A", "valueFrom": source}]}
    assert refusal(env, volumes=VOLUMES) == [f"@.env[0].valueFrom.{each}" for each in told]


def test_a_source_of_many_variables_is_told_without_its_number():
    told = '@.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'
    assert refusal({"envFrom": [{}]}) == [told]


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"readinessProbe": {**EXEC, "terminationGracePeriodSeconds": 5}},
         ["readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"]),
        ({"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": ""}]}}},
         ["livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric"
          " characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"]),
        ({"lifecycle": {"stopSignal": "SIGNONE"}}, []),  # its feature gate is closed
        ({"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}] * 2},
         ['resizePolicy[1]: Duplicate value: "cpu"']),
        ({"securityContext": {"procMount": "Half"}},
         ['securityContext.procMount: Unsupported value: "Half": supported values: "Default", "Unmasked"']),
        ({"securityContext": {"seccompProfile": {"type": "Localhost"}}},
         ["securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is"
          " Localhost"]),
        ({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}},
         ["resources: Forbidden: HugePages require cpu or memory"]),
        ({"resources": {"claims": [{"name": "gpu"}]}},
         ['resources.claims[0]: Not found: "gpu": must be one of the names in pod.spec.resourceClaims which is empty']),
    ],
)  # fmt: skip
def test_a_container_is_refused(container, told):
    assert refusal(container) == [f"@.{each}" for each in told]


def test_huge_pages_are_whole_ones():
    told = 'Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi'
    assert refusal({"resources": {"limits": {"cpu": "1", "hugepages-2Mi": "3Mi"}}}) == [
        f"@.resources.{kind}[hugepages-2Mi]: {told}" for kind in ("limits", "requests")
    ]


def test_what_a_pod_asks_for_is_enough_for_its_containers():
    container = {"resources": {"requests": {"cpu": "1"}}}
    told = 'Invalid value: "500m": must be greater than or equal to aggregate container requests of 1'
    assert refusal(container, resources={"requests": {"cpu": "500m"}}) == [f"resources.requests[cpu]: {told}"]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"hostNetwork": True, "shareProcessNamespace": True, "hostPID": True},
         ["securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be"
          " enabled"]),
        ({"hostNetwork": True, "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}},
         ["securityContext.sysctls[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when"
          " 'hostNetwork' is true"]),
        ({"securityContext": {"fsGroupChangePolicy": "Never"}},
         ['securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always",'
          ' "OnRootMismatch"']),
        ({"securityContext": {"appArmorProfile": {"type": "Unconfined", "localhostProfile": "p"}}},
         ['securityContext.appArmorProfile.localhostProfile: Invalid value: "p": can only be set when AppArmor type is'
          " Localhost"]),
        ({"hostUsers": False, "hostIPC": True}, ["HostIPC: Forbidden: when `hostUsers` is false"]),
        ({"os": {"name": "mac"}}, ['os: Unsupported value: "mac": supported values: "linux", "windows"']),
        ({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}},
         ["securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"]),
        ({"os": {"name": "windows"}, "securityContext": {"seccompProfile": {"type": "Unconfined"}}},
         ["securityContext.seccompProfile: Forbidden: cannot be set for a windows pod"]),
        ({"hostnameOverride": "A"}, [f'hostnameOverride: Invalid value: "A": {SUBDOMAIN}']),
        ({"dnsPolicy": "None", "dnsConfig": {}},
         ["dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"]),
        ({"dnsConfig": {"nameservers": ["010.0.0.1"], "searches": ["."]}},
         ['dnsConfig.nameservers[0]: Invalid value: "010.0.0.1": must not have leading 0s']),
        ({"resourceClaims": [{"name": "gpu"}]},
         ['resourceClaims[0]: Invalid value: {"Name":"gpu","ResourceClaimName":null,"ResourceClaimTemplateName":null}:'
          " must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"]),
        ({"tolerations": [{"key": "a", "operator": "Lt", "value": "1"}]},  # its feature gate is closed
         ['tolerations[0].operator: Unsupported value: "Lt": supported values: "Equal", "Exists"']),
        ({"schedulingGroup": {"podGroupName": "g"}}, []),  # so is this one's
    ],
)  # fmt: skip
def test_a_pod_is_refused(spec, told):
    assert refusal(**spec) == told


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        ({"topologyKey": "no label"}, []),
        ({"minDomains": 0, "whenUnsatisfiable": "ScheduleAnyway"},
         [".minDomains: Invalid value: 0: must be greater than zero",
          ".minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not"
          " ScheduleAnyway"]),
        ({"nodeTaintsPolicy": "x"},
         ['.nodeTaintsPolicy: Unsupported value: "x": supported values: "Honor", "Ignore"']),
        ({"matchLabelKeys": ["app"], "labelSelector": None},
         [".matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"]),
    ],
)  # fmt: skip
def test_a_wish_to_be_spread(constraint, told):
    given = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {},
        **constraint,
    }
    given = {field: value for field, value in given.items() if value is not None}
    assert refusal(topologySpreadConstraints=[given]) == [f"topologySpreadConstraints[0]{each}" for each in told]


def test_pods_are_spread_one_way_by_one_key():
    given = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    told = 'topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"'
    assert refusal(topologySpreadConstraints=[given, given]) == [told]


def test_what_a_pod_has_in_common_with_others_stands_in_its_selectors():
    keys = {"matchLabelKeys": ["app"], "mismatchLabelKeys": ["tenant"]}
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"tier": "web"}}, **keys}
    made = pod(meta={"labels": {"app": "a", "tenant": "t"}}, affinity={"podAffinity": {REQUIRED: [term]}})
    made["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    REGISTRY.find("pods").strategy.prepare_for_create(made)
    assert made["spec"]["affinity"]["podAffinity"][REQUIRED][0]["labelSelector"]["matchExpressions"] == [
        {"key": "app", "operator": "In", "values": ["a"]},
        {"key": "tenant", "operator": "NotIn", "values": ["t"]},
    ]


@pytest.mark.parametrize(
    ("term", "told"),
    [
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]}, "matchExpressions[0].values[0]: "),
        ({"matchFields": [{"key": "spec.x", "operator": "In", "values": ["a"]}]},
         'matchFields[0].key: Invalid value: "spec.x": not a valid field selector key'),
        ({"matchFields": [{"key": "metadata.name", "operator": "Exists"}]},
         'matchFields[0].operator: Invalid value: "Exists": not a valid selector operator'),
    ],
)  # fmt: skip
def test_a_term_about_nodes(term, told):
    (found,) = refusal(affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}})
    assert found.startswith(f"affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].{told}")


@pytest.mark.parametrize(
    ("note", "value", "told"),
    [
        ("controller.kubernetes.io/pod-deletion-cost", "+1", 'Invalid value: "+1": must be a 32bit integer'),
        (
            "kubernetes.io/config.mirror",
            "m",
            'Invalid value: "m": must set spec.nodeName if mirror pod annotation is set',
        ),
        ("container.apparmor.security.beta.kubernetes.io/z", "unconfined", 'Invalid value: "z": container not found'),
    ],
)
def test_an_annotation_with_a_meaning_is_refused(note, value, told):
    assert refusal(meta={"annotations": {note: value}}) == [f"metadata.annotations[{note}]: {told}"]


def test_an_annotation_says_what_the_field_says():
    note = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    told = "Forbidden: seccomp type in annotation and field must match"
    context = {"seccompProfile": {"type": "RuntimeDefault"}}
    assert refusal(meta={"annotations": note}, securityContext=context) == [
        f"securityContext.seccompProfile.type: {told}"
    ]


def test_a_template_is_asked_less_than_a_pod():
    spec = {
        "containers": [{"name": "c", "image": " x ", "ports": [{"containerPort": 80}]}],
        "hostNetwork": True,
        "volumes": [{"name": "v", "image": {}}],
    }
    assert faults("podtemplates", {"template": {"spec": spec}}) == []


def test_two_containers_without_names_have_the_same():
    assert faults("pods", pod() | {"spec": {"containers": [{"image": "a"}, {"image": "b"}]}})[-1] == (
        'spec.containers[1].name: Duplicate value: ""'
    )


# -- changes


def changed(old, **new):
    """Return what is told of a pod with these fields in the place of those that it had."""
    held = pod(**old)
    schema.apply_defaults(REGISTRY.find("pods"), held)
    spec = {field: value for field, value in {**pod(**old)["spec"], **new}.items() if value is not None}
    return faults("pods", {"metadata": held["metadata"], "spec": spec}, held)


GATED = {"schedulingGates": [{"name": "wait"}]}


def test_a_changed_pod_is_looked_at_as_a_new_one():
    assert changed({}, hostname="A_b")[0] == f'spec.hostname: Invalid value: "A_b": {LABEL}'


def test_a_gate_may_go_and_none_may_come():
    assert changed(GATED, schedulingGates=None) == []
    told = "Forbidden: only deletion is allowed, but found new scheduling gate 'more'"
    assert changed({}, schedulingGates=[{"name": "more"}]) == [f"spec.schedulingGates[0].name: {told}"]


def test_a_pod_at_a_gate_may_be_held_to_fewer_nodes():
    assert changed({**GATED, "nodeSelector": {"a": "b"}}, nodeSelector={"a": "b", "c": "d"}) == []
    terms = {
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}
    }
    assert changed(GATED, affinity=terms) == []
    told = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    assert changed({**GATED, "nodeSelector": {"a": "b"}}, nodeSelector={"a": "c"}) == [
        f'spec.nodeSelector: Invalid value: {{"a":"c"}}: {told}'
    ]
    assert changed({**GATED, "affinity": terms}, affinity=None) == [
        f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms: Invalid value: null:"
        " no additions/deletions to non-empty NodeSelectorTerms list are allowed"
    ]


def status_faults(old, new, **spec):
    held, now = ({**pod(**spec), "status": {"qosClass": "BestEffort", **each}} for each in (old, new))
    return [
        f"{each.field}: {each.message}" for each in REGISTRY.find("pods").strategy.validate_status_update(now, held)
    ]


def ended(code):
    return [{"name": "c", "state": {"terminated": {"exitCode": code}}}]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Always", 0, True), ("OnFailure", 1, True), ("OnFailure", 0, False), ("Never", 1, False)],
)
def test_who_has_ended_for_good_does_not_run_again(policy, code, again):
    told = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    running = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
    found = status_faults({"containerStatuses": ended(code)}, running, restartPolicy=policy)
    assert found == ([] if again else [told])


@pytest.mark.parametrize(
    ("status", "spec", "told"),
    [
        ({"qosClass": "Guaranteed"}, {}, 'qosClass: Invalid value: "Guaranteed": field is immutable'),
        ({"nominatedNodeName": "n"}, {"nodeName": "m"},
         "nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"),
        ({"hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.2"}]}, {},
         'hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`'),
        ({"resourceClaimStatuses": [{"name": "n"}]}, {},
         'resourceClaimStatuses[0].name: Invalid value: "n": must match the name of an entry in `spec.resourceClaims`'),
    ],
)  # fmt: skip
def test_a_status_is_refused(status, spec, told):
    assert status_faults({}, status, **spec) == [f"status.{told}"]
