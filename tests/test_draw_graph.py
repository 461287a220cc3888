"""Graphs: what hangs on what, folded and compared, as boxes and as a text tree."""

import xml.etree.ElementTree as ElementTree

from labkit.draw import boxes, graph, owners, volumes
from labkit.draw.graph import Graph, Node

WEB = Node("d", "Deployment", "web", "3 of 3 ready")
SET = Node("r", "ReplicaSet", "web-5c9f6d7b8c", "revision 1")
PET = Node("p", "Pod", "pet", "Running, ready")


def pod(key, note="Running, ready"):
    return Node(key, "Pod", f"web-{key}", note, herd="r")


def web(*pods, note="3 of 3 ready"):
    nodes = (Node("d", "Deployment", "web", note), SET, *pods)
    return Graph(nodes, (("d", "r"), *(("r", each.key) for each in pods)))


THREE = web(pod("a"), pod("b"), pod("c"))


def twin(now, since=None):
    return str(boxes.draw(now, "who owns whom", since=since)).splitlines()


def test_replicas_that_stand_alike_are_one_line_of_the_tree():
    assert twin(Graph((*THREE.nodes, PET), THREE.edges)) == [
        "who owns whom (6 objects)",
        "  Deployment web · 3 of 3 ready",
        "  └─ ReplicaSet web-5c9f6d7b8c · revision 1",
        "     └─ 3 × Pod · Running, ready",
        "  Pod pet · Running, ready",
    ]


def test_what_is_new_gone_or_changed_since_an_earlier_picture_is_marked():
    now = web(pod("a"), pod("b"), pod("e", "Pending, not ready"), note="2 of 3 ready")
    assert twin(now, since=THREE) == [
        "who owns whom (5 objects, + 1 new, ~ 1 changed, - 1 gone)",
        "~ Deployment web · 2 of 3 ready",
        "  └─ ReplicaSet web-5c9f6d7b8c · revision 1",
        "     ├─ 2 × Pod · Running, ready",
        "+    ├─ Pod web-e · Pending, not ready",
        "-    └─ Pod web-c · Running, ready",
    ]


def test_what_is_new_comes_after_what_stayed_whatever_its_name():
    now = web(pod("0"), pod("a"), pod("b"))
    assert twin(now, since=THREE)[3:] == [
        "     ├─ 2 × Pod · Running, ready",
        "+    ├─ Pod web-0 · Running, ready",
        "-    └─ Pod web-c · Running, ready",
    ]


def test_a_pod_that_lost_its_owner_has_changed():
    released = Graph(THREE.nodes, tuple(edge for edge in THREE.edges if edge != ("r", "c")))
    assert twin(released, since=THREE)[-1] == "~ Pod web-c · Running, ready"


def test_nothing_changed_is_said():
    assert twin(THREE, since=THREE)[0] == "who owns whom (5 objects, nothing changed)"


def test_pets_are_never_folded():
    pets = Graph((PET, Node("q", "Pod", "other", "Running, ready")))
    assert twin(pets)[1:] == ["  Pod pet · Running, ready", "  Pod other · Running, ready"]


def test_what_hangs_on_two_is_told_once_and_named_again():
    shared = Graph((Node("1", "Pod", "a"), Node("2", "Pod", "b"), Node("c", "Claim", "data", "Bound")),
                   (("1", "c"), ("2", "c")))  # fmt: skip
    assert twin(shared)[1:] == ["  Pod a", "  └─ Claim data · Bound", "  Pod b", "  └─ Claim data ↑"]


def test_at_most_twelve_boxes_are_drawn_and_the_rest_is_counted():
    many = Graph(tuple(Node(str(n), "Pod", f"pet-{n}") for n in range(15)))
    lines = twin(many)
    assert len(lines) == 1 + graph.MOST
    assert lines[0] == "who owns whom (12 objects, 3 more not drawn)"


def test_an_empty_namespace_is_said():
    assert twin(Graph(())) == ["who owns whom (no objects here)"]


def test_a_part_of_it_is_what_hangs_on_the_named_ones():
    all_of_it = Graph((*THREE.nodes, PET), THREE.edges)
    assert [node.key for node in graph.below(all_of_it, ["pod/pet"]).nodes] == ["p"]
    assert [node.key for node in graph.below(all_of_it, ["deployment/web"]).nodes] == ["d", "r", "a", "b", "c"]


def test_a_node_stands_right_of_all_on_which_it_hangs_and_between_what_hangs_on_it():
    shape = Graph(tuple(Node(k, "Thing", k) for k in "abcd"), (("a", "b"), ("a", "c"), ("b", "d"), ("a", "d")))
    assert boxes.columns_of(shape) == {"a": 0, "b": 1, "c": 1, "d": 2}
    assert boxes.rows_of(shape) == {"d": 0, "b": 0, "c": 1, "a": 0.5}


def test_the_boxes_are_valid_xml_mark_changes_by_more_than_colour_and_keep_text_inside():
    now = web(pod("a"), pod("b"), pod("e", "a < b"), note="2 of 3 ready")
    picture = boxes.draw(now, "who owns whom", since=THREE)
    root = ElementTree.fromstring(picture.svg)
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"+ new", "- gone", "~ changed", "2 × Pod", "a < b"} <= set(words)
    assert "Pod web-c, Running, ready, below ReplicaSet web-5c9f6d7b8c, gone" in root[1].text
    width = float(root.get("width"))
    texts = [e for e in root.iter() if e.tag.endswith("text") and e.get("text-anchor") != "end"]
    assert all(float(e.get("x")) + len(e.text) * 7 <= width for e in texts)


# --- owners ----------------------------------------------------------


def obj(kind, name, *, owner=None, spec=None, status=None, **meta):
    owned = {"ownerReferences": [{"uid": owner}]} if owner else {}
    return {"kind": kind, "metadata": {"name": name, "uid": name, **owned, **meta}, "spec": spec, "status": status}


READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def revision(number):
    return {"deployment.kubernetes.io/revision": str(number)}


def test_replica_sets_come_in_the_order_of_their_revisions_whatever_their_hash():
    found = owners.graph_of([
        obj("Deployment", "web", spec={"replicas": 2}),
        obj("ReplicaSet", "web-z", owner="web", spec={"replicas": 0}, annotations=revision(1)),
        obj("ReplicaSet", "web-b", owner="web", spec={"replicas": 2}, annotations=revision(2)),
        obj("Pod", "web-b-1", owner="web-b", status=READY),
        obj("Pod", "web-b-2", owner="web-b", status=READY),
    ])  # fmt: skip
    assert twin(found)[1:] == [
        "  Deployment web · 2 of 2 ready",
        "  ├─ ReplicaSet web-z · revision 1 · 0 of 0 ready",
        "  └─ ReplicaSet web-b · revision 2 · 2 of 2 ready",
        "     └─ 2 × Pod · Running, ready",
    ]


def test_the_ready_pods_of_a_workload_are_counted_in_the_same_look_whatever_its_status_says():
    found = owners.graph_of([
        obj("Deployment", "web", spec={"replicas": 2}, status={"readyReplicas": 2}),
        obj("ReplicaSet", "web-b", owner="web", spec={"replicas": 2}, annotations=revision(1)),
        obj("Pod", "web-b-1", owner="web-b", status=READY),
        obj("Pod", "web-b-2", owner="web-b", status={"phase": "Pending"}),
    ])  # fmt: skip
    assert [node.note for node in found.nodes[:2]] == ["1 of 2 ready", "revision 1 · 1 of 2 ready"]


def test_a_pods_note_says_whether_it_serves():
    ending = obj("Pod", "p", status=READY, deletionTimestamp="2026-01-05T09:00:00Z")
    pods = [obj("Pod", "p", status=READY), obj("Pod", "p", status={"phase": "Pending"}),
            obj("Pod", "p", status={"phase": "Succeeded"}), ending]  # fmt: skip
    assert [owners.note_of(each) for each in pods] == [
        "Running, ready", "Pending, not ready", "Succeeded", "Terminating",
    ]  # fmt: skip


# --- volumes ----------------------------------------------------------


def claim(name, volume=""):
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "volumeName": volume}
    phase = "Bound" if volume else "Pending"
    return obj("PersistentVolumeClaim", name, spec=wanted, status={"phase": phase})


def pod_with(*mounted, env=()):
    """A pod with these volumes, and a container with these variables."""
    volumes_ = [{"name": f"v{i}", **each} for i, each in enumerate(mounted)]
    spec = {"volumes": volumes_, "containers": [{"env": [{"valueFrom": each} for each in env]}]}
    return obj("Pod", "p", spec=spec, status={"phase": "Running"})


def test_a_claim_leads_to_its_volume_and_this_one_to_its_class():
    volume = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"}, "storageClassName": "standard",
              "persistentVolumeReclaimPolicy": "Delete"}  # fmt: skip
    found = volumes.graph_of([
        pod_with({"persistentVolumeClaim": {"claimName": "disk"}}),
        claim("disk", "pv"), claim("waiting"),
        obj("PersistentVolume", "pv", spec=volume, status={"phase": "Bound"}),
        {**obj("StorageClass", "standard"), "provisioner": "example.com/disk"},
    ])  # fmt: skip
    assert twin(found)[1:] == [
        "  Pod p · Running",
        "  └─ PersistentVolumeClaim disk · Bound, 1Mi, RWO",
        "     └─ PersistentVolume pv · Bound, 1Mi, RWO, then Delete",
        "        └─ StorageClass standard · example.com/disk",
        "  PersistentVolumeClaim waiting · Pending, 1Mi, RWO",
    ]


def test_files_and_variables_lead_to_secrets_and_config_maps_and_what_is_missing_is_said():
    mounts = [
        {"emptyDir": {}},
        {"projected": {"sources": [{"secret": {"name": "bank"}}]}},
        {"configMap": {"name": "no"}},
    ]
    own_token = {"name": "kube-api-access-x2k4p", "projected": {"sources": [{"configMap": {"name": "ca"}}]}}
    pod = pod_with(*mounts, own_token, env=[{"secretKeyRef": {"name": "bank"}}])
    bank = {**obj("Secret", "bank"), "data": {"pin": "NDcxMQ=="}, "immutable": True}
    assert twin(volumes.graph_of([pod, bank]))[1:] == [
        "  Pod p · Running",
        "  ├─ emptyDir v0 of p",
        "  ├─ Secret bank · pin, immutable",
        "  └─ ConfigMap no · not seen",
    ]


def test_a_long_name_is_shortened_in_the_picture_alone():
    volume = Node("v", "PersistentVolume", "pvc-6e0f2a58-3c1d-4b7e-9f10-0a1b2c3d4e5f")
    picture = boxes.draw(Graph((volume,)), "volumes")
    assert ">PersistentVolume pvc-6e0…d4e5f<" in picture.svg
    assert volume.title in picture.svg  # told to a screen reader
    assert volume.title in str(picture)


def owned(kind, name, *owners, **annotations):
    references = [{"kind": "ReplicaSet", "name": each, "uid": each, "controller": True} for each in owners]
    meta = {"name": name, "uid": name, "ownerReferences": references, "annotations": annotations}
    return {"kind": kind, "metadata": meta, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def test_owners_in_a_circle_and_a_revision_that_is_no_number_are_drawn():
    odd = {owners.REVISION: "latest"}
    sets = [owned("ReplicaSet", "a", "b", **odd), owned("ReplicaSet", "b", "a")]
    objects = [*sets, owned("Pod", "p", "a")]
    assert owners.ready_below(objects) == {"a": 1, "b": 1}
    assert len(twin(owners.graph_of(objects))) > 0
