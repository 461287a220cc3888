"""Which volume suits a claim."""

import pytest

from labkit.glassbox.volume_match import find


def volume(name="pv", size="1Gi", phase="Available", reference=None, node=None, **spec):
    wanted = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "storageClassName": "manual", **spec}
    if reference:
        wanted["claimRef"] = reference
    if node:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        wanted["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {"metadata": {"name": name, "labels": {"tier": name}}, "spec": wanted, "status": {"phase": phase}}


def claim(size="1Gi", **spec):
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    metadata = {"name": "data", "namespace": "shop", "uid": "u"}
    return {"metadata": metadata, "spec": {**wanted, "storageClassName": "manual", **spec}}


KEPT = {"namespace": "shop", "name": "data"}


@pytest.mark.parametrize(
    ("volumes", "wants", "found"),
    [
        ([volume()], claim(), "pv"),
        ([volume("big", "5Gi"), volume("small", "2Gi")], claim(), "small"),
        ([volume(size="500Mi")], claim(), None),
        ([volume(storageClassName="other")], claim(), None),
        ([volume(accessModes=["ReadWriteOnce", "ReadOnlyMany"])], claim(accessModes=["ReadOnlyMany"]), "pv"),
        ([volume()], claim(accessModes=["ReadWriteMany"]), None),
        ([volume(volumeMode="Block")], claim(), None),
        ([volume(phase="Released")], claim(), None),
        ([volume("a"), volume("b")], claim(selector={"matchLabels": {"tier": "b"}}), "b"),
        ([volume("small"), volume("kept", "9Gi", phase="Pending", reference=KEPT)], claim(), "kept"),
        ([volume(reference={**KEPT, "uid": "another"})], claim(), None),
        ([volume(reference={**KEPT, "name": "another"})], claim(), None),
    ],
)
def test_a_claim_gets_the_volume_that_is_kept_for_it_or_the_smallest_that_suits(volumes, wants, found):
    chosen = find(wants, volumes)
    assert (chosen and chosen["metadata"]["name"]) == found


@pytest.mark.parametrize(("name", "found"), [("node1", "pv"), ("node2", None)])
def test_a_volume_is_found_where_its_data_lies(name, found):
    node = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}
    chosen = find(claim(), [volume(node="node1")], node)
    assert (chosen and chosen["metadata"]["name"]) == found
