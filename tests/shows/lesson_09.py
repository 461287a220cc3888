"""What lesson 09 promises to show: the comparative load test. Figures have stand-ins; what is said of them has none."""

from tests.shows.breaking import breaks
from tests.shows.kernels import in_the_kernel
from tests.shows.lesson_08 import before_a_pod_ends

SHOWN = {
    "two-clocks": r"percentile spectrum: first\n +response: p50 ≈\S+ ms, p95 .+\n +service: p50 ≈\S+ ms, p95",
    "open": r"p99 computed: 960 ms, measured: ≈\S+ ms, near it: True",
    "closed": r"p99 ≈\S+ ms, below a quarter of a second: True\nthe longest is nearly a second: True",
    "warm-up": r"requests over time: warm-up\n.+warm-up: ≈\S+ s",
    "noise": r"✓ 10 runs[\s\S]+no difference: True[\s\S]+A / B: ≈\S+ \[≈\S+, ≈\S+\]",
    "unit": r"over runs: ≈\S+ \[≈\S+, ≈\S+\] ms\n +over requests: ≈\S+ \[≈\S+, ≈\S+\] ms",
    "replicas": r"Service web-1 [\s\S]+web-2 .+\n +└─ 2 × Pod · ready\n +Service web-4 .+\n +└─ 4 × Pod · ready",
    "speed-up": r"four are within 10 % of linear: True[\s\S]+4 replicas: ≈\S+ \[",
    "usl-refused": r"not identifiable: three parameters[\s\S]+3 levels: 1, 2, 4",
    "knee": r"the knee lies below what the pods can take: True[\s\S]+knee: ≈\S+ requests a second",
    "spread": r"chance alone explains it: True\n27/25/25/23 would be seen in ≈\S+ % of such tests[\s\S]+4 pods, p ≈",
    "kept": r"at most two: True",
    "queue": r"(waited .+: replay .+, 4 × M/M/1 .+, M/M/4 .+\n +the replay is nearer than the loser: True\s*){2}",
    "usl": r"eight take ≈\S+ a second, less than 300: True[\s\S]+contention σ ≈\S+, coherency κ ≈\S+, peak N\* ≈",
    "update": r"requests lost: True · back to normal after ≈\S+ s[\s\S]+update",
    "graceful": r"requests lost in the update: 0, over kept connections: ≈",
    "report": r"cluster name url loop offered achieved requests errors kinds p50 p95 p99 .+ seed began void",
}


# --- breaks of the cluster ----------------------------------------------------------

ALL_UP = ("1-apply", "4-measured")  # the second waits for the last of the pods


@breaks("two-clocks", after=("1-apply",))
def no_job_is_carried_out():
    from labkit.glassbox.controllers.job import JobController

    JobController.reconcile = lambda self, key: None


@breaks("replicas", after=("1-apply",))
def a_set_never_has_more_than_one_pod():
    from labkit.glassbox.controllers import replicaset

    honest = replicaset.plan
    replicaset.plan = lambda rs, pods: honest({"spec": {"replicas": min(1, rs["spec"].get("replicas", 1))}}, pods)


@breaks("speed-up", "spread", after=ALL_UP)
def a_service_leads_to_its_first_pod_alone():
    from labkit.glassbox.kube_proxy.services import ServicePort

    honest = ServicePort.usable
    ServicePort.usable = lambda self, node="": honest(self, node)[:1]


@breaks("update", after=ALL_UP)
def a_deployment_never_rolls_out():
    from labkit.glassbox.controllers.deployment import DeploymentController

    honest = DeploymentController.reconcile

    def once(self, key):
        namespace, name = key.split("/")
        made = [each["metadata"]["name"] for each in self.cache["replicasets"].list(namespace)]
        if not any(each.startswith("fragile-") for each in made) or name != "fragile":
            honest(self, key)

    DeploymentController.reconcile = once


@breaks("graceful", after=("1-apply", "7-rolling", "7-solution"))
def no_hook_is_run():
    before_a_pod_ends(0)


# --- breaks of the load test ----------------------------------------------------------


def every_plan(folder, environment, **fields):
    """Have every plan say something else than the cell did."""
    in_the_kernel(folder, environment, f"""
        from labkit.loadtest.plan import Plan
        honest = Plan.__post_init__
        def changed(self):
            self.__dict__.update({fields!r})
            honest(self)
        Plan.__post_init__ = changed
    """)  # fmt: skip


@breaks("open", after=("1-apply",), at_the_students=True)
def every_loop_is_closed(folder, environment):
    every_plan(folder, environment, clients=2)


@breaks("closed", after=("1-apply",), at_the_students=True)
def every_loop_is_open(folder, environment):
    every_plan(folder, environment, clients=0)


@breaks("kept", after=ALL_UP, at_the_students=True)
def no_connection_is_kept(folder, environment):
    every_plan(folder, environment, keep=0)


@breaks("warm-up", after=("1-apply",), at_the_students=True)
def nothing_is_left_out(folder, environment):
    every_plan(folder, environment, warmup=0)


@breaks("noise", "unit", after=ALL_UP, at_the_students=True)
def only_the_first_run_is_made(folder, environment):
    in_the_kernel(folder, environment, """
        from labkit.loadtest.runner import Load
        honest = Load.run
        Load.run = lambda self, *plans: honest(self, plans[0])
    """)  # fmt: skip


@breaks("usl-refused", after=ALL_UP, at_the_students=True)
def a_law_is_fitted_to_anything(folder, environment):
    in_the_kernel(folder, environment, """
        from labkit.loadtest.stats import scaling
        scaling.LEAST_LEVELS = 3
    """)  # fmt: skip


@breaks("usl", after=("1-apply",), at_the_students=True)
def replicas_share_no_processors(folder, environment):
    in_the_kernel(folder, environment, """
        from labkit.loadtest.samples import Run
        honest = Run.achieved.fget
        Run.achieved = property(lambda self: honest(self) * 10)
    """)  # fmt: skip


@breaks("knee", after=ALL_UP, at_the_students=True)
def no_answer_is_ever_late(folder, environment):
    in_the_kernel(folder, environment, """
        from labkit.loadtest import charts
        charts.quantile = lambda *_: 0.0
    """)  # fmt: skip


@breaks("queue", after=(*ALL_UP, "5-fair-seen"), at_the_students=True)
def nobody_waits_in_a_replay(folder, environment):
    in_the_kernel(folder, environment, """
        from labkit.loadtest.stats import queueing
        honest = queueing.replay
        queueing.replay = lambda *given: honest(*given) * 0 + 60
    """)  # fmt: skip


@breaks("report", after=("1-apply", "1-first"), at_the_students=True)
def a_report_keeps_the_seed_to_itself(folder, environment):
    in_the_kernel(folder, environment, """
        from labkit.loadtest import report
        honest = report.row
        report.row = lambda run, **keys: {name: value for name, value in honest(run, **keys).items() if name != "seed"}
    """)  # fmt: skip
