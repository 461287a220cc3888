"""Lesson 08, the milestone: starter, reference, another right answer, likely wrong ones; each with verdict and word."""

import copy
import subprocess

import pytest
import yaml

from labkit import rubric
from labkit.checks import State
from labkit.trials.faults import is_ready
from labkit.trials.probe import is_unschedulable
from tests.embedded import eventually
from tests.lessons import kubectl, manifests

LESSON = "08"
SURVIVES = "another pod takes the place of a killed one, and most visitors never notice"
EXERCISES = ("08.1", "08.2", "08.3", "08.4")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def reference():
    """Return the reference's objects by kind and name, to change them."""
    found = [yaml.safe_load(path.read_text()) for path in sorted((manifests(LESSON) / "solution").glob("*.yaml"))]
    return {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in found}


def apply(*objects):
    """Apply objects as a student does, and return what kubectl says."""
    run = subprocess.run(["kubectl", "apply", "-f", "-"], input=yaml.safe_dump_all(objects), capture_output=True,
                         text=True, timeout=60)  # fmt: skip
    assert run.returncode == 0, run.stderr


def hand_in(objects, *, code="app"):
    """Deploy a hand-in, the kit's programs with it, and wait until its pods are there."""
    kubectl(f"create configmap code --from-file={code}")
    apply(*objects.values())
    kubectl("wait --for=condition=Available deployment --all --timeout=60s")


def container(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


def look(lab, number, *names):
    """Look at some items of an exercise alone, and at the trials that they need; return findings by name, and hints."""
    exercise = rubric.load(rubric.find(LESSON)).exercise(number)
    chosen = [item for item in exercise.items if item.name in names]
    assert len(chosen) == len(names)
    with lab._grader.trials(exercise) as trials:
        found = {item.name: lab._grader.look(item, None, trials) for item in chosen}
    texts = [h.text for item in chosen for h in item.hints if h.fits("wrong", found[item.name].found)]
    return found, texts


def is_wrong(lab, number, name, *, because, hint):
    """Assert that an item is wrong, for this reason, and that the hint for it says so."""
    found, hints = look(lab, number, name)
    assert found[name].state is State.WRONG, found[name]
    assert because in found[name].found
    assert any(hint in text for text in hints), hints


# --- the points ----------------------------------------------------------


def test_most_points_come_from_behaviour():
    items = [item for e in rubric.load(rubric.find(LESSON)).exercises.values() for item in e.items]
    assert sum(item.points for item in items) == 100
    assert sum(item.points for item in items if item.type in ("traffic", "perturb")) >= 70


# --- starters ----------------------------------------------------------


def test_nothing_at_all_is_not_tried_and_nothing_is_left_behind(lab):
    assert {number: lab.check(number).state for number in EXERCISES} == dict.fromkeys(EXERCISES, State.NOT_TRIED)
    kubectl("wait --for=delete pods --all --timeout=30s")
    assert lab.api.items("pods", lab.namespace) == []


def test_the_starters_get_no_point_for_what_they_lack_and_are_told_what_that_is(lab):
    kubectl("create configmap code --from-file=app")
    kubectl("apply -f store-starter.yaml -f web-starter.yaml")
    kubectl("expose deployment store --port=80 --target-port=8080")
    kubectl("expose deployment web --port=80 --target-port=8080")
    lab.wait("deployment/web", "Available")
    store, web = lab.check("08.1"), lab.check("08.2")
    assert (store.state, web.state) == (State.WRONG, State.WRONG)
    assert any("The password belongs into a Secret named store" in hint for hint in store.hints)
    assert sum(f.points for f in (*store.findings, *web.findings) if f.holds) <= 5


# --- right answers ----------------------------------------------------------


def state_of_the_world():
    """What a student has made, without what changes by itself."""
    kinds = "configmaps,secrets,services,pvc,deployments,statefulsets"
    found = yaml.safe_load(kubectl(f"get {kinds} -o yaml"))["items"]
    for each in found:
        each["metadata"] = {key: each["metadata"].get(key) for key in ("name", "labels")}
        each.pop("status", None)
        for address in ("clusterIP", "clusterIPs"):
            each.get("spec", {}).pop(address, None)
        template = each.get("spec", {}).get("template", {}).get("metadata", {})
        if not template.get("annotations"):
            template.pop("annotations", None)
    return found


@pytest.mark.slow
def test_the_reference_is_right_and_everything_is_as_it_was_before(lab):
    hand_in(reference())
    before = state_of_the_world()
    verdicts = [lab.check(number) for number in EXERCISES]
    assert [str(v) for v in verdicts if not v.passed] == []
    assert state_of_the_world() == before


def differently():
    """The same service by other means: a stateful store, files for variables, commands for HTTP probes, other names."""
    objects = reference()
    web, store = objects.pop("Deployment/web"), objects.pop("Deployment/store")
    claim = objects.pop("PersistentVolumeClaim/notes")
    claim["metadata"] = {"name": "kept"}
    store |= {"kind": "StatefulSet", "metadata": {"name": "memory"}}
    store["spec"] |= {"serviceName": "store", "volumeClaimTemplates": [claim]}
    del store["spec"]["strategy"]
    mounts = {"secret": {"secretName": "store"}}
    store["spec"]["template"]["spec"]["volumes"] = [
        {"name": "src", "configMap": {"name": "code"}}, {"name": "pw", **mounts},
    ]  # fmt: skip
    container(store).pop("envFrom")
    container(store)["volumeMounts"] = [
        {"name": "src", "mountPath": "/code"}, {"name": "pw", "mountPath": "/etc/secret"},
        {"name": "kept", "mountPath": "/data"},
    ]  # fmt: skip
    web["metadata"]["name"] = "front"
    web["spec"] |= {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 0}}}
    labels = {"tier": "web", "part": "front"}
    web["spec"] |= {"selector": {"matchLabels": labels}}
    web["spec"]["template"]["metadata"]["labels"] = labels
    pod = web["spec"]["template"]["spec"]
    pod["volumes"] += [{"name": "conf", "configMap": {"name": "settings"}}]
    ask = "import urllib.request as u; u.urlopen('http://localhost:8081/{}')"
    probe = {"periodSeconds": 2, "timeoutSeconds": 2}
    container(web).update(
        name="front",
        ports=[{"name": "page", "containerPort": 8080}],
        env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "store", "key": "PASSWORD"}}}],
        readinessProbe={"exec": {"command": ["python3", "-c", ask.format("ready")]}, **probe},
        livenessProbe={"exec": {"command": ["python3", "-c", ask.format("alive")]}, **probe},
        lifecycle={"preStop": {"exec": {"command": ["python3", "-c", "import time; time.sleep(2)"]}}},
    )
    container(web).pop("envFrom")
    container(web)["volumeMounts"] += [{"name": "conf", "mountPath": "/etc/settings"}]
    objects["Service/web"]["spec"]["ports"] = [{"port": 80, "targetPort": "page"}]
    objects["ConfigMap/settings"]["data"]["STORE_URL"] = "http://store.{namespace}.svc.cluster.local:80"
    return objects | {"Deployment/front": web, "StatefulSet/memory": store}


@pytest.mark.slow
def test_another_right_answer_by_other_means_is_right_too(lab):
    objects = differently()
    data = objects["ConfigMap/settings"]["data"]
    data["STORE_URL"] = data["STORE_URL"].format(namespace=lab.namespace)
    hand_in(objects)
    kubectl("wait --for=condition=Ready pods --all --timeout=60s")
    verdicts = [lab.check(number) for number in EXERCISES]
    assert [str(v) for v in verdicts if not v.passed] == []


# --- likely wrong answers, and silly ones ----------------------------------------------------------


def test_notes_in_an_empty_dir_go_with_their_pod(lab):
    objects = reference()
    objects["Deployment/store"]["spec"]["template"]["spec"]["volumes"][1] = {"name": "notes", "emptyDir": {}}
    hand_in(objects)
    is_wrong(lab, "08.1", "a note is there when the pod has been killed",
             because="an answer without", hint="The note went with its pod")  # fmt: skip


def test_a_bare_pod_is_replaced_by_nobody(lab):
    objects = reference()
    template = objects.pop("Deployment/store")["spec"]["template"]
    template["metadata"]["name"] = "store"
    hand_in(objects | {"Pod/store": {"apiVersion": "v1", "kind": "Pod", **template}})
    kubectl("wait --for=condition=Ready pod/store --timeout=60s")
    is_wrong(lab, "08.1", "a note is there when the pod has been killed",
             because="Pod store belongs to nobody", hint="Nobody put another pod in its place")  # fmt: skip


def test_a_service_without_endpoints_is_told_as_one(lab):
    objects = reference()
    objects["Service/web"]["spec"]["selector"] = {"tier": "wep"}
    hand_in(objects)
    is_wrong(lab, "08.2", "the page shows it",
             because="20 of 20 requests failed", hint="does its selector pick tier=web")  # fmt: skip


def test_an_image_from_elsewhere_cannot_be_graded_everywhere(lab):
    objects = reference()
    container(objects["Deployment/web"])["image"] = "ghcr.io/me/web:1"
    kubectl("create configmap code --from-file=app")
    apply(*objects.values())
    lab.wait("pods tier=web", "PodScheduled")
    is_wrong(lab, "08.2", "the pods with tier=web run an image that every cluster has",
             because="ghcr.io/me/web:1", hint="another cluster may not have it")  # fmt: skip


@pytest.fixture
def rewritten(tmp_path):
    """Return the programs with some text of the web tier's changed, as a hand-in might have them."""

    def rewrite(*changes):
        for path in (manifests(LESSON) / "app").glob("*.py"):
            text = path.read_text()
            for old, new in changes if path.name == "web.py" else ():
                assert old in text
                text = text.replace(old, new)
            (tmp_path / "code").mkdir(exist_ok=True)
            (tmp_path / "code" / path.name).write_text(text)
        return tmp_path / "code"

    return rewrite


# The web tier keeps the notes itself and never asks the store.
SELFISH = (
    '    body = note.encode() if note else None\n',
    '    HEAP.append(note + "\\n") if note else None\n    return (201, "kept") if note else (200, "".join(HEAP))\n'
    '    body = None\n',
)  # fmt: skip


def test_a_web_tier_that_keeps_the_notes_itself_is_found_out_by_the_store(lab, rewritten):
    objects = reference()
    objects["Deployment/web"]["spec"]["replicas"] = 1
    hand_in(objects, code=rewritten(SELFISH, ("HANGS =", "HEAP = []\nHANGS =")))
    is_wrong(lab, "08.2", "a note handed to the web tier lies in the store",
             because="an answer without", hint="did not bring the note to the store")  # fmt: skip
    is_wrong(lab, "08.2", "it invents nothing while the store is away",
             because="HTTP 200", hint="The web tier keeps nothing itself")  # fmt: skip


def test_hard_coded_notes_do_not_know_the_word_of_the_day(lab, rewritten):
    hand_in(reference(), code=rewritten(("self.answer(*ask_store())", 'self.answer(200, "buy milk")')))
    found, _ = look(lab, "08.2", "it invents nothing while the store is away",
                    "the notes are there again when the store is back")  # fmt: skip
    assert {f.state for f in found.values()} == {State.WRONG}


@pytest.mark.slow
def test_an_address_in_place_of_the_stores_name_is_lost_with_the_address(lab):
    objects = reference()
    apply(objects["Service/store"])
    address = kubectl("get service store -o jsonpath={.spec.clusterIP}")
    objects["ConfigMap/settings"]["data"]["STORE_URL"] = f"http://{address}"
    hand_in(objects)
    is_wrong(lab, "08.2", "it finds the store by name, wherever that is",
             because="requests failed", hint="a name, not an address")  # fmt: skip


@pytest.mark.slow
def test_settings_written_into_the_manifest_do_not_follow_their_objects(lab):
    objects = reference()
    container(objects["Deployment/web"]).pop("envFrom")
    data = objects["ConfigMap/settings"]["data"] | objects["Secret/store"]["stringData"]
    container(objects["Deployment/web"])["env"] = [{"name": key, "value": value} for key, value in data.items()]
    hand_in(objects)
    found, hints = look(lab, "08.2", "a new password reaches the store from the secret", "and the web tier",
                        "a new title reaches the page from the settings")  # fmt: skip
    assert [f.state for f in found.values()] == [State.RIGHT, State.WRONG, State.WRONG]
    assert any("The title is written into the pod" in hint for hint in hints)


def test_one_replica_is_not_enough_to_lose_one(lab):
    objects = reference()
    objects["Deployment/web"]["spec"]["replicas"] = 1
    hand_in(objects)
    is_wrong(lab, "08.3", "another pod takes the place of a killed one, and most visitors never notice",
             because="requests failed", hint="How many are there?")  # fmt: skip


def test_a_pod_on_its_way_out_does_not_answer_for_the_one_that_is_killed(lab):
    objects = reference()
    objects["Deployment/web"]["spec"]["replicas"] = 1
    container(objects["Deployment/web"])["lifecycle"] = {"preStop": {"sleep": {"seconds": 6}}}
    hand_in(objects)
    kubectl("rollout restart deployment/web")
    kubectl("rollout status deployment/web --timeout=60s")
    is_wrong(lab, "08.3", SURVIVES, because="requests failed", hint="How many are there?")


def filler(cpu, replicas):
    """Pods that do nothing but ask for processors."""
    pause = {"name": "c", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": {"cpu": cpu}}}
    template = {"metadata": {"labels": {"app": f"f{cpu}"}}, "spec": {"containers": [pause]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": f"f{cpu}"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"f{cpu}"}, "spec": spec}


def test_nodes_without_room_are_no_excuse(lab):
    hand_in(reference())
    cpus = sum(int(node["status"]["allocatable"]["cpu"]) for node in lab.api.items("nodes"))
    apply(filler("450m", 3 * cpus), filler("50m", 10 * cpus))
    for cpu in ("450m", "50m"):
        eventually(lambda cpu=cpu: any(map(is_unschedulable, lab.api.items("pods", lab.namespace,
                                                                           label_selector=f"app=f{cpu}"))))  # fmt: skip
    found, _ = look(lab, "08.1", "and to no other")
    assert [f.state for f in found.values()] == [State.RIGHT]


def test_two_pods_of_the_store_are_one_too_many(lab):
    objects = reference()
    objects["Deployment/store"]["spec"]["replicas"] = 2
    hand_in(objects)
    found, _ = look(lab, "08.1", "one pod alone writes")
    assert [f.state for f in found.values()] == [State.CONVERGING]  # until it is old enough to be wrong


@pytest.mark.parametrize(
    ("strategy", "state"),
    [
        ({"type": "Recreate"}, State.RIGHT),
        ({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}, State.RIGHT),
        ({"type": "RollingUpdate"}, State.WRONG),
    ],
    ids=["Recreate", "no surge", "surge"],
)
def test_a_rollout_of_the_store_has_one_writer_at_a_time(lab, strategy, state):
    objects = reference()
    objects["Deployment/store"]["spec"]["strategy"] = strategy
    hand_in(objects)
    found, hints = look(lab, "08.1", "a rollout has one writer at a time")
    assert [f.state for f in found.values()] == [state]
    assert state is State.RIGHT or any("type Recreate" in hint for hint in hints)


def test_a_password_may_have_any_letters(lab):
    objects = reference()
    objects["Secret/store"]["stringData"]["PASSWORD"] = "contraseña · €"
    hand_in(objects)
    found, _ = look(lab, "08.2", "a note handed to the web tier lies in the store")
    assert [f.state for f in found.values()] == [State.RIGHT]


def test_a_daemon_set_cannot_be_scaled(lab):
    objects = reference()
    web = objects["Deployment/web"]
    web["kind"] = "DaemonSet"
    del web["spec"]["replicas"]
    hand_in(objects)
    kubectl("rollout status daemonset/web --timeout=60s")
    found, _ = look(lab, "08.3", "four of them serve when four are asked for")
    (finding,) = found.values()
    assert (finding.state, finding.found) == (State.WRONG, "DaemonSet web cannot be scaled")


@pytest.mark.slow
def test_a_pod_that_hangs_stays_hung_without_a_liveness_probe(lab):
    objects = reference()
    del container(objects["Deployment/web"])["livenessProbe"]
    hand_in(objects)
    is_wrong(lab, "08.3", "a pod that hangs is started again",
             because="not restarted after 20 s", hint="Which probe restarts a container?")  # fmt: skip
    assert {p["metadata"]["name"] for p in lab.api.items("pods", lab.namespace) if not is_ready(p)} == set()


YES = {"exec": {"command": ["true"]}, "periodSeconds": 1}
OPEN = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}


@pytest.mark.parametrize("probe", [None, YES, OPEN], ids=["none", "always yes", "the port alone"])
def test_a_readiness_that_does_not_ask_loses_requests_in_a_rollout(lab, probe):
    objects = reference()
    container(objects["Deployment/web"])["readinessProbe"] = copy.deepcopy(probe)
    hand_in(objects)
    is_wrong(lab, "08.4", "no request is lost meanwhile",
             because="HTTP 503", hint="Which probe keeps them away until then")  # fmt: skip


def test_without_a_hook_a_rollout_loses_those_who_are_still_in_it(lab):
    objects = reference()
    del container(objects["Deployment/web"])["lifecycle"]
    hand_in(objects)
    is_wrong(lab, "08.4", "no request is lost meanwhile",
             because="requests failed", hint="A preStop hook that sleeps")  # fmt: skip


def test_a_paused_rollout_is_none_and_earns_nothing_for_losing_nothing(lab):
    objects = reference()
    hand_in(objects)
    kubectl("rollout pause deployment/web")
    found, _ = look(lab, "08.4", "no request is lost meanwhile", "a rollout brings another version into every page")
    assert {f.state for f in found.values()} == {State.WRONG}
    assert all(f.found.startswith("Deployment/web is not rolled out after 15 s") for f in found.values())
