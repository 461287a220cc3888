"""The official Python client: informers, the dynamic client, watches, create_from_yaml. Streams: test_streams.py."""

import queue

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

from tests.embedded import eventually


@pytest.fixture
def connection(api_server):
    with config.new_client_from_config(str(api_server.kubeconfig)) as made:
        yield made


@pytest.fixture
def core(connection):
    return client.CoreV1Api(connection)


def configmap(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def test_an_informer_tells_of_every_change_and_holds_the_newest(core, namespace):
    core.create_namespaced_config_map(namespace, configmap("there", k="0"))
    informer, told = SharedInformer(core.list_namespaced_config_map, namespace=namespace), queue.Queue()
    for kind in (ADDED, MODIFIED, DELETED):
        informer.add_event_handler(kind, lambda obj, kind=kind: told.put((kind, obj.metadata.name)))
    informer.start()
    assert told.get(timeout=20) == (ADDED, "there")
    core.create_namespaced_config_map(namespace, configmap("new", k="1"))
    core.patch_namespaced_config_map("new", namespace, {"data": {"k": "2"}})
    core.delete_namespaced_config_map("there", namespace)
    assert [told.get(timeout=20) for _ in range(3)] == [(ADDED, "new"), (MODIFIED, "new"), (DELETED, "there")]
    assert [each.data for each in eventually(informer.cache.list)] == [{"k": "2"}]
    informer.stop()


def test_an_informer_outlives_its_server(own_api_server):
    server = own_api_server
    core = client.CoreV1Api(config.new_client_from_config(str(server.kubeconfig)))
    informer, told = SharedInformer(core.list_namespaced_config_map, namespace="default"), queue.Queue()
    informer.add_event_handler(ADDED, lambda obj: told.put(obj.metadata.name))
    core.create_namespaced_config_map("default", configmap("before"))
    informer.start()
    assert told.get(timeout=20) == "before"
    server.stop(9)
    server.start()
    core.create_namespaced_config_map("default", configmap("after"))
    assert told.get(timeout=20) == "after"
    informer.stop()


def test_a_watch_goes_on_from_the_revision_of_a_list(core, namespace):
    core.create_namespaced_config_map(namespace, configmap("before"))
    revision = core.list_namespaced_config_map(namespace).metadata.resource_version
    for name in ("a", "b"):
        core.create_namespaced_config_map(namespace, configmap(name))
    watching = watch.Watch()
    seen = watching.stream(core.list_namespaced_config_map, namespace, resource_version=revision, timeout_seconds=1)
    assert [(event["type"], event["object"].metadata.name) for event in seen] == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_from_a_future_revision_is_silent_until_then(core, namespace):
    revision = int(core.list_namespaced_config_map(namespace).metadata.resource_version)
    seen = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, resource_version=str(revision + 10_000), timeout_seconds=1
    )
    assert list(seen) == []


def test_the_dynamic_client_finds_kinds_and_does_with_them_as_it_is_told(connection, namespace, tmp_path):
    found = dynamic.DynamicClient(connection, cache_file=str(tmp_path / "discovery")).resources
    deployments = found.get(api_version="apps/v1", kind="Deployment")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    body = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}}
    body["spec"] = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    assert deployments.create(body=body, namespace=namespace).spec.replicas == 0
    patch = {"spec": {"replicas": 2}}
    merged = "application/merge-patch+json"
    assert deployments.patch(name="d", namespace=namespace, body=patch, content_type=merged).spec.replicas == 2
    assert deployments.scale.get(name="d", namespace=namespace).spec.replicas == 2
    events = deployments.watch(namespace=namespace, timeout=1)
    assert [(event["type"], event["object"].metadata.name) for event in events] == [("ADDED", "d")]
    assert deployments.delete(name="d", namespace=namespace).status == "Success"
    with pytest.raises(dynamic.exceptions.NotFoundError):
        deployments.get(name="d", namespace=namespace)


def test_a_file_of_several_objects_is_created(connection, core, namespace, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: two}\nspec: {ports: [{port: 80}], selector: {a: b}}\n"
    )
    ((one,), (two,)) = utils.create_from_yaml(connection, str(file), namespace=namespace)
    assert (one.metadata.name, two.spec.type) == ("one", "ClusterIP")
    with pytest.raises(utils.FailToCreateError) as told:
        utils.create_from_yaml(connection, str(file), namespace=namespace)
    assert str(told.value).splitlines(keepends=True)[1] == (  # a refusal ends its line
        'Error from server (Conflict): {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
        '"message":"services \\"two\\" already exists","reason":"AlreadyExists",'
        '"details":{"name":"two","kind":"services"},"code":409}\n'
    )
    assert core.read_namespaced_config_map("one", namespace).metadata.name == "one"


def test_base64_may_be_broken_into_lines_and_is_kept_in_one(core, namespace):
    body = client.V1Secret(metadata=client.V1ObjectMeta(name="s"), data={"k": "dmFs\r\ndWU=\n"})
    assert core.create_namespaced_secret(namespace, body).data == {"k": "dmFsdWU="}


def test_every_resource_of_the_legacy_discovery_has_a_singular_name(api_server):
    _, groups = api_server.request("GET", "/apis")
    paths = [f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups["groups"]]
    lists = [api_server.request("GET", path)[1]["resources"] for path in ["/api/v1", *paths]]
    assert all("singularName" in each for listed in lists for each in listed)
