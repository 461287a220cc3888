"""minikube: a cluster in a virtual machine or a container. Not run by us.

Source: cmd/minikube/cmd/status.go and pkg/minikube/kubeconfig/kubeconfig.go of kubernetes/minikube: the status is one
object, or a list of them with several nodes; update-context writes a missing context into the file of KUBECONFIG.
"""

import json

from labkit.providers.tool import ABSENT, RUNNING, STOPPED, ToolProvider

START = ("minikube", "start", "-p", "{name}", "--wait", "all")


class MinikubeProvider(ToolProvider):
    """Clusters of minikube, which it calls profiles."""

    name = program = "minikube"
    install = "https://minikube.sigs.k8s.io/docs/start/"
    version = ("minikube", "version", "--short")
    status = ("minikube", "status", "-p", "{name}", "-o", "json")
    config = ("minikube", "update-context", "-p", "{name}")
    writes_file = True
    steps = {
        "create": (START,),
        "resume": (START,),
        "stop": (("minikube", "stop", "-p", "{name}"),),
        "remove": (("minikube", "delete", "-p", "{name}"),),
    }
    addons = {"dns": (), "storage": (), "dashboard": ("minikube", "addons", "enable", "headlamp", "-p", "{name}")}

    def read_state(self, output: str, cluster: str) -> str:
        """Its exit code tells which part does not run; without a profile there is no JSON, or one without a host."""
        try:
            told = json.loads(output)
            first = told[0] if isinstance(told, list) else told
            host, server = first["Host"], first["APIServer"]
        except (ValueError, TypeError, KeyError, IndexError):
            return ABSENT
        if host == "Nonexistent":
            return ABSENT
        return RUNNING if (host, server) == ("Running", "Running") else STOPPED
