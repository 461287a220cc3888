"""Lesson 06: its checks, each with starter, reference, another right answer and likely wrong ones; its picture."""

import time

import pytest
import yaml

from labkit.checks import State
from labkit.draw import boxes, policies
from tests.lessons import kubectl, manifests

LESSON = "06"


def manifest(file):
    return yaml.safe_load((manifests(LESSON) / file).read_text())


def made_again(lab, change):
    """Make twins again from its file, with a change to its containers."""
    pod = manifest("twins.yaml")
    change(pod["spec"]["containers"])
    kubectl("delete pod twins")
    lab.api.create("pods", pod, lab.namespace)
    lab.wait("pod/twins", "Ready")


@pytest.mark.cluster
def test_all_containers_start_anew_when_the_infrastructure_container_ends(lab):
    kubectl("apply -f fragile.yaml")
    lab.wait("pod/fragile", "Ready")
    kubectl("exec fragile -c one -- kill -TERM 1")
    for container in (0, 1):
        lab.wait("pod/fragile", f".status.containerStatuses[{container}].restartCount=1")
    assert "Pod sandbox changed" in kubectl("get events --field-selector reason=SandboxChanged")


# --- exercise 06.1: two servers, one pod ----------------------------------------------------------


@pytest.fixture
def twins(lab):
    """The pod of the exercise, after its second container has failed."""
    kubectl("apply -f twins.yaml")
    lab.wait("pod/twins", ".status.containerStatuses[1].state.waiting.reason=CrashLoopBackOff")
    return lab


@pytest.mark.cluster
class TestTwoServersInOnePod:
    def test_without_the_pod_it_is_not_tried(self, lab):
        assert lab.check("06.1").state is State.NOT_TRIED

    def test_the_starter_is_not_tried_and_its_log_names_the_address_in_use(self, twins):
        assert twins.check("06.1").state is State.NOT_TRIED
        assert "bind: Address already in use" in kubectl("logs twins -c second")

    def test_the_reference_is_right(self, twins):
        made_again(twins, lambda containers: containers[1]["command"].__setitem__(2, "exec httpd -f -p 8081"))
        assert twins.check("06.1").state is State.RIGHT

    def test_the_first_one_moved_is_right_too(self, twins):
        made_again(twins, lambda containers: containers[0]["command"].__setitem__(3, "8081"))
        assert twins.check("06.1").state is State.RIGHT

    def test_one_server_alone_is_no_answer(self, twins):
        made_again(twins, lambda containers: containers.pop())
        assert twins.check("06.1").state is State.WRONG


# --- exercise 06.2: the vault ----------------------------------------------------------


@pytest.fixture
def vault(lab):
    """The vault, open to both."""
    if not lab.can("network-policy"):
        pytest.skip("nobody enforces policies here")
    kubectl("apply -f vault")
    lab.wait("pods app in (clerk,thief)", "Ready")
    lab._grader.clock = lambda: time.time() + 60
    return lab


def shut_out(lab, pod):
    lab.wait(f"pod/{pod}", ".status.containerStatuses[0].ready=false")


@pytest.mark.cluster
class TestTheVault:
    def test_the_starter_is_not_tried(self, vault):
        assert vault.check("06.2").state is State.NOT_TRIED

    def test_the_reference_is_right(self, vault):
        kubectl("apply -f solution/vault.yaml")
        shut_out(vault, "thief")
        assert vault.check("06.2").state is State.RIGHT

    def test_the_thief_kept_in_by_egress_is_right_too(self, vault):
        no_way_out = manifest("policies/deny-egress.yaml")
        no_way_out["spec"]["podSelector"]["matchLabels"] = {"app": "thief"}
        vault.api.create("networkpolicies", no_way_out, vault.namespace)
        shut_out(vault, "thief")
        assert vault.check("06.2").state is State.RIGHT

    def test_everybody_shut_out_is_wrong_and_the_hint_names_the_clerk(self, vault):
        kubectl("apply -f policies/deny-ingress.yaml")
        shut_out(vault, "thief")
        shut_out(vault, "clerk")
        verdict = vault.check("06.2")
        assert verdict.state is State.WRONG
        assert verdict.hints[0].startswith("The clerk is shut out as well.")

    def test_a_thief_under_another_label_is_wrong(self, vault):
        kubectl("label pod thief app=guest --overwrite")
        kubectl("apply -f solution/vault.yaml")
        shut_out(vault, "thief")
        assert vault.check("06.2").state is State.WRONG


# --- exercise 06.3: a path of its own ----------------------------------------------------------


@pytest.fixture
def sites(lab):
    """The Ingress of the lesson."""
    kubectl("apply -f sites.yaml")
    return lab


def one_more_path(path, service, rule=0):
    backend = f'{{"service":{{"name":"{service}","port":{{"number":8080}}}}}}'
    value = f'{{"path":"{path}","pathType":"Prefix","backend":{backend}}}'
    patch = f'[{{"op":"add","path":"/spec/rules/{rule}/http/paths/-","value":{value}}}]'
    return kubectl(f"patch ingress sites --type=json -p '{patch}'")


@pytest.mark.cluster
class TestAPathOfItsOwn:
    def test_the_starter_is_not_tried(self, sites):
        assert sites.check("06.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, sites):
        kubectl("apply -f solution/cart.yaml")
        assert sites.check("06.3").state is State.RIGHT

    def test_a_path_in_the_same_ingress_is_right_too(self, sites):
        one_more_path("/cart", "cart")
        assert sites.check("06.3").state is State.RIGHT

    def test_another_path_is_wrong_and_the_hint_gives_the_slash(self, sites):
        one_more_path("/basket", "cart")
        verdict = sites.check("06.3")
        assert verdict.state is State.WRONG
        assert verdict.hints == ("The path begins with a slash: /cart.",)

    def test_a_path_of_the_other_host_is_wrong_and_the_hint_names_the_host(self, sites):
        one_more_path("/cart", "cart", rule=1)
        verdict = sites.check("06.3")
        assert verdict.state is State.WRONG
        assert verdict.hints == ("The host counts as well: it is shop.example whose /cart leads to cart.",)

    def test_a_service_that_is_not_there_is_wrong(self, sites):
        one_more_path("/cart", "carts")
        assert sites.check("06.3").state is State.WRONG


# --- the picture ----------------------------------------------------------


def policy(name, types, **spec):
    spec = {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": types, **spec}
    return {"kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


def told(*found):
    return str(boxes.draw(policies.graph_of(found, {"app=db": ["db"], "": ["db", "web"]}.__getitem__), "who")).split(
        "\n"
    )


def test_a_policy_without_rules_is_a_way_in_for_nobody():
    assert told(policy("deny", ["Ingress"])) == [
        "who (2 objects)",
        "  NetworkPolicy deny · ingress: nobody",
        "  └─ Pod db",
    ]


def test_arrows_of_ingress_come_from_the_peers_and_those_of_egress_lead_to_them():
    space = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
    ways_in = [{"from": [space], "ports": [{"port": 80, "endPort": 90}]}]
    ways_out = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]
    assert told(policy("p", ["Ingress", "Egress"], ingress=ways_in, egress=ways_out))[1:] == [
        "  Peer pods a of namespaces all",
        "  └─ NetworkPolicy p · ingress: TCP 80-90",
        "     └─ Pod db",
        "  Pod db",
        "  └─ NetworkPolicy p · egress: all ports",
        "     └─ Peer 10.0.0.0/8 but not 10.1.0.0/16",
    ]
