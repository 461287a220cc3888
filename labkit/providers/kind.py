"""kind: a cluster whose nodes are containers of Docker or Podman. Not run by us.

Source: pkg/cmd/kind/get/clusters/clusters.go of kubernetes-sigs/kind; its manual page for the options
"""

from labkit.providers.tool import ABSENT, HEADLAMP, RUNNING, ToolProvider

CREATE = ("kind", "create", "cluster", "--name", "{name}", "--kubeconfig", "{file}", "--wait", "180s")
DELETE = ("kind", "delete", "cluster", "--name", "{name}", "--kubeconfig", "{file}")


class KindProvider(ToolProvider):
    """Clusters of kind, by name; it has no command to stop one, so that stopping removes it."""

    name = program = "kind"
    install = "https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    version = ("kind", "version")
    status = ("kind", "get", "clusters")
    config = ("kind", "get", "kubeconfig", "--name", "{name}")
    steps = {"create": (CREATE,), "resume": (CREATE,), "stop": (DELETE,), "remove": (DELETE,)}
    addons = {"dns": (), "storage": (), "dashboard": HEADLAMP}

    def read_state(self, output: str, cluster: str) -> str:
        """It prints a name a line; without any, a sentence on standard error."""
        return RUNNING if cluster in output.split("\n") else ABSENT
