"""Lesson 04: its checks, each with starter, reference, another right answer and likely wrong ones."""

import pytest

from labkit.checks import State
from tests.lessons import kubectl

LESSON = "04"


def wrong(lab, number):
    """Check, and return the names of what is wrong and the hints."""
    found = lab.check(number)
    assert found.state is State.WRONG
    return [each.name for each in found.findings if each.state is State.WRONG], found.hints


def settle(lab, service, condition):
    lab.wait(f"endpointslices kubernetes.io/service-name={service}", condition)


@pytest.mark.cluster
def test_the_api_refuses_a_services_name_with_a_dot(lab):
    assert 'The Service "web.shop" is invalid: metadata.name: Invalid value: "web.shop"' in kubectl("apply -f broken")


# --- exercise 04.1: a service that finds its pods ----------------------------------------------------------


@pytest.fixture
def orders(lab):
    """The exercise's pods and its service with two faults."""
    kubectl("apply -f orders")
    lab.wait("deployment/orders", "Available")
    return lab


@pytest.mark.cluster
class TestOrders:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("04.1").state is State.NOT_TRIED

    def test_the_reference_is_right(self, orders):
        kubectl("apply -f solution/orders-service.yaml")
        settle(orders, "orders", ".endpoints[1].conditions.ready=true")
        assert orders.check("04.1").state is State.RIGHT

    def test_a_service_made_anew_by_expose_is_right_too(self, orders):
        kubectl("delete service orders")
        kubectl("expose deployment orders --port=80 --target-port=8080")
        settle(orders, "orders", ".endpoints[1].conditions.ready=true")
        orders.wait("endpointslices kubernetes.io/service-name=orders", ".ports[0].port=8080")
        assert orders.check("04.1").state is State.RIGHT

    def test_a_repaired_selector_alone_is_wrong_and_the_hint_asks_for_the_port(self, orders):
        kubectl("set selector service orders app=orders")
        settle(orders, "orders", ".endpoints[1].conditions.ready=true")
        names, hints = wrong(orders, "04.1")
        assert names == ["it leads to the port on which they listen"]
        assert hints[0].startswith("Questions are sent to port 80 of the pods.")

    def test_changed_pods_are_wrong_and_the_hint_says_what_was_to_be_repaired(self, orders):
        kubectl("delete deployment orders")
        kubectl("create deployment orders --image=busybox:1.36")
        kubectl("""patch deployment orders -p '{"spec":{"template":{"metadata":{"labels":{"more":"x"}}}}}'""")
        names, hints = wrong(orders, "04.1")
        assert "the pods are as they were" in names
        assert any(hint.startswith("Repair the service, not the pods") for hint in hints)


# --- exercise 04.2: a name for a pod ----------------------------------------------------------


@pytest.mark.cluster
class TestCaptain:
    def test_the_starter_is_not_tried(self, lab):
        kubectl("apply -f crew.yaml")
        assert lab.check("04.2").state is State.NOT_TRIED

    def test_the_reference_is_right(self, lab):
        kubectl("apply -f solution/team.yaml -f solution/captain.yaml")
        settle(lab, "team", ".endpoints[*].hostname=captain")
        assert lab.check("04.2").state is State.RIGHT

    def test_a_service_made_by_command_is_right_too(self, lab):
        kubectl("create service clusterip team --clusterip=None")
        kubectl("apply -f solution/captain.yaml")
        settle(lab, "team", ".endpoints[*].hostname=captain")
        assert lab.check("04.2").state is State.RIGHT

    def test_a_service_with_a_virtual_ip_is_wrong_and_the_hint_says_that_it_cannot_be_changed(self, lab):
        kubectl("create service clusterip team --tcp=80")
        kubectl("apply -f solution/captain.yaml")
        settle(lab, "team", ".endpoints[*].hostname=captain")
        names, hints = wrong(lab, "04.2")
        assert names == ["the service team is headless"]
        assert hints[0].startswith("This service has a virtual IP")

    def test_a_pod_without_a_host_name_does_not_do(self, lab):
        kubectl("apply -f solution/team.yaml -f crew.yaml")
        lab.wait("pod/crew", "Ready")
        settle(lab, "team", ".endpoints[0].conditions.ready=true")
        assert lab.check("04.2").state in (State.WRONG, State.CONVERGING)


# --- exercise 04.3: a door, and back to the same pod ----------------------------------------------------------


@pytest.fixture
def web(lab):
    """The lesson's three pods."""
    kubectl("apply -f start")
    lab.wait("deployment/web", "Available")
    return lab


@pytest.mark.cluster
class TestCounter:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("04.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, web):
        kubectl("apply -f solution/counter.yaml")
        settle(web, "counter", ".endpoints[2].conditions.ready=true")
        assert web.check("04.3").state is State.RIGHT

    def test_a_service_exposed_and_patched_is_right_too(self, web):
        kubectl("expose deployment web --name=counter --type=LoadBalancer --port=80 --target-port=8080")
        affinity = '{"spec":{"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}}}}'
        kubectl(f"patch service counter -p '{affinity}'")
        settle(web, "counter", ".endpoints[2].conditions.ready=true")
        assert web.check("04.3").state is State.RIGHT

    def test_the_default_time_is_wrong_and_the_hint_tells_it(self, web):
        kubectl("expose deployment web --name=counter --type=NodePort --port=80 --session-affinity=ClientIP")
        settle(web, "counter", ".endpoints[2].conditions.ready=true")
        names, hints = wrong(web, "04.3")
        assert names == ["a client goes back to its pod for 60 seconds"]
        assert hints[0].startswith("Three hours")

    def test_a_plain_service_is_wrong_and_the_hints_ask_for_the_type_and_for_memory(self, web):
        kubectl("expose deployment web --name=counter --port=80")
        settle(web, "counter", ".endpoints[2].conditions.ready=true")
        names, hints = wrong(web, "04.3")
        assert names == ["counter is open on every node"]
        assert [hint.partition(".")[0] for hint in hints] == [
            "A ClusterIP is for the inside only",
            "This service forgets its clients",
        ]
