"""How pods are called and whom they ask for names."""

import pytest

from labkit.glassbox.kubelet import naming
from labkit.glassbox.kubelet.naming import HostnameError, Resolver

HOST = Resolver(("192.168.1.1",), ("example.com",), ("timeout:1",))


def pod(**spec):
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def resolv_conf(**spec):
    return naming.resolver(pod(**spec), "10.96.0.10", "cluster.local", HOST)[0].text


def test_a_pod_asks_the_cluster_s_dns_server():
    assert resolv_conf(dnsPolicy="ClusterFirst") == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local example.com\n"
        "nameserver 10.96.0.10\n"
        "options ndots:5\n"
    )


@pytest.mark.parametrize("spec", [{"dnsPolicy": "Default"}, {"dnsPolicy": "ClusterFirst", "hostNetwork": True}])
def test_a_pod_may_ask_whom_its_node_asks(spec):
    assert resolv_conf(**spec) == "search example.com\nnameserver 192.168.1.1\noptions timeout:1\n"


def test_a_pod_may_say_whom_it_asks():
    config = {"nameservers": ["1.2.3.4"], "searches": ["my.example"], "options": [{"name": "ndots", "value": "2"}]}
    assert resolv_conf(dnsPolicy="None", dnsConfig=config) == "search my.example\nnameserver 1.2.3.4\noptions ndots:2\n"


def test_what_a_pod_adds_comes_after_and_its_options_win():
    config = {"nameservers": ["1.2.3.4"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}
    assert resolv_conf(dnsConfig=config).splitlines()[1:] == [
        "nameserver 10.96.0.10",
        "nameserver 1.2.3.4",
        "options ndots:2 edns0",
    ]


def test_more_servers_than_the_resolver_takes_are_left_out_and_told():
    config = {"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3"]}
    kept, told = naming.resolver(pod(dnsConfig=config), "10.96.0.10", "cluster.local", HOST)
    assert kept.servers == ("10.96.0.10", "1.1.1.1", "2.2.2.2")
    assert told == [
        "Nameserver limits were exceeded, some nameservers have been omitted, "
        "the applied nameserver line is: 10.96.0.10 1.1.1.1 2.2.2.2"
    ]


def test_a_resolv_conf_is_read():
    assert naming.parse("# x\nsearch a b\nnameserver 1.2.3.4\noptions ndots:1 edns0\n") == Resolver(
        ("1.2.3.4",), ("a", "b"), ("ndots:1", "edns0")
    )


@pytest.mark.parametrize(
    ("spec", "name", "line"),
    [
        ({}, "web", "10.244.1.2\tweb"),
        ({"hostname": "db-0"}, "db-0", "10.244.1.2\tdb-0"),
        ({"hostname": "db-0", "subdomain": "db"}, "db-0", "10.244.1.2\tdb-0.db.shop.svc.cluster.local\tdb-0"),
        (
            {"subdomain": "db", "setHostnameAsFQDN": True},
            "web.db.shop.svc.cluster.local",
            "10.244.1.2\tweb.db.shop.svc.cluster.local\tweb",
        ),
        ({"hostname": "x", "subdomain": "y", "hostnameOverride": "my.name"}, "my.name", "10.244.1.2\tmy.name"),
        ({"hostNetwork": True}, "node1", "10.244.1.2\tnode1"),
    ],
)
def test_a_pod_s_host_name_and_its_line_in_etc_hosts(spec, name, line):
    assert naming.hostname(pod(**spec), "cluster.local", "node1") == name
    assert naming.hosts(pod(**spec), "10.244.1.2", "cluster.local", "node1").splitlines()[-1] == line


def test_host_aliases_stand_at_the_end_of_etc_hosts():
    aliases = [{"ip": "1.2.3.4", "hostnames": ["foo.local", "bar.local"]}]
    text = naming.hosts(pod(hostAliases=aliases), "10.244.1.2", "cluster.local", "node1")
    assert text.endswith("\n\n# Entries added by HostAliases.\n1.2.3.4\tfoo.local\tbar.local\n")


def test_a_full_name_longer_than_the_kernel_takes_is_refused():
    with pytest.raises(HostnameError, match="is too long \\(64 characters is the max, 81 characters requested\\)"):
        naming.hostname(pod(hostname="h" * 55, subdomain="db", setHostnameAsFQDN=True), "cluster.local", "node1")
