"""What lesson 07 promises to show: the cluster taken apart."""

from tests.shows.breaking import breaks
from tests.shows.kernels import in_the_kernel

SHOWN = {
    "components": r"api-server +running[\s\S]+controller-manager +running[\s\S]+scheduler +running"
    r"[\s\S]+kubelet@node2 +running[\s\S]+kube-proxy@node2 +running[\s\S]+dns +running",
    "timeline": r"kubectl +creates Deployment web\n +deployment controller +creates a ReplicaSet\n"
    r" +replica set controller +creates 2 Pods\n +scheduler +gives 2 Pods a node\n +kubelet +runs 2 Pods",
    "no-scheduler": r"scheduler is stopped[\s\S]+lost +0/1 +Pending[\s\S]+No resources found",
    "by-hand": r"by-hand +gives Pod by-hand a node\n +kubelet +runs Pod by-hand",
    "no-controller-manager": r"controller-manager is stopped[\s\S]+web +2/2[\s\S]+\(2 objects, ~ 2 changed, - 2 gone\)",
    "reconcile": r"missing, surplus = plan\(rs, pods\)[\s\S]+def plan[\s\S]+\(3, \[\]\)",
    "api-server": r"api-server is stopped[\s\S]+gets no answer[\s\S]+api-server is running[\s\S]+^0 failures",
    "no-kubelet": r"kubelet@node2 is stopped[\s\S]+node2 +Ready[\s\S]+node2 +NotReady[\s\S]+^0 failures",
    "evicted": r"\+ └─ Pod web-\S+ · Running\n~ Node node2 · NotReady\n~ └─ Pod web-\S+ · Terminating",
    "no-kube-proxy": r"pod: answers \| service: no answer",
    "no-dns": r"name: wget: bad address 'web' \| address: answers",
    "quota": r"forbidden: exceeded quota: small, requested: requests\.cpu=200m, used: requests\.cpu=200m, limited",
}


def stays(*components):
    """Have the supervisor say that these are stopped, and leave them running."""
    from labkit.glassbox.supervisor import Supervisor

    honest = Supervisor._change

    def deaf(self, child, verb, connection):
        said = {"stop": "stopped", "start": "running"}
        if child.component.name in components:
            return {"state": said[verb]}
        return honest(self, child, verb, connection)

    Supervisor._change = deaf


@breaks("components")
def a_cluster_has_no_dns():
    from labkit.glassbox.supervisor import Supervisor

    honest = Supervisor.status

    def without(self):
        found = honest(self)
        return found | {"components": [each for each in found["components"] if each["name"] != "dns"]}

    Supervisor.status = without


@breaks("timeline", after=("2-service",))
def a_deployment_makes_no_sets():
    from labkit.glassbox.controllers.deployment import DeploymentController

    DeploymentController.reconcile = lambda self, key: None


@breaks("no-scheduler", after=("1-status",))
def there_is_a_second_scheduler():
    stays("scheduler")


@breaks("by-hand")
def nobody_but_a_scheduler_gives_a_pod_its_node():
    from labkit.glassbox import errors
    from labkit.glassbox.apiserver import subresources

    honest = subresources.bind

    def refuse(request, api):
        if "scheduler" not in request.user.name:
            raise errors.conflict("pods/binding", request.route.name, "you are no scheduler")
        return honest(request, api)

    subresources.HANDLERS["binding", "create"] = refuse


@breaks("no-controller-manager", after=("1-status", "2-service", "2-timeline", "4-before"))
def somebody_else_counts_the_pods():
    stays("controller-manager")


@breaks("reconcile", at_the_students=True)
def a_set_makes_one_pod_at_a_time(folder, environment):
    in_the_kernel(
        folder,
        environment,
        """
        from labkit.glassbox.controllers import replicaset
        replicaset.plan = lambda rs, pods: (1, [])
    """,
    )


@breaks("api-server", after=("1-status", "2-service", "2-timeline", "5-visitor"))
def there_is_a_second_api_server():
    stays("api-server")


@breaks("no-kubelet", "evicted", after=("1-status", "2-service", "2-timeline", "5-visitor"))
def somebody_else_speaks_for_a_node():
    stays("kubelet@node2")


@breaks("no-kube-proxy", after=("1-status", "2-service", "2-timeline", "5-visitor", "7-stop"))
def somebody_else_keeps_the_rules():
    stays("kube-proxy@node1", "kube-proxy@node2")


@breaks("no-dns", after=("1-status", "2-service", "2-timeline", "5-visitor", "7-ask"))
def somebody_else_knows_the_names():
    stays("dns")


@breaks("quota")
def a_quota_is_not_asked():
    from labkit.glassbox.apiserver import admission

    admission.check_quota = lambda *_: []
