"""Services and the pods behind them, and how often each answered."""

from labkit import normalise
from labkit.draw import boxes, services
from labkit.draw.bars import bars

OWNER = [{"uid": "r", "kind": "ReplicaSet", "name": "web"}]
WEB = {
    "metadata": {"uid": "s", "name": "web"},
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": "http"}]},
}


def pod(name):
    return {"metadata": {"uid": name, "name": name, "ownerReferences": OWNER}}


def endpoints(**ready):
    found = [{"targetRef": {"uid": name}, "conditions": {"ready": is_ready}} for name, is_ready in ready.items()]
    return [{"metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "endpoints": found}]


def twin(slices):
    return str(boxes.draw(services.graph_of([WEB], slices, [pod("a"), pod("b"), pod("c")]), "services")).splitlines()


def test_a_service_has_its_ready_endpoints_below_it_and_no_pod_beside():
    assert twin(endpoints(a=True, b=True)) == [
        "services (3 objects)",
        "  Service web · ClusterIP · port 80 → http",
        "  └─ 2 × Pod · ready",
    ]


def test_an_endpoint_that_is_not_ready_stands_apart():
    assert twin(endpoints(a=True, b=False))[2:] == [
        "  └─ Pod a · ready",
        "  Pod b · selected, not ready: gets nothing",
    ]


def test_services_without_a_virtual_ip_say_what_they_are():
    headless = {**WEB, "spec": {"type": "ClusterIP", "clusterIP": "None"}}
    alias = {**WEB, "spec": {"type": "ExternalName", "externalName": "db.example"}}
    assert [services.note_of(each) for each in (headless, alias)] == ["headless", "ExternalName → db.example"]


def test_answers_are_counted_a_bar_each():
    assert str(bars(["b", "a", "b", "b"], "who answered")).splitlines() == [
        "who answered (2 different among 4 answers)",
        f"  a  {'█' * 9} 1 of 4 answers",
        f"  b  {'█' * 27} 3 of 4 answers",
    ]


def test_two_counts_of_as_many_answers_are_stored_alike():
    one, other = bars(["a", "a", "b"], "who"), bars(["a", "b", "b"], "who")
    assert normalise.text(one.svg) == normalise.text(other.svg)
    assert normalise.text(one.text) == normalise.text(other.text)
