"""MicroK8s: one cluster a machine, a snap, and the tool of the course's own virtual machine. Not run by us.

Source: scripts/wrappers/status.py of canonical/microk8s; https://canonical.com/microk8s/docs/command-reference
"""

from labkit.providers.tool import ABSENT, RUNNING, STOPPED, ToolProvider

READY = ("microk8s", "status", "--wait-ready", "--timeout", "300")


class Microk8sProvider(ToolProvider):
    """This machine's MicroK8s; it has no name."""

    name = program = "microk8s"
    install = "https://canonical.com/microk8s/docs/getting-started"
    default = "microk8s"
    version = ("microk8s", "version")
    status = ("microk8s", "status", "--format", "short")
    config = ("microk8s", "config")
    steps = {
        "create": (("microk8s", "start"), READY),
        "resume": (("microk8s", "start"), READY),
        "stop": (("microk8s", "stop"),),
        "remove": (("microk8s", "stop"),),  # the snap is the user's: sudo snap remove microk8s
    }
    addons = {
        "dns": ("microk8s", "enable", "dns"),
        "storage": ("microk8s", "enable", "hostpath-storage"),
        "dashboard": ("microk8s", "enable", "dashboard"),
    }

    def read_state(self, output: str, cluster: str) -> str:
        """It says "is running" or "is not running"; else why it will not say, a missing group for one."""
        if "microk8s is running" in output:
            return RUNNING
        if "microk8s is not running" in output:
            return STOPPED
        if not output.strip():
            return ABSENT
        raise self._failure(list(self.status), output)
