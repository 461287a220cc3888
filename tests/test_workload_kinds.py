"""The kinds of workloads, budgets and volumes as the API serves them: other versions, what kubectl creates."""

import json

POD = {"containers": [{"name": "c", "image": "busybox:1.36"}], "restartPolicy": "Never"}


def test_the_system_has_its_two_priority_classes(api_server):
    _, found = api_server.request("GET", "/apis/scheduling.k8s.io/v1/priorityclasses")
    values = {each["metadata"]["name"]: each["value"] for each in found["items"]}
    assert values == {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def test_a_system_priority_class_cannot_be_deleted(api_server):
    code, refusal = api_server.request("DELETE", "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical")
    assert (code, refusal["reason"]) == (403, "Forbidden")


def test_an_autoscaler_is_one_object_in_two_versions(api_server, namespace):
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "10Mi"}}
    spec = {"maxReplicas": 3, "scaleTargetRef": target, "behavior": {}}
    spec["metrics"] = [{"type": "Resource", "resource": memory}]
    made = api_server.request("POST", path, {"metadata": {"name": "h"}, "spec": spec})[1]
    old_path = f"{path}/h".replace("/v2/", "/v1/")
    old = api_server.request("GET", old_path)[1]
    assert "metrics" not in old["spec"]
    code, _ = api_server.request("PUT", old_path, old)
    assert code == 200
    assert api_server.request("GET", f"{path}/h")[1] == made


def test_kubectl_creates_each_kind_that_it_has_a_command_for(api_server, namespace):
    def kubectl(*arguments):
        return api_server.kubectl("-n", namespace, *arguments)

    kubectl("create", "job", "j", "--image=busybox:1.36", "--", "true")
    kubectl("create", "cronjob", "c", "--image=busybox:1.36", "--schedule=*/5 * * * *", "--", "true")
    kubectl("create", "job", "from", "--from=cronjob/c")
    kubectl("create", "pdb", "b", "--selector=app=web", "--min-available=50%")
    kubectl("create", "priorityclass", f"p-{namespace}", "--value=7", "--description=x")
    kubectl("create", "deployment", "d", "--image=busybox:1.36", "--replicas=0")
    kubectl("autoscale", "deployment", "d", "--max=3", "--cpu=50%")
    found = json.loads(kubectl("get", "job/j", "job/from", "cronjob/c", "pdb/b", "hpa/d", "-o", "json"))["items"]
    assert [each["kind"] for each in found] == [
        "Job",
        "Job",
        "CronJob",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    ]
    assert found[0]["spec"]["template"]["spec"]["containers"][0]["command"] == ["true"]
    assert found[1]["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert found[4]["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
