"""Pod Security: what each level refuses, in upstream's words, and when it is looked at."""

import pytest

from labkit.glassbox.apiserver.admission.pod_security import policy
from labkit.glassbox.apiserver.admission.pod_security_checks import violations

GOOD = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
GOOD_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
PREFIX = "pod-security.kubernetes.io/"


def spec(*contexts, **more):
    named = [
        {"name": f"c{number}", "image": "b:1", **({"securityContext": each} if each else {})}
        for number, each in enumerate(contexts or ({},))
    ]
    return {"containers": named, **more}


def port(number):
    return {"name": "a", "image": "b:1", "ports": [{"containerPort": 80, "hostPort": number}]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (spec({"privileged": True}), 'privileged (container "c0" must not set securityContext.privileged=true)'),
        (spec(hostNetwork=True, hostIPC=True), "host namespaces (hostNetwork=true, hostIPC=true)"),
        (spec(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "h")'),
        ({"containers": [port(80)]}, 'hostPort (container "a" uses hostPort 80)'),
        (
            spec({"capabilities": {"add": ["SYS_TIME", "NET_ADMIN", "CHOWN"]}}),
            'non-default capabilities (container "c0" must not include "NET_ADMIN", "SYS_TIME" in '
            "securityContext.capabilities.add)",
        ),
        (
            spec(
                {"seccompProfile": {"type": "Unconfined"}}, securityContext={"seccompProfile": {"type": "Unconfined"}}
            ),
            'seccompProfile (pod and container "c0" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (spec(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}), "forbidden sysctls (kernel.msgmax)"),
        (
            spec({"seLinuxOptions": {"type": "spc_t", "user": "u"}}),
            'seLinuxOptions (container "c0" set forbidden securityContext.seLinuxOptions: type "spc_t"; '
            "user may not be set)",
        ),
    ],
)
def test_baseline_refuses_what_reaches_beyond_the_pod(given, told):
    assert violations("baseline", given) == [told]
    assert violations("privileged", given) == []


def test_baseline_takes_a_plain_pod_and_restricted_names_all_it_lacks():
    assert violations("baseline", spec()) == []
    assert [told.partition(" (")[0] for told in violations("restricted", spec())] == [
        "allowPrivilegeEscalation != false",
        "unrestricted capabilities",
        "runAsNonRoot != true",
        "seccompProfile",
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (spec(GOOD, securityContext=GOOD_POD), []),
        (spec({**GOOD, "runAsNonRoot": True}, securityContext={"seccompProfile": {"type": "Localhost"}}), []),
        (
            spec(GOOD, securityContext={**GOOD_POD, "runAsUser": 0}),
            ["runAsUser=0 (pod must not set runAsUser=0)"],
        ),
        (
            spec(GOOD, {**GOOD, "runAsNonRoot": False}, securityContext=GOOD_POD),
            ['runAsNonRoot != true (container "c1" must not set securityContext.runAsNonRoot=false)'],
        ),
        (
            spec(GOOD, securityContext=GOOD_POD, volumes=[{"name": "n", "nfs": {}}, {"name": "h", "hostPath": {}}]),
            ['restricted volume types (volumes "n", "h" use restricted volume types "hostPath", "nfs")'],
        ),
    ],
)
def test_restricted_wants_what_harms_nobody(given, told):
    assert violations("restricted", given) == told


def test_what_is_warned_of_is_what_is_enforced_unless_a_label_says_otherwise():
    labels = {f"{PREFIX}enforce": "baseline", f"{PREFIX}enforce-version": "v1.30"}
    assert policy(labels, "warn") == ("baseline", "v1.30")
    assert policy({**labels, f"{PREFIX}warn": "restricted"}, "warn") == ("restricted", "latest")


# --- on the API


def label(api_server, namespace, **labels):
    patch = {"metadata": {"labels": {PREFIX + name.replace("_", "-"): value for name, value in labels.items()}}}
    path = f"/api/v1/namespaces/{namespace}"
    return api_server.request("PATCH", path, patch, content_type="application/merge-patch+json")


def test_a_pod_is_refused_and_a_deployment_of_such_pods_warned_of(api_server, namespace):
    label(api_server, namespace, enforce="baseline")
    given = spec({"privileged": True})
    where = f"/api/v1/namespaces/{namespace}/pods"
    code, refusal = api_server.request("POST", where, {"metadata": {"name": "p"}, "spec": given})
    why = 'privileged (container "c0" must not set securityContext.privileged=true)'
    told = f'pods "p" is forbidden: violates PodSecurity "baseline:latest": {why}'
    assert (code, refusal["message"]) == (403, told)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": given}
    deployment = {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    with api_server.open("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment) as answer:
        assert answer.headers["Warning"].startswith(
            '299 - "would violate PodSecurity \\"baseline:latest\\": privileged'
        )


def test_a_label_that_says_nothing_is_refused(api_server, namespace):
    code, refusal = label(api_server, namespace, enforce="strict")
    assert (code, refusal["message"].endswith("must be one of privileged, baseline, restricted")) == (422, True)
    code, refusal = label(api_server, namespace, warn_version="1.20")
    assert (code, refusal["message"].endswith('must be "latest" or "v1.x"')) == (422, True)


def test_pods_that_are_there_go_on_and_are_told_of(api_server, namespace):
    where = f"/api/v1/namespaces/{namespace}"
    for name in ("a", "b"):
        api_server.request("POST", f"{where}/pods", {"metadata": {"name": name}, "spec": spec({"privileged": True})})
    patch = {"metadata": {"labels": {f"{PREFIX}enforce": "baseline"}}}
    with api_server.open("PATCH", where, patch, content_type="application/merge-patch+json") as answer:
        told = answer.headers.get_all("Warning")
    assert told[1:] == ['299 - "a (and 1 other pod): privileged"']
    labels = {"metadata": {"labels": {"x": "y"}}}
    code, _ = api_server.request("PATCH", f"{where}/pods/a", labels, content_type="application/merge-patch+json")
    assert code == 200


def test_a_pinned_version_knows_nothing_of_what_came_later():
    old = [told.partition(" (")[0] for told in violations("restricted", spec(), "v1.21")]
    assert "unrestricted capabilities" not in old
    assert "unrestricted capabilities" in [
        told.partition(" (")[0] for told in violations("restricted", spec(), "v1.22")
    ]
    tuned = {**spec(), "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}}
    assert violations("baseline", tuned, "v1.31") == ["forbidden sysctls (net.ipv4.tcp_rmem)"]
    assert violations("baseline", tuned, "v1.32") == []
