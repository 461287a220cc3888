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


def test_jobs_are_selected_by_how_many_pods_succeeded(api_server, namespace):
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    for name in ("a", "b"):
        body = {"metadata": {"name": name}, "spec": {"template": {"spec": POD}}}
        assert api_server.request("POST", path, body)[0] == 201
    patch = {"content_type": "application/merge-patch+json"}
    api_server.request("PATCH", f"{path}/b/status", {"status": {"succeeded": 1}}, **patch)
    _, found = api_server.request("GET", f"{path}?fieldSelector=status.successful%3D0")
    assert [each["metadata"]["name"] for each in found["items"]] == ["a"]


def test_a_job_leaves_its_pods_unless_a_deletion_says_otherwise(api_server, namespace):
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    body = {"metadata": {"name": "j"}, "spec": {"template": {"spec": POD}}}
    api_server.request("POST", path, body)
    with api_server.open("DELETE", f"{path}/j") as answer:
        assert "child pods are preserved by default when jobs are deleted" in answer.headers["Warning"]
        assert json.load(answer)["metadata"]["finalizers"] == ["orphan"]


def test_a_budget_is_not_overwritten_blindly(api_server, namespace):
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    body = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1}}
    api_server.request("POST", path, body)
    code, refusal = api_server.request("PUT", f"{path}/b", body)
    assert (code, refusal["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


def test_a_job_cannot_be_replaced_by_what_it_was_made_from(api_server, namespace):
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    body = {"metadata": {"name": "j"}, "spec": {"template": {"spec": POD}}}
    api_server.request("POST", path, body)
    _, refusal = api_server.request("PUT", f"{path}/j", body)
    assert {each["field"] for each in refusal["details"]["causes"]} == {
        "spec.selector",
        "spec.template.metadata.labels",
        "spec.template.metadata",
    }


def test_of_a_stateful_set_only_some_fields_change(api_server, namespace):
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets"
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {**POD, "restartPolicy": "Always"}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    api_server.request("POST", path, {"metadata": {"name": "s"}, "spec": spec})
    spec["podManagementPolicy"] = "Parallel"
    _, refusal = api_server.request("PUT", f"{path}/s", {"metadata": {"name": "s"}, "spec": spec})
    assert "updates to statefulset spec for fields other than 'replicas', 'ordinals'," in refusal["message"]


def test_a_daemon_set_counts_the_changes_of_its_template(api_server, namespace):
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    labels = {"app": "agent"}
    template = {"metadata": {"labels": labels}, "spec": {**POD, "restartPolicy": "Always"}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    api_server.request("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    patch = {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
    _, changed = api_server.request("PATCH", f"{path}/d", patch, content_type="application/merge-patch+json")
    assert changed["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "2"}
    assert changed["metadata"]["generation"] == 2
