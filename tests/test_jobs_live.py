"""Jobs and autoscalers on the running cluster, as a student sees them through kubectl."""

import pytest
import yaml

from tests.live import fresh_namespace

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def ns(cluster):
    with fresh_namespace(cluster) as name:
        yield name


def job(name, command, **spec):
    container = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", command]}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def apply(cluster, ns, *objects):
    cluster.kubectl("apply", "-n", ns, "-f", "-", input=yaml.safe_dump_all(objects))


def wait(cluster, ns, condition, name):
    cluster.kubectl("wait", "-n", ns, f"--for=condition={condition}", f"job/{name}", "--timeout=40s")


def test_each_pod_of_an_indexed_job_knows_its_index(cluster, ns):
    apply(
        cluster,
        ns,
        job("parts", "echo $JOB_COMPLETION_INDEX $(hostname)", completions=3, parallelism=2, completionMode="Indexed"),
    )
    wait(cluster, ns, "complete", "parts")
    lines = cluster.kubectl("logs", "-n", ns, "-l", "batch.kubernetes.io/job-name=parts").split("\n")
    assert sorted(filter(None, lines)) == ["0 parts-0", "1 parts-1", "2 parts-2"]


def test_a_job_that_may_not_fail_ends_with_its_first_failure(cluster, ns):
    apply(cluster, ns, job("once", "exit 7", backoffLimit=0))
    wait(cluster, ns, "failed", "once")
    assert "Job has reached the specified backoff limit" in cluster.kubectl("describe", "job", "once", "-n", ns)


def test_a_cron_job_can_be_run_by_hand(cluster, ns):
    cluster.kubectl(
        "create", "cronjob", "nightly", "-n", ns, "--image=busybox:1.36", "--schedule=0 3 * * *", "--", "true"
    )
    cluster.kubectl("create", "job", "now", "-n", ns, "--from=cronjob/nightly")
    wait(cluster, ns, "complete", "now")


def test_a_deleted_job_leaves_no_pod(cluster, ns):
    apply(cluster, ns, job("long", "sleep 1000"))
    cluster.kubectl("wait", "-n", ns, "--for=jsonpath={.status.ready}=1", "job/long", "--timeout=40s")
    cluster.kubectl("delete", "job", "long", "-n", ns)
    cluster.kubectl("wait", "-n", ns, "--for=delete", "pod", "-l", "job-name=long", "--timeout=40s")


@pytest.mark.slow
def test_a_busy_deployment_gets_more_replicas(cluster, ns):
    command = ["sh", "-c", "while true; do :; done"]
    resources = {"requests": {"cpu": "20m"}, "limits": {"cpu": "50m"}}
    container = {"name": "c", "image": "busybox:1.36", "command": command, "resources": resources}
    template = {
        "metadata": {"labels": {"app": "busy"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {"selector": {"matchLabels": {"app": "busy"}}, "template": template}
    apply(cluster, ns, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "busy"}, "spec": spec})
    cluster.kubectl("autoscale", "deployment", "busy", "-n", ns, "--cpu=50%", "--min=1", "--max=3")
    cluster.kubectl("wait", "-n", ns, "--for=jsonpath={.spec.replicas}=3", "deployment/busy", "--timeout=55s")
    told = cluster.kubectl("describe", "hpa", "busy", "-n", ns)
    assert "New size: 3; reason: cpu resource utilization (percentage of request) above target" in told
    cluster.kubectl("delete", "deployment,hpa", "busy", "-n", ns)
