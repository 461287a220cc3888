"""k3d: k3s in Docker. Not run by us.

Source: docs/usage/commands of k3d-io/k3d; `k3d cluster list -o json` gives a list of name, serversCount, serversRunning
"""

import json

from labkit.providers.tool import ABSENT, HEADLAMP, RUNNING, STOPPED, ToolProvider

CREATE = ("k3d", "cluster", "create", "{name}", "--kubeconfig-update-default=false", "--wait", "--timeout", "300s")


class K3dProvider(ToolProvider):
    """Clusters of k3d, by name."""

    name = program = "k3d"
    install = "https://k3d.io/stable/#installation"
    version = ("k3d", "version")
    status = ("k3d", "cluster", "list", "-o", "json")
    config = ("k3d", "kubeconfig", "get", "{name}")
    steps = {
        "create": (CREATE,),
        "resume": (("k3d", "cluster", "start", "{name}"),),
        "stop": (("k3d", "cluster", "stop", "{name}"),),
        "remove": (("k3d", "cluster", "delete", "{name}"),),
    }
    addons = {"dns": (), "storage": (), "dashboard": HEADLAMP}

    def read_state(self, output: str, cluster: str) -> str:
        """A cluster is stopped when none of its servers runs."""
        try:
            found = {each["name"]: each.get("serversRunning", 0) for each in json.loads(output)}
        except (ValueError, TypeError, KeyError):
            raise self._failure(list(self.status), output) from None
        if cluster not in found:
            return ABSENT
        return RUNNING if found[cluster] else STOPPED
