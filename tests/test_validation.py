"""Objects are refused as upstream refuses them: the path, the value, the sentence; everything at once."""

from base64 import b64encode

import pytest

from labkit.glassbox.apiserver import schema
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.validation import names

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    " an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def faults(kind, obj, old=None):
    """Return "field: message" for each cause, as the message of a refusal lists them."""
    resource = REGISTRY.find(kind)
    obj = {"metadata": {"name": "x"}, **obj}
    schema.apply_defaults(resource, obj)
    strategy = resource.strategy
    causes = strategy.validate_update(obj, old) if old else strategy.validate(obj)
    return [f"{cause.field}: {cause.message}" for cause in causes]


def pod_faults(container=None, **spec):
    containers = [{"name": "c", "image": "busybox:1.36", **(container or {})}]
    return faults("pods", {"spec": {"containers": containers, **spec}})


# -- names


@pytest.mark.parametrize("name", ["a", "my-name", "123-abc", "a" * 63])
def test_a_label_is(name):
    assert names.dns_label(name) == []


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b"])
def test_a_label_is_not(name):
    assert names.dns_label(name) == [LABEL]


def test_a_long_label_is_told_its_limit():
    assert names.dns_label("a" * 64) == ["must be no more than 63 characters"]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("app", None),
        ("example.com/app", None),
        ("-bad-", "name part must consist of alphanumeric characters"),
        ("a/b/c", "a valid label key must consist of alphanumeric characters"),
        ("Exa mple/x", f"prefix part {SUBDOMAIN}"),
        ("/x", "prefix part must be non-empty"),
        ("x" * 64, "name part must be no more than 63 bytes"),
    ],
)
def test_label_keys(key, told):
    found = names.qualified_name(key)
    assert found == [] if told is None else found[0].startswith(told)


def test_a_port_name_is_told_each_fault():
    assert names.port_name("UPPER") == [
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        "must contain at least one letter (a-z)",
    ]


@pytest.mark.parametrize(("key", "right"), [("a.b", True), ("A_b-c", True), ("a b", False), ("..", False), ("", False)])
def test_keys_of_configmaps(key, right):
    assert (names.config_key(key) == []) is right


# -- metadata


def test_a_name_must_be_given():
    assert faults("configmaps", {"metadata": {}}) == ["metadata.name: Required value: name or generateName is required"]


def test_a_bad_name_is_quoted():
    assert faults("configmaps", {"metadata": {"name": "a_b"}}) == [f'metadata.name: Invalid value: "a_b": {SUBDOMAIN}']


def test_namespaces_are_labels():
    assert faults("namespaces", {"metadata": {"name": "a.b"}}) == [f'metadata.name: Invalid value: "a.b": {LABEL}']


def test_annotations_have_a_size():
    found = faults("configmaps", {"metadata": {"name": "x", "annotations": {"a": "x" * 262145}}})
    assert found == ["metadata.annotations: Too long: may not be more than 262144 bytes"]


def test_a_finalizer_needs_a_domain():
    found = faults("configmaps", {"metadata": {"name": "x", "finalizers": ["orphan", "a.b/c", "nope"]}})
    told = "name is neither a standard finalizer name nor is it fully qualified"
    assert found == [f'metadata.finalizers[2]: Invalid value: "nope": {told}']


def test_an_owner_is_told_in_full():
    assert faults("configmaps", {"metadata": {"name": "x", "ownerReferences": [{"name": "x"}]}}) == [
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ]


# -- data


def test_a_key_is_in_data_or_in_binary_data():
    assert faults("configmaps", {"data": {"k": "1"}, "binaryData": {"k": "AA=="}}) == [
        'data[k]: Invalid value: "k": duplicate of key present in binaryData'
    ]


def test_a_secret_holds_a_mebibyte():
    assert faults("secrets", {"data": {"a": "A" * 1398108}}) == ["data: Too long: may not be more than 1048576 bytes"]


def test_a_tls_secret_has_both_halves():
    assert faults("secrets", {"type": "kubernetes.io/tls", "data": {"tls.crt": "YQ=="}}) == [
        "data[tls.key]: Required value"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a", "invalid character 'a' looking for beginning of value"),
        (b'"a"', "json: cannot unmarshal string into Go value of type map[string]interface {}"),
    ],
)
def test_what_is_no_docker_configuration_is_told_in_go_s_words(text, told):
    secret = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64encode(text).decode()}}
    assert faults("secrets", secret) == [
        f'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": {told}'
    ]


def test_what_is_immutable_stays():
    old = {"metadata": {"name": "x"}, "data": {"a": "1"}, "immutable": True}
    told = "Forbidden: field is immutable when `immutable` is set"
    assert faults("configmaps", {"data": {"a": "2"}, "immutable": True}, old) == [f"data: {told}"]
    assert faults("configmaps", {"data": {"a": "1"}}, old) == [f"immutable: {told}"]


# -- pods


def test_a_pod_has_containers():
    assert faults("pods", {}) == ["spec.containers: Required value"]


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"name": ""}, ["spec.containers[0].name: Required value"]),
        ({"name": "A_b"}, [f'spec.containers[0].name: Invalid value: "A_b": {LABEL}']),
        ({"image": ""}, ["spec.containers[0].image: Required value"]),
        (
            {"image": " x "},
            ['spec.containers[0].image: Invalid value: " x ": must not have leading or trailing whitespace'],
        ),
        (
            {"imagePullPolicy": "Maybe"},
            [
                'spec.containers[0].imagePullPolicy: Unsupported value: "Maybe": supported values: "Always",'
                ' "IfNotPresent", "Never"'
            ],
        ),
        (
            {"ports": [{"containerPort": 0}, {"containerPort": 70000}]},
            [
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535,"
                " inclusive",
            ],
        ),
        (
            {"env": [{"name": "a=b"}]},
            [
                'spec.containers[0].env[0].name: Invalid value: "a=b": a valid environment variable name must consist'
                " only of printable ASCII characters other than '='"
            ],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.bogus"}}}]},
            [
                'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.bogus": error converting'
                " fieldPath: field label not supported: spec.bogus"
            ],
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/x"}]},
            ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        ),
        ({"livenessProbe": {}}, ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}},
            ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            {"lifecycle": {"preStop": {}}},
            ["spec.containers[0].lifecycle.preStop: Required value: must specify a handler type"],
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}, "postStart": {"sleep": {"seconds": 30}}}},
            [
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: "
                "must be non-negative and less than terminationGracePeriodSeconds (30)"
            ],  # fmt: skip
        ),
    ],
)
def test_a_container_is_refused(container, told):
    assert pod_faults(container) == told


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {"restartPolicy": "Sometimes"},
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            {"dnsPolicy": "None"},
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]},
            'spec.volumes[1].name: Duplicate value: "v"',
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]},
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]},
            "spec.tolerations[0].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
        ),
        (
            {"activeDeadlineSeconds": 0},
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        ({"hostname": "A_b"}, f'spec.hostname: Invalid value: "A_b": {LABEL}'),
        (
            {"ephemeralContainers": [{"name": "e", "image": "b"}]},
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
    ],
)
def test_a_pod_spec_is_refused(spec, told):
    assert pod_faults(**spec) == [told]


def test_containers_have_names_of_their_own():
    twice = [{"name": "c", "image": "b"}, {"name": "c", "image": "b"}]
    assert faults("pods", {"spec": {"containers": twice}}) == ['spec.containers[1].name: Duplicate value: "c"']


def a_pod(**changes):
    container = {"name": "c", "image": "a"}
    return {"metadata": {"name": "x"}, "spec": {"containers": [container], "nodeName": "n", **changes}}


def test_a_pods_image_may_change():
    assert faults("pods", a_pod(containers=[{"name": "c", "image": "b"}]), filled(a_pod())) == []


def test_a_pods_node_may_not_change():
    (told,) = faults("pods", a_pod(nodeName="other"), filled(a_pod()))
    assert told.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,")


def test_a_pod_gets_no_further_container():
    more = [{"name": "c", "image": "a"}, {"name": "d", "image": "a"}]
    told = "spec.containers: Forbidden: pod updates may not add or remove containers"
    assert faults("pods", a_pod(containers=more), filled(a_pod())) == [told]


def filled(pod):
    schema.apply_defaults(REGISTRY.find("pods"), pod)
    return pod


# -- workloads


def workload(**changes):
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "b"}]}}
    return {"spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template, **changes}}


@pytest.mark.parametrize("kind", ["deployments", "replicasets"])
def test_a_selector_selects_its_own_pods(kind):
    told = '{"app":"d"}: `selector` does not match template `labels`'
    assert faults(kind, workload(selector={"matchLabels": {"app": "z"}})) == [
        f"spec.template.metadata.labels: Invalid value: {told}"
    ]


def test_an_empty_deployment_is_told_all_that_is_missing():
    assert faults("deployments", {}) == [
        "spec.selector: Required value",
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        "spec.template.spec.containers: Required value",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxUnavailable": "200%"}}},
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            {"minReadySeconds": 700},
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ),
    ],
)
def test_a_deployment_is_refused(changes, told):
    assert faults("deployments", workload(**changes)) == [told]


def test_a_selector_never_changes():
    new, old = (workload() for _ in range(2))
    old["spec"]["selector"] = {"matchLabels": {"app": "before"}}
    told = 'spec.selector: Invalid value: {"matchLabels":{"app":"d"}}: field is immutable'
    assert faults("deployments", new, {"metadata": {"name": "x"}, **old}) == [told]


# -- services, leases, nodes, events


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "spec.ports: Required value"),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        (
            {"ports": [{"port": 1}, {"port": 2, "name": "b"}]},
            "spec.ports[0].name: Required value",
        ),
        (
            {"ports": [{"port": 70000}]},
            "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            {"externalIPs": ["somewhere"]},
            'spec.externalIPs[0]: Invalid value: "somewhere": must be a valid IP address, (e.g. 10.9.8.7 or'
            " 2001:db8::ffff)",
        ),
        (
            {"externalIPs": ["127.0.0.1"]},
            'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        ),
        (
            {"clusterIP": "here", "clusterIPs": ["here"]},
            'spec.clusterIPs[0]: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
        (
            {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.8"]},
            'spec.clusterIPs: Invalid value: ["10.96.0.8"]: first value must match `clusterIP`',
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than"
            " 86400",
        ),
        (
            {"internalTrafficPolicy": "Near"},
            'spec.internalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"',
        ),
        (
            {"externalTrafficPolicy": "Local"},
            'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
        ),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]},
            'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1": must be a valid CIDR value, (e.g. 10.9.8.0/24'
            " or 2001:db8::/64)",
        ),
        (
            {"ports": [{"port": 80, "nodePort": 30080}]},
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            {"type": "NodePort", "ports": [{"port": n, "name": f"p{n}", "nodePort": 30080} for n in (1, 2)]},
            "spec.ports[1].nodePort: Duplicate value: 30080",
        ),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1/8"]},
            'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix'
            " length",
        ),
        (
            {"clusterIP": "None", "clusterIPs": ["None", "10.96.0.7"]},
            'spec.clusterIPs: Invalid value: ["None","10.96.0.7"]: \'None\' must be the first and only value',
        ),
        (
            {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "10.96.0.8"]},
            'spec.clusterIPs: Invalid value: ["10.96.0.7","10.96.0.8"]: may specify no more than one IP for each IP'
            " family",
        ),
        (
            {"type": "ExternalName", "externalName": "a.b", "ipFamilies": ["IPv4"]},
            "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
        ),
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        ({"ipFamilies": ["IPv4", "IPv4"]}, 'spec.ipFamilies[1]: Duplicate value: "IPv4"'),
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when"
            " multiple IP families are specified",
        ),
    ],
)
def test_a_service_is_refused(spec, told):
    assert told in faults("services", {"spec": spec})


def test_a_service_keeps_its_address():
    old = {"metadata": {"name": "x"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7"}}
    new = {"spec": {"clusterIP": "10.96.0.8", "clusterIPs": ["10.96.0.8"], "ports": [{"port": 80}]}}
    told = 'spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set'
    assert faults("services", new, old) == [told]


def test_a_service_keeps_its_address_family():
    old = {"metadata": {"name": "x"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7"}}
    given = {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"]}
    new = {"spec": {**given, "ipFamilies": ["IPv6"], "ports": [{"port": 80}]}}
    told = 'spec.clusterIPs[0]: Invalid value: "10.96.0.7": expected an IPv6 value as indicated by `ipFamilies[0]`'
    assert faults("services", new, old) == [told]


# -- network policies


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            {"ports": [{"port": 80, "endPort": 70}]},
            "ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
        ),
        (
            {"ports": [{"port": "web", "endPort": 90}]},
            "ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric",
        ),
        (
            {"ports": [{"protocol": "ICMP"}]},
            'ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
        ),
        ({"from": [{}]}, "from[0]: Required value: must specify a peer"),
        (
            {"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]},
            "from[0]: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]},
            'from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or'
            " 2001:db8::/64)",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
            'from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        ),
    ],
)
def test_a_network_policy_is_refused(rule, told):
    given = {"spec": {"podSelector": {}, "ingress": [rule]}}
    assert faults("networkpolicies", given) == [f"spec.ingress[0].{told}"]


BARE = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("services", {"ports": [{"port": 80}], "clusterIP": "None", "clusterIPs": ["None"], "type": "NodePort"},
         ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]),
        ("services", {"ports": [{"port": 80, "targetPort": 0}]}, []),
        ("services", {"ports": [{"port": 80}], "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, []),
        ("services", {"ports": [{"port": 80}], "ipFamilyPolicy": "X"},
         ['spec.ipFamilyPolicy: Unsupported value: "X": supported values: "PreferDualStack", "RequireDualStack",'
          ' "SingleStack"']),
        ("services", {"ports": [{"port": 80}], "trafficDistribution": "X"},
         ['spec.trafficDistribution: Unsupported value: "X": supported values: "PreferClose", "PreferSameZone",'
          ' "PreferSameNode"']),
        ("services", {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
         ['spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
          '"NodePort":0}']),
        ("persistentvolumes", {},
         ["spec.accessModes: Required value", "spec.capacity: Required value",
          'spec.capacity: Unsupported value: null: supported values: "storage"',
          "spec: Required value: must specify a volume type"]),
        ("persistentvolumes", BARE | {"nfs": {"path": "a"}},
         ["spec.nfs.server: Required value", 'spec.nfs.path: Invalid value: "a": must be an absolute path']),
        ("persistentvolumes", BARE | {"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"},
         ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]),
        ("persistentvolumes", BARE | {"local": {"path": "/a"}, "nodeAffinity": {}},
         ["spec.nodeAffinity.required: Required value: must specify required node constraints"]),
        ("persistentvolumes", BARE | {"nfs": {"server": "a", "path": "/a"}, "volumeAttributesClassName": "-"},
         [f'spec.volumeAttributesClassName: Invalid value: "-": {SUBDOMAIN}',
          "spec.csi: Required value: has to be specified when using volumeAttributesClassName"]),
        ("persistentvolumes", BARE | {"capacity": {"storage": "-1Gi"}, "cinder": {"volumeID": "a", "secretRef": {}}},
         ["spec.capacity[storage]: Invalid value: -1073741824: must be a valid resource quantity",
          'spec.capacity[storage]: Invalid value: "-1Gi": must be greater than zero',
          "spec.cinder.secretRef.name: Required value", "spec.cinder.secretRef.namespace: Required value"]),
        ("persistentvolumeclaims", {"volumeMode": "X", "storageClassName": "-"},
         ["spec.accessModes: Required value: at least 1 access mode is required",
          "spec.resources[storage]: Required value", f'spec.storageClassName: Invalid value: "-": {SUBDOMAIN}',
          'spec.volumeMode: Unsupported value: "X": supported values: "Block", "Filesystem"']),
        ("persistentvolumeclaims",
         {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}, "dataSource": {"kind": "X"}},
         ["spec.dataSource.name: Required value",
          "spec.dataSource: Invalid value: \"X\": must be 'PersistentVolumeClaim' when referencing the default"
          " apiGroup"]),
        ("limitranges", {"limits": [{"type": "Odd", "min": {"cpu": "2"}, "default": {"cpu": "1"}}]},
         ['spec.limits[0].type: Invalid value: "Odd": must be a standard limit type or fully qualified',
          'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1']),
        ("limitranges", {"limits": [{"type": "Container", "default": {"a.b/c": "4"}, "defaultRequest": {"a.b/c": "2"}}]
         }, ['spec.limits[0].defaultRequest[a.b/c]: Invalid value: "2": default value 4 must equal to defaultRequest'
             " value 2 in a.b/c"]),
        ("limitranges", {"limits": [{"type": "PersistentVolumeClaim", "maxLimitRequestRatio": {"x": "2"}}]},
         ["spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was"
          " provided",
          'spec.limits[0].maxLimitRequestRatio[x]: Invalid value: "x": must be a standard resource type or fully'
          " qualified"]),
        ("namespaces", {"finalizers": ["a", "kubernetes", "b/c"]},
         ['spec.finalizers: Invalid value: "a": name is neither a standard finalizer name nor is it fully qualified']),
        ("nodes", {"podCIDRs": ["a", "10.0.0.0/16"]},
         ['spec.podCIDRs[0]: Invalid value: "a": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
          "spec.podCIDRs: Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR"
          " address: a",
          'spec.podCIDRs: Invalid value: ["a","10.0.0.0/16"]: may specify no more than one CIDR for each IP family']),
        ("resourcequotas", {"hard": {"cpu": "1"}, "scopeSelector": {"matchExpressions": [
            {"scopeName": "BestEffort", "operator": "Odd"}]}},
         ['spec.scopeSelector.matchExpressions: Invalid value: {"MatchExpressions":[{"ScopeName":"BestEffort",'
          '"Operator":"Odd","Values":null}]}: unsupported scope applied to resource',
          'spec.scopeSelector.matchExpressions.operator: Invalid value: "Odd": must be \'Exists\' when scope is any of'
          " ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort,"
          " ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
          'spec.scopeSelector.matchExpressions.operator: Invalid value: "Odd": not a valid selector operator']),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_once(kind, spec, told):
    assert faults(kind, {"spec": spec}) == told


def test_a_projected_volume_is_told_of_each_source():
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 5, "path": ""}},
        {"secret": {"items": [{"key": "a", "path": "../b"}]}, "configMap": {"name": "c"}},
    ]
    assert pod_faults(volumes=[{"name": "v", "projected": {"sources": sources}}]) == [
        "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify"
        " a duration less than 10 minutes",
        "spec.volumes[0].projected.path: Required value",
        "spec.volumes[0].projected.sources[1].secret.name: Required value",
        "spec.volumes[0].projected.sources[1].secret.items[0].path: Invalid value: \"../b\": must not contain '..'",
        "spec.volumes[0].projected.sources[1]: Forbidden: may not specify more than 1 volume type per source",
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            {"hostPath": {"path": "/a"}},
            ["metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options"
             " for this volume type"],
        ),
        ({"nfs": {"server": "a", "path": "/a"}}, []),
    ],
)  # fmt: skip
def test_which_volumes_may_be_mounted_with_options(source, told):
    noted = {"name": "v", "annotations": {"volume.beta.kubernetes.io/mount-options": "ro"}}
    assert faults("persistentvolumes", {"metadata": noted, "spec": {**BARE, **source}}) == told


@pytest.mark.parametrize(
    ("kind", "spec", "looks"),
    [
        ("persistentvolumes", {**BARE, "nfs": {"server": "a", "path": "/a"}, "storageClassName": "-"}, 2),
        ("persistentvolumeclaims", {"storageClassName": "-", **BARE, "resources": {"requests": {"storage": "1"}}}, 2),
        ("limitranges", {"limits": [{"type": "-"}]}, 1),
    ],
)
def test_an_update_is_looked_at_as_often_as_upstream_does(kind, spec, looks):
    obj = {"metadata": {"name": "x"}, "spec": spec}
    assert faults(kind, obj, obj) == faults(kind, obj) * looks


def test_a_key_for_ssh_may_not_be_empty():
    secret = {"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}}
    assert faults("secrets", secret) == ["data[ssh-privatekey]: Required value"]


def test_a_finalizer_that_has_no_name():
    causes = REGISTRY.find("configmaps").strategy.validate(
        {"metadata": {"name": "c", "finalizers": ["a b", "kubernetes"]}}
    )
    assert [(each.field, each.message.rpartition(": ")[2][:36]) for each in causes] == [
        ("metadata.finalizers", "name part must consist of alphanumer"),
        ("metadata.finalizers[0]", "name is neither a standard finalizer"),
    ]


@pytest.mark.parametrize(
    ("ip", "told"),
    [
        ("x", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", "must be a valid IP address"]),
        ("010.1.1.1", ["must not have leading 0s"]),
        ("127.0.0.1", ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]),
    ],
)
def test_an_address_of_endpoints(ip, told):
    path = "subsets[0].addresses[0].ip"
    assert faults("endpoints", {"subsets": [{"addresses": [{"ip": ip}]}]}) == [
        f'{path}: Invalid value: "{ip}": {each}' for each in told
    ]


def test_a_taint_that_is_there_twice_is_shown_as_go_has_it():
    taint = {"key": "a", "effect": "NoSchedule"}
    assert faults("nodes", {"spec": {"taints": [taint, taint]}}) == [
        'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: taints'
        " must be unique by key and effect pair"
    ]


def test_a_lease_lasts():
    assert faults("leases", {"spec": {"leaseDurationSeconds": 0}}) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
    ]


def test_a_taint_has_an_effect():
    assert faults("nodes", {"spec": {"taints": [{"key": "a", "effect": "Nope"}]}}) == [
        'metadata.taints[0].effect: Unsupported value: "Nope": supported values: "NoSchedule", "PreferNoSchedule",'
        ' "NoExecute"'
    ]


def test_an_event_lies_where_its_object_is():
    event = {"metadata": {"name": "e", "namespace": "a"}, "involvedObject": {"kind": "Pod", "namespace": "b"}}
    assert faults("events", event) == ['involvedObject.namespace: Invalid value: "b": does not match event.namespace']


# -- warnings


def test_a_deployment_whose_pods_get_no_host_name_is_worth_a_warning():
    (warned,) = REGISTRY.find("deployments").strategy.warnings({"metadata": {"name": "x" * 64}})
    assert warned.endswith("a DNS label is recommended: [must be no more than 63 characters]")


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"restartPolicy": "Sometimes"},
         'Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'),
        ({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}]},
         "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used"),
        ({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Stop", "exitCodes": {"operator": "In"}}]},
         'action: Unsupported value: "Stop": supported values: "Restart", "RestartAllContainers"'),
        ({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "Equals"}}]},
         'restartPolicyRules[0].exitCodes.operator: Unsupported value: "Equals": supported values: "In", "NotIn"'),
    ],
)  # fmt: skip
def test_a_container_s_own_restart_policy_and_rules(container, told):
    (fault,) = pod_faults(container)
    assert told in fault


@pytest.mark.parametrize(
    ("kind", "obj", "field"),
    [
        ("ingresses", {"spec": {"ingressClassName": ""}}, "spec.ingressClassName"),
        (
            "endpoints",
            {"subsets": [{"addresses": [{"ip": "1.2.3.4", "nodeName": ""}]}]},
            "subsets[0].addresses[0].nodeName",
        ),
        ("endpointslices", {"addressType": "IPv4", "ports": [{"appProtocol": ""}]}, "ports[0].appProtocol"),
        ("persistentvolumes", {"spec": {"volumeAttributesClassName": ""}}, "spec.volumeAttributesClassName"),
    ],
)
def test_an_empty_text_is_not_the_same_as_none(kind, obj, field):
    faults = REGISTRY.find(kind).strategy.faults({"metadata": {"name": "n"}, **obj})
    assert field in [each.field for each in faults]
