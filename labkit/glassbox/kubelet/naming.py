"""How a pod is called, and how it finds others by name: its host name, /etc/hosts, /etc/resolv.conf. Pure, but for
the host's resolv.conf.

A pod on the node's network has the node's name and, unless it asks otherwise, the node's own resolver; a node has no
files of its own, so that what it resolves with is the host's.

Upstream: pkg/kubelet/network/dns/dns.go, pkg/kubelet/kubelet_pods.go (managedHostsFileContent)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import objects

MAX_HOSTNAME, MAX_FQDN = 63, 64  # characters
MAX_SERVERS, MAX_SEARCHES, MAX_SEARCH_LINE = 3, 32, 2048
NDOTS = {"name": "ndots", "value": "5"}
LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


class HostnameError(Exception):
    """A pod cannot be called as it wants to be."""


@dataclass(frozen=True)
class Resolver:
    """What a resolv.conf says."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The file, as containerd writes it."""
        search = f"search {' '.join(self.searches)}\n" if self.searches else ""
        options = f"options {' '.join(self.options)}\n" if self.options else ""
        return search + "".join(f"nameserver {each}\n" for each in self.servers) + options


def hostname(pod: dict, domain: str, node: str) -> str:
    """Return the pod's host name; raises HostnameError for one that is longer than the kernel takes."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return node
    full = full_name(pod, domain)
    if not spec.get("setHostnameAsFQDN") or not full:
        return _short(pod)
    if len(full) > MAX_FQDN:
        raise HostnameError(
            f"failed to construct FQDN from Pod hostname and cluster domain, FQDN {full} is too long "
            f"({MAX_FQDN} characters is the max, {len(full)} characters requested)"
        )
    return full


def full_name(pod: dict, domain: str) -> str:
    """Return the name under which the pod's own service finds it; empty without a subdomain."""
    spec = pod["spec"]
    if not spec.get("subdomain") or spec.get("hostnameOverride"):
        return ""
    return f"{_short(pod)}.{spec['subdomain']}.{objects.namespace(pod)}.svc.{domain}"


def _short(pod: dict) -> str:
    spec = pod["spec"]
    if override := spec.get("hostnameOverride"):
        return override
    return (spec.get("hostname") or objects.name(pod))[:MAX_HOSTNAME].rstrip("-.")


def hosts(pod: dict, address: str, domain: str, node: str) -> str:
    """Return the pod's /etc/hosts."""
    on_node = pod["spec"].get("hostNetwork")
    head = "# Kubernetes-managed hosts file (host network).\n" if on_node else "# Kubernetes-managed hosts file.\n"
    full = "" if on_node else full_name(pod, domain)
    names = [full, _short(pod)] if full else [node if on_node else _short(pod)]
    aliases = ["\t".join([each["ip"], *(each.get("hostnames") or [])]) for each in pod["spec"].get("hostAliases") or []]
    added = "\n# Entries added by HostAliases.\n" + "".join(f"{each}\n" for each in aliases) if aliases else ""
    return head + LOCAL + "\t".join([address, *names]) + "\n" + added


def resolver(pod: dict, cluster_dns: str, domain: str, host: Resolver) -> tuple[Resolver, list[str]]:
    """Return whom the pod asks for names, by its dnsPolicy and dnsConfig, and what had to be left out, in words."""
    base = _by_policy(pod, cluster_dns, domain, host)
    config = pod["spec"].get("dnsConfig") or {}
    wanted = {each.partition(":")[0]: each for each in base.options}
    wanted |= {each["name"]: _option(each) for each in config.get("options") or []}
    servers = tuple(dict.fromkeys([*base.servers, *(config.get("nameservers") or [])]))
    searches = tuple(dict.fromkeys([*base.searches, *(config.get("searches") or [])]))
    kept = Resolver(servers[:MAX_SERVERS], tuple(_fitting(searches)), tuple(wanted.values()))
    left_out = []
    if kept.servers != servers:
        told = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "
        left_out.append(told + " ".join(kept.servers))
    if kept.searches != searches:
        told = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "
        left_out.append(told + " ".join(kept.searches))
    return kept, left_out


def _by_policy(pod: dict, cluster_dns: str, domain: str, host: Resolver) -> Resolver:
    policy = pod["spec"].get("dnsPolicy", "ClusterFirst")
    if policy == "None":
        return Resolver()
    if policy == "Default" or not cluster_dns or (policy == "ClusterFirst" and pod["spec"].get("hostNetwork")):
        return host
    own = (f"{objects.namespace(pod)}.svc.{domain}", f"svc.{domain}", domain)
    return Resolver((cluster_dns,), (*own, *host.searches), (_option(NDOTS),))


def _option(option: dict) -> str:
    return f"{option['name']}:{option['value']}" if option.get("value") else option["name"]


def _fitting(searches: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for each in list(searches)[:MAX_SEARCHES]:
        if len(" ".join([*kept, each])) > MAX_SEARCH_LINE:
            break
        kept.append(each)
    return kept


def of_host() -> Resolver:
    """Return what the host resolves with."""
    try:
        return parse(Path("/etc/resolv.conf").read_text())
    except OSError:
        return Resolver()


def parse(text: str) -> Resolver:
    """Read a resolv.conf."""
    lines = [line.split() for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#;"]
    servers = tuple(each[1] for each in lines if each[0] == "nameserver" and len(each) > 1)
    searches = [tuple(each[1:]) for each in lines if each[0] == "search"]
    options = tuple(word for each in lines if each[0] == "options" for word in each[1:])
    return Resolver(servers, searches[-1] if searches else (), options)
