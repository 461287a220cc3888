"""What lesson 02 promises to show: pods and replicas, pets and cattle."""

import json
import re
import signal
import uuid

from tests.shows.breaking import breaks

SHOWN = {
    "one-pod": r"^written by the writer\nwritten by the writer",
    "pet": r'pod "duo" deleted[\s\S]+No resources found',
    "owners": r"Deployment web · 3 of 3 ready\n +└─ ReplicaSet web-\S+ · revision 1 · 3 of 3 ready\n +└─ 3 × Pod",
    "cattle": r"three again after \d+\.\d seconds[\s\S]+\+ 1 new, - 1 gone",
    "another": r"^in common: nothing",
    "scale": r"^✓ pods app=web are 5, all Ready[\s\S]+^✓ pods app=web are 3, all Ready",
    "selectors": r"ReplicaSet zoo · 2 of 2 ready[\s\S]+ReplicationController old · 2 of 2 ready",
    "counted": r"^✓ pod/stray is gone[\s\S]+nothing changed",
    "equality-only": r"unmarshal array into Go struct field ReplicationControllerSpec\.spec\.selector of type string",
    "rolling-update": r"from 0 to 1\n.*from 3 to 2\n.*from 1 to 2\n.*from 2 to 1\n.*from 2 to 3\n.*from 1 to 0",
    "undo": r"rolled back[\s\S]+revision 2 · 0 of 0 ready[\s\S]+revision 3 · 3 of 3 ready",
    "broken-image": r"(?=[\s\S]*0/1 +ImagePullBackOff)(?=(?:[\s\S]*1/1 +Running){3})[\s\S]*1\.37-glib: not found",
    "readiness": r"statuscode: 404[\s\S]+~ Pod guide · Running, not ready",
    "liveness": r"failed liveness probe, will be restarted[\s\S]+same name, UID and IP: True",
    "requests": r"FailedScheduling .*0/\d+ nodes are available: \d+ Insufficient memory",
    "limits": r"Terminated\n +Reason: +OOMKilled\n +Exit Code: +137",
}


@breaks("one-pod", after=("2-duo",))
def each_container_has_volumes_of_its_own():
    from labkit.glassbox.kubelet.starting import Starter

    honest = Starter._config

    def apart(self, pod, actual, start, image, made):
        own = {name: place / start.container["name"] for name, place in made.items()}
        for place in own.values():
            place.mkdir(exist_ok=True)
        return honest(self, pod, actual, start, image, own)

    Starter._config = apart


@breaks("pet", after=("2-duo",))
def a_pod_that_nobody_owns_comes_back():
    from labkit.glassbox.apiserver import deletion

    honest = deletion._gone

    def reborn(resource, row, obj, rest, options, api):
        answer = honest(resource, row, obj, rest, options, api)
        again = json.loads(row.value)
        if resource.plural == "pods" and "ownerReferences" not in again["metadata"]:
            again["metadata"]["uid"] = str(uuid.uuid4())
            again["status"] = {"phase": "Pending"}
            api.store.append(row.key, deletion.encode(resource, again, api.store.revision + 1), expect=0)
        return answer

    deletion._gone = reborn


@breaks("owners")
def a_deployment_makes_no_sets():
    from labkit.glassbox.controllers.deployment import DeploymentController

    DeploymentController.reconcile = lambda self, key: None


@breaks("cattle", "another", "scale", after=("3-apply",))
def a_set_makes_its_pods_once_and_never_again():
    from labkit.glassbox.controllers import replicaset

    honest = replicaset.plan
    replicaset.plan = lambda rs, pods: (0, []) if rs.get("status", {}).get("replicas") else honest(rs, pods)


@breaks("selectors")
def a_set_cannot_read_a_set_based_selector():
    from labkit.glassbox.controllers import claims

    honest = claims.selector_of

    def refuse(owner):
        if (owner["spec"].get("selector") or {}).get("matchExpressions"):
            raise ValueError("a set-based selector")
        return honest(owner)

    claims.selector_of = refuse


@breaks("counted", after=("4-both",))
def no_orphan_is_adopted():
    from labkit.glassbox.controllers import claims

    claims.may_adopt = lambda api, owner: False


@breaks("equality-only")
def a_replication_controller_takes_any_selector():
    from labkit.glassbox.apiserver.readers import _Struct

    honest = _Struct.read_field

    def lax(self, read, item, path, told, notes):
        has_lists = path == "spec.selector" and any(isinstance(each, list) for each in item.values())
        return honest(self, read, {} if has_lists else item, path, told, notes)

    _Struct.read_field = lax


@breaks("rolling-update", after=("3-apply",))
def a_rollout_may_take_all_pods_away_at_once():
    from labkit.glassbox.controllers import rollout

    rollout.bounds = lambda deployment: (0, rollout.replicas(deployment))


@breaks("undo", after=("3-apply", "5-rolled"))
def old_sets_are_thrown_away():
    from labkit.glassbox.controllers import deployment

    empty = deployment.rollout.count
    deployment.beyond_history = lambda _, old: [rs for rs in old if not rs["spec"]["replicas"] + empty(rs, "replicas")]


@breaks("broken-image", after=("3-apply",))
def every_tag_of_an_image_is_found():
    from labkit.glassbox.kubelet import images

    images.TOOLS_TAG = re.compile(".*")


@breaks("readiness", "liveness", after=("3-apply", "3-kill", "6-guide"))
def every_probe_succeeds():
    from labkit.glassbox.kubelet import prober

    prober.ask = lambda *_: prober.Outcome(prober.SUCCESS)


@breaks("requests")
def the_scheduler_does_not_count_what_pods_ask_for():
    from labkit.glassbox.scheduler import filters

    filters.FILTERS = tuple(each for each in filters.FILTERS if each is not filters.resources)


@breaks("limits")
def who_takes_too_much_memory_is_stopped_and_not_killed():
    from labkit.glassbox.kubelet import limits

    honest = limits._signal
    limits._signal = lambda found, sent: honest(found, signal.SIGSTOP if sent == signal.SIGKILL else sent)
