"""What chance decides is left out of a comparison, nothing else; a replay is held to the differences that are known."""

import pytest

from tests import chance, known_differences, recordings
from tests.kubectl_recordings import Step, difference
from tests.placeholders import alike


def differing(command, recorded, printed, bound=None):
    step = Step(command, 0, recorded.splitlines())
    return difference(step, 0, printed, "", {} if bound is None else bound)


@pytest.mark.parametrize(
    ("command", "recorded", "printed"),
    [
        ("kubectl logs two --all-containers", "from first\nfrom second", "from second\nfrom first"),
        ("kubectl get pods", "NAME\nonce-<rand-1> 0/1\nonce-<rand-2> 0/1", "NAME\nonce-zzzzz 0/1\nonce-bbbbb 0/1"),
        ("kubectl describe svc web", "IP: <pod-ip-1>:80,<pod-ip-2>:80", "IP: 10.244.1.3:80,10.244.1.2:80"),
        ("kubectl describe endpointslice",
         "  - Addresses: <pod-ip-1>\n    Ready: true\n  - Addresses: <pod-ip-2>\n    Ready: false\nEvents",
         "  - Addresses: 10.244.1.3\n    Ready: false\n  - Addresses: 10.244.1.2\n    Ready: true\nEvents"),
        ("kubectl rollout status deploy/web", 'Waiting for deployment "web" rollout to finish: 0 of 2…\ndone', "done"),
    ],
)  # fmt: skip
def test_what_chance_decides_is_no_difference(command, recorded, printed):
    bound = {"<rand-1>": "bbbbb", "<pod-ip-1>": "10.244.1.2"}
    assert differing(command, recorded, printed, bound) == []


@pytest.mark.parametrize(
    ("command", "recorded", "printed"),
    [
        ("kubectl logs two --all-containers", "from first\nfrom second", "from second\nfrom second"),
        ("kubectl logs two", "from first\nfrom second", "from second\nfrom first"),
        ("kubectl get pods", "NAME\nbox 1/1\ntwo 2/2", "NAME\ntwo 2/2\nbox 1/1"),
        ("kubectl describe svc web", "Endpoints: <pod-ip-1>:80,<pod-ip-2>:80", "Endpoints: 10.244.1.2:80"),
        ("kubectl describe endpointslice",
         "  - Addresses: <pod-ip-1>\n    Ready: true\n  - Addresses: <pod-ip-2>\n    Ready: false",
         "  - Addresses: 10.244.1.3\n    Ready: true\n  - Addresses: 10.244.1.2\n    Ready: true"),
        ("kubectl rollout status deploy/web", "a\ndone", "done"),
        ("kubectl rollout status deploy/web", "done", 'Waiting for deployment "web" rollout to finish: 0 of 2…'),
    ],
)  # fmt: skip
def test_anything_else_is_a_difference(command, recorded, printed):
    bound = {"<rand-1>": "bbbbb", "<pod-ip-1>": "10.244.1.2"}
    assert differing(command, recorded, printed, bound)


def test_a_placeholder_is_learnt_from_what_matches_whole():
    bound = {}
    assert not alike(["a-bbbbb", "other"], ["a-<rand-1>", "this"], bound)
    assert bound == {}
    given, _ = chance.arranged("kubectl drain", ["pod/a", "pod/b"], ["pod/<rand-2>", "pod/a"], bound)
    assert (given, bound) == (["pod/b", "pod/a"], {"<rand-2>": "b"})


def test_a_service_s_endpoints_are_compared_as_a_set():
    wanted = {"endpoints": [{"addresses": ["<pod-ip-1>"]}, {"addresses": ["<pod-ip-2>"]}]}
    given = {"endpoints": [{"addresses": ["10.244.1.3"]}, {"addresses": ["10.244.1.2"]}]}
    bound = {"<pod-ip-1>": "10.244.1.2"}
    assert [*recordings.compare(given, wanted, "body", bound)] == []
    assert [*recordings.compare({"items": given["endpoints"]}, {"items": wanted["endpoints"]}, "body", bound)]


NODE = "kubectl/11_describe", "kubectl describe node node1"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["-  hugepages-2Mi: 0"], None),
        (["-  hugepages-2Mi: 0", "-  pods: 110"], "pods: 110"),
        ([], "no longer different"),
    ],
    ids=["a known line", "another line of the same answer", "none any more"],
)
def test_a_replay_is_held_to_what_is_known(lines, complaint):
    recording, name = NODE
    found = {name: lines} if lines else {}
    if complaint is None:
        known_differences.hold(recording, found)
        return
    with pytest.raises(AssertionError, match=complaint):
        known_differences.hold(recording, found)


def test_a_difference_that_is_not_listed_fails():
    with pytest.raises(AssertionError, match="describe pod box"):
        known_differences.hold(NODE[0], {NODE[1]: ["-  hugepages-2Mi: 0"], "kubectl describe pod box": ["-Name: box"]})
