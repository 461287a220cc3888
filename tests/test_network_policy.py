"""Network policies: who may speak to whom, in rules and with real packets."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from labkit.glassbox import nftables
from labkit.glassbox.network_policy.rules import ruleset
from tests import live, reach
from tests.embedded import eventually

NAMESPACES = [{"metadata": {"name": name, "labels": {"team": name}}} for name in ("shop", "other")]


def pod(name, address, namespace="shop", node="node1", **more):
    container = {"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [container], **more},
        "status": {"phase": "Running", "podIP": address},
    }


WEB, SHOPPER, STRANGER = (
    pod("web", "10.244.1.2"),
    pod("shopper", "10.244.2.3", node="node2"),
    pod("stranger", "10.244.2.4", namespace="other", node="node2"),
)


def policy(name="p", namespace="shop", types=("Ingress",), select=None, **spec):
    spec = {"podSelector": select or {}, "policyTypes": [*types], **spec}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return {**kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def rules(*policies, way="ingress", pods=(WEB, SHOPPER, STRANGER)):
    """The rules of the policies' chains on node1."""
    wanted = ruleset(policies, pods, NAMESPACES, "node1")
    return [each for name, chain in wanted.chains.items() if name.startswith(f"policy-{way}") for each in chain]


def peers(*listed):
    return rules(policy(ingress=[{"from": [*listed]}]))


def ports(*listed):
    return rules(policy(ingress=[{"ports": [*listed]}]))


def test_a_pod_that_no_policy_selects_is_accepted():
    wanted = ruleset([policy(select={"matchLabels": {"app": "db"}})], [WEB], NAMESPACES, "node1")
    assert set(wanted.entries.values()) == {"accept"}


def test_a_selected_pod_receives_what_one_of_its_policies_accepts_and_nothing_else():
    both = [policy("a", ingress=[{}]), policy("b")]
    [chain] = [chain for name, chain in ruleset(both, [WEB], NAMESPACES, "node1").chains.items() if "pod-in" in name]
    own, *jumps, last = chain
    assert (own, last) == ("ip saddr 10.244.1.2 accept", "counter drop")
    assert [jump.rpartition("-")[2] for jump in jumps] == ["shop/a", "shop/b"]


def test_only_the_pods_of_the_node_have_chains_on_it():
    assert {key for _, key in ruleset([policy()], [WEB, SHOPPER], NAMESPACES, "node1").entries} == {"10.244.1.2"}


def test_an_empty_rule_accepts_everything_and_no_rule_nothing():
    assert rules(policy(ingress=[{}])) == ["accept"]
    assert rules(policy(ingress=[])) == []


def test_a_pod_selector_alone_means_pods_of_the_policys_own_namespace():
    assert peers({"podSelector": {}}) == ["ip saddr { 10.244.1.2, 10.244.2.3 } accept"]


def test_a_namespace_selector_alone_means_all_pods_there():
    assert peers({"namespaceSelector": {"matchLabels": {"team": "other"}}}) == ["ip saddr { 10.244.2.4 } accept"]


def test_both_selectors_in_one_peer_must_both_match():
    assert peers({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "shopper"}}}) == [
        "ip saddr { 10.244.2.3 } accept"
    ]
    assert (
        peers({"namespaceSelector": {"matchLabels": {"team": "other"}}, "podSelector": {"matchLabels": {"a": "b"}}})
        == []
    )


def test_a_block_is_its_range_without_the_exceptions():
    assert peers({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}}) == [
        "ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.1.2.0/24 accept"
    ]


def test_ports_are_numbers_ranges_names_or_a_whole_protocol():
    given = [{"port": 80}, {"port": 8000, "endPort": 8100}, {"port": "web"}, {"port": 53, "protocol": "UDP"}]
    assert ports(*given, {"protocol": "SCTP"}) == [
        "tcp dport 80 accept",
        "tcp dport 8000-8100 accept",
        "ip daddr . tcp dport { 10.244.1.2 . 8080, 10.244.2.3 . 8080 } accept",
        "udp dport 53 accept",
        "meta l4proto sctp accept",
    ]


def test_a_named_port_of_egress_is_each_receivers_own():
    found = rules(policy(types=["Egress"], egress=[{"ports": [{"port": "web"}]}]), way="egress")
    assert found == ["ip daddr . tcp dport { 10.244.1.2 . 8080, 10.244.2.3 . 8080, 10.244.2.4 . 8080 } accept"]


@pytest.mark.parametrize("gone", [pod("x", "10.244.1.9", hostNetwork=True), pod("y", "") | {"status": {}}])
def test_pods_without_an_address_of_their_own_are_no_peers(gone):
    assert rules(policy(ingress=[{"from": [{"podSelector": {}}]}]), pods=(WEB, gone)) == [
        "ip saddr { 10.244.1.2 } accept"
    ]


# -- with real packets


needs_nft = pytest.mark.skipif(nftables.binary() is None, reason="there is no nft")


class Town:
    """A server, a neighbour on its node, one on the other node, and a stranger in another namespace."""

    def __init__(self, cluster, namespace, elsewhere, image):
        self.cluster, self.namespace, self.elsewhere = cluster, namespace, elsewhere
        cluster.kubectl("label", "namespace", elsewhere, "team=other")
        near, far = reach.server("near", image, "node1"), reach.server("far", image, "node2")
        live.make(cluster, namespace, reach.server("web", image, "node1"), near, far)
        live.make(cluster, elsewhere, reach.server("stranger", image, "node2"))
        self.image = image

    def address(self, name):
        return live.address(self.cluster, self.elsewhere if name == "stranger" else self.namespace, name)

    def who_reaches(self, target="web", port=8080, protocol="tcp", who=("near", "far", "stranger")):
        """Return those who get an answer."""
        asked = f"{protocol} {self.address(target)} {port}"
        with ThreadPoolExecutor() as together:
            return {
                each
                for each, does in zip(who, together.map(lambda one: self._answers(one, asked), who), strict=True)
                if does
            }

    def _answers(self, name, asked):
        namespace = self.elsewhere if name == "stranger" else self.namespace
        return reach.ask(self.cluster, namespace, name, asked)[asked] not in ("nothing", "refused")

    def only(self, *names, **asked):
        """Wait until these, and no others, reach the target."""
        eventually(lambda: self.who_reaches(**asked) == {*names}, within=8)

    def apply(self, *policies):
        text = yaml.safe_dump_all([{**each, "metadata": {"name": each["metadata"]["name"]}} for each in policies])
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", input=text)

    def clear(self):
        self.cluster.kubectl("delete", "networkpolicy", "--all", "-n", self.namespace)
        self.only("near", "far", "stranger")


@pytest.fixture(scope="module")
def place(cluster, python_image):
    with live.fresh_namespace(cluster) as namespace, live.fresh_namespace(cluster) as elsewhere:
        yield Town(cluster, namespace, elsewhere, python_image)


@pytest.fixture
def town(place):
    yield place
    place.clear()


DENY = policy("deny")


@needs_nft
@pytest.mark.cluster
def test_default_deny_shuts_pods_off_and_taking_it_away_opens_them(town):
    town.only("near", "far", "stranger")
    town.apply(DENY)
    town.only()
    assert town.who_reaches(protocol="udp") == set()
    town.clear()


@needs_nft
@pytest.mark.cluster
def test_a_denied_pod_stays_ready_and_reaches_itself_and_may_ask_others(town):
    town.apply(policy("deny", select={"matchLabels": {"app": "web"}}))
    town.only()
    assert town.who_reaches("far", who=("web",)) == {"web"}
    assert town.who_reaches("web", who=("web",)) == {"web"}
    live.wait(town.cluster, town.namespace, "web", "condition=Ready")


@needs_nft
@pytest.mark.cluster
def test_policies_add_up(town):
    allow = {"from": [{"podSelector": {"matchLabels": {"app": "near"}}}]}
    others = {"from": [{"namespaceSelector": {"matchLabels": {"team": "other"}}}]}
    town.apply(DENY, policy("near", ingress=[allow]))
    town.only("near")
    town.apply(policy("others", ingress=[others]))
    town.only("near", "stranger")


@needs_nft
@pytest.mark.cluster
def test_a_label_that_comes_or_goes_on_pod_or_namespace_counts_at_once(town):
    friends = {"from": [{"podSelector": {"matchLabels": {"friend": "yes"}}}]}
    teams = {"from": [{"namespaceSelector": {"matchLabels": {"team": "friends"}}}]}
    town.apply(policy("friends", ingress=[friends, teams]))
    town.only()
    town.cluster.kubectl("label", "pod", "far", "-n", town.namespace, "friend=yes")
    town.cluster.kubectl("label", "namespace", town.elsewhere, "team=friends", "--overwrite")
    town.only("far", "stranger")
    town.cluster.kubectl("label", "pod", "far", "-n", town.namespace, "friend-")
    town.cluster.kubectl("label", "namespace", town.elsewhere, "team=other", "--overwrite")
    town.only()


@needs_nft
@pytest.mark.cluster
def test_a_policy_holds_for_a_pod_born_after_it_from_its_first_packet_on(town):
    town.apply(policy("deny", select={"matchLabels": {"app": "late"}}))
    live.make(town.cluster, town.namespace, reach.server("late", town.image, "node1"))
    assert town.who_reaches("late") == set()
    town.cluster.kubectl("delete", "pod", "late", "-n", town.namespace, "--now")


@needs_nft
@pytest.mark.cluster
def test_one_port_is_open_by_name_and_the_other_shut(town):
    town.apply(policy("web", ingress=[{"ports": [{"port": "web"}]}]))
    town.only(port=8081)
    town.only("near", "far", "stranger", port=8080)
    assert town.who_reaches(protocol="udp") == set()


@needs_nft
@pytest.mark.cluster
def test_egress_is_shut_to_all_but_a_block_and_its_exception(town):
    far, stranger = town.address("far"), town.address("stranger")
    block = {"ipBlock": {"cidr": "10.244.2.0/24", "except": [f"{stranger}/32"]}}
    select = {"matchLabels": {"app": "near"}}
    town.apply(policy("out", types=["Egress"], select=select, egress=[{"to": [block]}]))
    town.only(who=("near",))
    assert town.who_reaches("far", who=("near",)) == {"near"}
    assert town.who_reaches("stranger", who=("near",)) == set()
    assert far != stranger


@needs_nft
@pytest.mark.cluster
def test_a_policy_looks_behind_a_services_address(town):
    town.cluster.kubectl("expose", "pod", "web", "-n", town.namespace, "--port=80", "--target-port=web")
    vip = town.cluster.kubectl("get", "service", "web", "-n", town.namespace, "-o", "jsonpath={.spec.clusterIP}")
    town.apply(policy("near", select={"matchLabels": {"app": "web"}}, ingress=[{"from": [{"podSelector": {}}]}]))
    asked = f"tcp {vip} 80"
    eventually(lambda: reach.ask(town.cluster, town.elsewhere, "stranger", asked) == {asked: "nothing"})
    for name in ("near", "web"):
        assert reach.ask(town.cluster, town.namespace, name, asked)[asked].startswith("web "), name
    town.cluster.kubectl("delete", "service", "web", "-n", town.namespace)


@needs_nft
@pytest.mark.cluster
def test_the_ingress_controller_is_let_in_as_a_pod_of_kube_system(town):
    host = f"{town.namespace}.example"
    live.make(town.cluster, town.namespace, reach.service("site", "web"), reach.ingress("site", host, "site"))
    asked = f"http 172.30.0.2 80 {host}"

    def answers(told):
        return reach.ask(town.cluster, town.namespace, "near", asked)[asked].startswith(told)

    eventually(lambda: answers("web"))
    town.apply(DENY)
    eventually(lambda: answers("nothing"))
    kube_system = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    controller = {"matchLabels": {"app.kubernetes.io/name": "ingress"}}
    peer = {"namespaceSelector": kube_system, "podSelector": controller}
    town.apply(policy("ingress", ingress=[{"from": [peer]}]))
    eventually(lambda: answers("web"))
    town.cluster.kubectl("delete", "ingress/site", "service/site", "-n", town.namespace)


@pytest.mark.cluster
def test_the_node_says_whether_policies_are_enforced(cluster):
    path = '-o=jsonpath={.items[*].status.conditions[?(@.type=="NetworkPolicy")].status}'
    expected = ["True" if nftables.binary() else "False"] * 2
    eventually(lambda: cluster.kubectl("get", "nodes", path).split() == expected)
