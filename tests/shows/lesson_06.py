"""What lesson 06 promises to show: the network model."""

import itertools
from dataclasses import replace
from pathlib import Path

from tests.shows.breaking import breaks

SHOWN = {
    "localhost": r"^hello from the server",
    "shared": r"^a note\npair\npair",
    "inside": r"^ +lo\n +eth0\n[\s\S]+eth0\t00000000\t\w+\n(10\.\S+)\n\1$",
    "port": r"first,second +true,false\nhttpd: bind: Address already in use",
    "pause": r"one,two +1,1\nPod sandbox changed, it will be killed and re-created",
    "no-nat": r"db saw 10\.\S+ \| it is front's own: True",
    "two-nodes": r"^two pods, two nodes",
    "cut": r"^no answer\n.+\ndb +1/1 +Running.+\ndb$",
    "service": r"pod/db replaced[\s\S]+^db$",
    "open": r"front → db: db\nstranger → db: db",
    "deny-ingress": r"front → db: no answer\nstranger → db: no answer[\s\S]+deny-ingress · ingress: nobody",
    "allow-ingress": r"front → db: db\nstranger → db: no answer[\s\S]+\+ └─ \S+ front-to-db · ingress: TCP 8080",
    "outside": r"it sees the node's address: True",
    "egress": r"db:8080 → no answer\nhttp://outside\.example/ → no answer\n[\s\S]+"
    r"db:8080 → no answer\nhttp://outside\.example/ → outside\.example, beyond the cluster",
    "ingress": r"shop\.example → shop\nblog\.example → blog\nnobody\.example → .*404 Not Found",
}


@breaks("localhost", after=("2-apply",))
def a_pod_has_no_localhost():
    from labkit.glassbox import network

    def without(pod, address):
        pod.set_up("eth0")
        pod.add_address("eth0", f"{address}/32")
        pod.add_route("0.0.0.0/0", "eth0", via=network.POD_GATEWAY)

    network._set_up_pod = without


@breaks("shared", after=("2-apply",))
def each_container_has_a_shared_memory_of_its_own():
    from labkit.glassbox.kubelet.starting import Starter

    honest, number = Starter._files, itertools.count()

    def apart(self, pod, sandbox):
        files = honest(self, pod, sandbox)
        own = Path(f"{files.shm}-{next(number)}")
        own.mkdir()
        return replace(files, shm=str(own))

    Starter._files = apart


@breaks("inside", after=("2-apply",))
def a_pod_knows_itself_by_another_address():
    from labkit.glassbox.kubelet import naming

    honest = naming.hosts
    naming.hosts = lambda pod, address, *rest: honest(pod, "10.9.9.9", *rest)


@breaks("port")
def what_a_container_says_is_lost():
    from labkit.glassbox.kubelet.log_writer import LogWriter

    honest = LogWriter.write
    LogWriter.write = lambda self, stream, text, *rest: honest(self, stream, b"", *rest)


@breaks("pause")
def a_container_that_ends_is_not_started_again():
    from labkit.glassbox.kubelet import actions

    honest = actions._next_attempt
    actions._next_attempt = lambda pod, container, actual, observed: (
        None if actual.latest(container["name"]) else honest(pod, container, actual, observed)
    )


@breaks("no-nat", after=("4-apply",))
def nodes_put_their_own_address_in_the_place_of_a_pods():
    from labkit.glassbox.kube_proxy import masquerade

    honest = masquerade.table
    masquerade.table = lambda node: f"{honest(node)}add rule {masquerade.TABLE} postrouting masquerade\n"


@breaks("two-nodes", after=("4-apply",))
def all_pods_go_to_one_node():
    from labkit.glassbox.scheduler import filters

    filters.FILTERS = (lambda cycle, info: [filters.Reason("not this")] if info.name != "node1" else [],)


@breaks("cut", after=("4-apply", "4-ask", "4-nodes"))
def a_cut_cable_carries_on():
    from labkit.glassbox import supervisor

    supervisor.NODE_VERBS["cut"] = lambda node: None


@breaks("service", "open", after=("4-apply",))
def services_are_nobodys_work():
    from labkit.glassbox.kube_proxy import services

    honest = services.ports_of
    services.ports_of = lambda service, slices: [] if service["metadata"]["name"] == "db" else honest(service, slices)


def every_policy(change):
    """Change which policies the nodes enforce."""
    from labkit.glassbox.network_policy import agent

    honest = agent.ruleset
    agent.ruleset = lambda policies, *rest: honest(change([*policies]), *rest)


@breaks("deny-ingress", "allow-ingress", after=("4-apply", "5-probe"))
def policies_are_read_by_nobody():
    every_policy(lambda policies: [])


@breaks("egress", after=("4-apply", "5-probe"))
def there_are_no_policies_for_the_way_out():
    from labkit.glassbox.network_policy import rules

    honest = rules._types
    rules._types = lambda policy: [each for each in honest(policy) if each != "Egress"]


@breaks("outside", after=("4-apply", "5-probe"))
def pods_go_out_under_their_own_address():
    from labkit.glassbox.kube_proxy import masquerade

    masquerade.table = lambda node: ""


@breaks("ingress", after=("4-apply", "7-apply"))
def the_first_site_gets_every_request():
    from labkit.glassbox.ingress import routes

    routes.find = lambda table, host, path: table[0].backend if table else None
