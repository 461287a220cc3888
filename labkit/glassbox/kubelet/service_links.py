"""The environment variables by which a container finds the services that were there before it: pure.

The API server's always, those of the pod's own namespace unless it says enableServiceLinks: false. Names are as Docker
once made them for linked containers; a service without a virtual address has none.

Upstream: pkg/kubelet/kubelet_pods.go (getServiceEnvVarMap), pkg/kubelet/envvars/envvars.go
"""

from collections.abc import Iterable

from labkit.glassbox import objects

MASTER = "default/kubernetes"


def variables(pod: dict, services: Iterable[dict]) -> dict[str, str]:
    """Return the variables for a pod's containers; a service of its own namespace goes before the API server's."""
    linked = pod["spec"].get("enableServiceLinks", True)
    own = [each for each in services if objects.namespace(each) == objects.namespace(pod) and linked]
    names = {objects.name(each) for each in own}
    master = [each for each in services if objects.key(each) == MASTER and objects.name(each) not in names]
    found = [each for each in [*master, *own] if each["spec"].get("clusterIP") not in (None, "", "None")]
    return {name: value for each in found for name, value in _of(each).items()}


def _of(service: dict) -> dict[str, str]:
    prefix, address = _upper(objects.name(service)), service["spec"]["clusterIP"]
    ports = service["spec"]["ports"]
    result = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    result |= {f"{prefix}_SERVICE_PORT_{_upper(each['name'])}": str(each["port"]) for each in ports if each.get("name")}
    for number, each in enumerate(ports):
        protocol, port = each.get("protocol", "TCP"), str(each["port"])
        link, url = f"{prefix}_PORT_{port}_{protocol}", f"{protocol.lower()}://{address}:{port}"
        result |= {f"{prefix}_PORT": url} if number == 0 else {}
        result |= {link: url, f"{link}_PROTO": protocol.lower(), f"{link}_PORT": port, f"{link}_ADDR": address}
    return result


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
