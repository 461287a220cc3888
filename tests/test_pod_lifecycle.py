"""Pods on a running cluster, seen through kubectl: how they start, end and start again, and what they are given."""

import itertools
import os
import re
import signal
import threading
import time

import pytest

from labkit.glassbox.client import Client
from tests.embedded import eventually
from tests.live import events, field, follow, fresh_namespace, logs, make, pod, wait

pytestmark = pytest.mark.cluster

STATUS = ".status.containerStatuses[0]"
WAITING = f"jsonpath={{{STATUS}.state.waiting.reason}}="
ENDED = f"jsonpath={{{STATUS}.state.terminated.reason}}="
FOREVER = "sleep 1000"


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


# restarts


@pytest.mark.parametrize(
    ("policy", "code", "phase"), [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")]
)
def test_a_pod_whose_policy_asks_for_no_restart_ends(cluster, namespace, policy, code, phase):
    ends = pod("ends", f"exit {code}", restartPolicy=policy)
    make(cluster, namespace, ends, until=f"jsonpath={{.status.phase}}={phase}")
    assert field(cluster, namespace, "ends", f"{STATUS}['restartCount']") == "0"
    assert field(cluster, namespace, "ends", f"{STATUS}.state.terminated.exitCode") == str(code)


@pytest.mark.parametrize(("policy", "code"), [("Always", 0), ("Always", 3), ("OnFailure", 3)])
def test_a_container_that_ends_again_and_again_is_in_crash_loop_back_off(cluster, namespace, policy, code):
    make(
        cluster,
        namespace,
        pod("loop", f"echo words of one life; exit {code}", restartPolicy=policy),
        until=f"{WAITING}CrashLoopBackOff",
    )
    assert int(field(cluster, namespace, "loop", f"{STATUS}.restartCount")) >= 1
    assert field(cluster, namespace, "loop", f"{STATUS}.lastState.terminated.exitCode") == str(code)
    assert re.fullmatch(
        rf"back-off 10s restarting failed container=c0 pod=loop_{namespace}\([0-9a-f-]+\)",
        field(cluster, namespace, "loop", f"{STATUS}.state.waiting.message"),
    )
    eventually(lambda: "Back-off restarting failed container c0 in pod loop_" in events(cluster, namespace))


def test_the_log_of_the_life_before_is_kept(cluster, namespace):
    counts = "echo x >> /kept/lives; echo life $(wc -l < /kept/lives); [ $(wc -l < /kept/lives) = 2 ] && sleep 1000"
    twice = pod("twice", counts, volumes=[{"name": "kept", "emptyDir": {}}])
    twice["spec"]["containers"][0]["volumeMounts"] = [{"name": "kept", "mountPath": "/kept"}]
    make(cluster, namespace, twice, until=f"jsonpath={{{STATUS}.restartCount}}=1")
    wait(cluster, namespace, "twice", "condition=Ready")
    assert next(follow(cluster, namespace, "twice")) == "life 2\n"
    assert logs(cluster, namespace, "twice", "--previous") == "life 1\n"


def test_a_first_life_has_no_log_of_one_before(cluster, namespace):
    make(cluster, namespace, pod("young", FOREVER))
    told = logs(cluster, namespace, "young", "--previous", check=False).stderr
    assert 'previous terminated container "c0" in pod "young" not found' in told


def test_a_command_that_the_image_lacks_is_told(cluster, namespace):
    lost = pod("lost", "", restartPolicy="Never")
    lost["spec"]["containers"][0]["command"] = ["/bin/nothing"]
    make(cluster, namespace, lost, until="jsonpath={.status.phase}=Failed")
    assert field(cluster, namespace, "lost", f"{STATUS}.state.terminated.reason") == "StartError"
    assert "/bin/nothing" in field(cluster, namespace, "lost", f"{STATUS}.state.terminated.message")


def test_init_containers_run_one_after_the_other_and_first(cluster, namespace):
    def step(name, command):
        return {
            "name": name,
            "image": "busybox:1.36",
            "command": ["sh", "-c", command],
            "volumeMounts": [{"name": "notes", "mountPath": "/notes"}],
        }

    ordered = pod("ordered", "", restartPolicy="Never", volumes=[{"name": "notes", "emptyDir": {}}])
    ordered["spec"]["initContainers"] = [step("one", "echo one >> /notes/a"), step("two", "echo two >> /notes/a")]
    ordered["spec"]["containers"] = [step("c0", "cat /notes/a")]
    make(cluster, namespace, ordered, until="jsonpath={.status.phase}=Succeeded")
    assert logs(cluster, namespace, "ordered") == "one\ntwo\n"


# endings


def test_a_pod_may_say_good_bye_within_its_grace(cluster, namespace):
    polite = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    make(cluster, namespace, pod("polite", polite, terminationGracePeriodSeconds=30))
    lines = follow(cluster, namespace, "polite")
    assert next(lines) == "ready\n"
    began = time.monotonic()
    cluster.kubectl("delete", "pod", "polite", "-n", namespace)
    assert time.monotonic() - began < 10
    assert list(lines) == ["bye\n"]
    assert "Stopping container c0" in events(cluster, namespace)


def test_a_pod_that_ignores_the_signal_is_killed_when_its_grace_is_over(cluster, namespace):
    make(cluster, namespace, pod("stubborn", f"trap '' TERM; {FOREVER}", terminationGracePeriodSeconds=30))
    began = time.monotonic()
    cluster.kubectl("delete", "pod", "stubborn", "-n", namespace, "--grace-period=2")
    assert 1 < time.monotonic() - began < 10  # the deletion's date has whole seconds


def test_a_forced_deletion_does_not_wait(cluster, namespace):
    make(cluster, namespace, pod("stubborn", f"trap '' TERM; {FOREVER}", terminationGracePeriodSeconds=30))
    began = time.monotonic()
    cluster.kubectl("delete", "pod", "stubborn", "-n", namespace, "--grace-period=0", "--force")
    assert time.monotonic() - began < 5


# what a pod is given

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"colour": "blue"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"password": "hush"}}


def mounting(command, **volumes):
    """A pod of one container that mounts each volume at the root, under its name."""
    one = pod("one", command, restartPolicy="Never", volumes=[{"name": n, **v} for n, v in volumes.items()])
    one["spec"]["containers"][0]["volumeMounts"] = [{"name": name, "mountPath": f"/{name}"} for name in volumes]
    return one


def test_a_config_map_and_a_secret_are_files_and_the_secret_touches_no_disk(cluster, namespace):
    reads = "cat /config/colour; echo; cat /secret/password; echo; stat -f -c %T /secret"
    given = mounting(reads, config={"configMap": {"name": "config"}}, secret={"secret": {"secretName": "secret"}})
    make(cluster, namespace, CONFIG, SECRET, given, until="jsonpath={.status.phase}=Succeeded")
    assert logs(cluster, namespace, "one").splitlines() == ["blue", "hush", "tmpfs"]


def test_a_config_map_s_files_cannot_be_written(cluster, namespace):
    given = mounting("echo red > /config/colour", config={"configMap": {"name": "config"}})
    make(cluster, namespace, CONFIG, given, until="jsonpath={.status.phase}=Failed")
    assert "Read-only file system" in logs(cluster, namespace, "one")


def test_an_empty_directory_is_shared_by_the_containers(cluster, namespace):
    shared = mounting("echo words > /scratch/note", scratch={"emptyDir": {}})
    reader = {**shared["spec"]["containers"][0], "name": "reader"}
    reader["command"] = ["sh", "-c", "until cat /scratch/note 2>/dev/null; do sleep 0.05; done"]
    shared["spec"]["containers"].append(reader)
    make(cluster, namespace, shared, until="jsonpath={.status.phase}=Succeeded")
    assert logs(cluster, namespace, "one", "-c", "reader") == "words\n"


def test_the_environment_has_literals_keys_and_the_pod_s_own_facts(cluster, namespace):
    asks = pod("asks", 'echo "$COLOUR $PASSWORD $ME $WHERE $GREETING"; echo $IP', restartPolicy="Never")
    asks["spec"]["containers"][0]["env"] = [
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "colour"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
        {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "GREETING", "value": "hello $(ME)"},
    ]
    make(cluster, namespace, CONFIG, SECRET, asks, until="jsonpath={.status.phase}=Succeeded")
    words, ip = logs(cluster, namespace, "asks").splitlines()
    assert words == f"blue hush asks {namespace} hello asks"
    assert ip.startswith("10.244.")


def test_a_pod_waits_for_the_config_map_that_it_names(cluster, namespace):
    early = pod("early", FOREVER)
    early["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "config"}}]
    make(cluster, namespace, early, until=f"{WAITING}CreateContainerConfigError")
    assert field(cluster, namespace, "early", f"{STATUS}.state.waiting.message") == 'configmap "config" not found'
    make(cluster, namespace, CONFIG)
    wait(cluster, namespace, "early", "condition=Ready")


# logs

TALKER = "echo first; echo second; echo third"


@pytest.fixture
def talker(cluster, namespace):
    talks = pod("talker", TALKER, "echo other", restartPolicy="Never")
    make(cluster, namespace, talks, until="jsonpath={.status.phase}=Succeeded")
    return "talker"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-c", "c0"], "first\nsecond\nthird\n"),
        (["-c", "c0", "--tail=1"], "third\n"),
        (["-c", "c0", "--limit-bytes=8"], "first\nse"),
        (["-c", "c0", "--since=1h", "-f"], "first\nsecond\nthird\n"),
        (["-c", "c1", "--prefix"], "[pod/talker/c1] other\n"),
    ],
)
def test_logs_with_options(cluster, namespace, talker, options, text):
    assert logs(cluster, namespace, talker, *options) == text


def test_the_logs_of_all_containers_come_in_no_set_order(cluster, namespace, talker):
    lines = logs(cluster, namespace, talker, "--all-containers", "--prefix", "--tail=1").splitlines()
    assert sorted(lines) == ["[pod/talker/c0] third", "[pod/talker/c1] other"]


def test_log_lines_have_times_when_asked(cluster, namespace, talker):
    line = logs(cluster, namespace, talker, "-c", "c1", "--timestamps")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z other\n", line)


def test_following_a_log_ends_with_its_container(cluster, namespace):
    make(
        cluster,
        namespace,
        pod("short", "for n in 1 2 3; do echo $n; sleep 0.2; done", restartPolicy="Never"),
        until="jsonpath={.status.phase}",
    )
    assert list(follow(cluster, namespace, "short")) == ["1\n", "2\n", "3\n"]


# figures and refusals


def test_a_node_has_this_machine_s_figures(cluster):
    path = "jsonpath={.status.capacity.cpu} {.status.capacity.memory} {.status.allocatable.pods}"
    cpu, memory, pods = cluster.kubectl("get", "node", "node1", "-o", path).split()
    assert int(cpu) == len(os.sched_getaffinity(0)) or int(cpu) == os.cpu_count()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory.endswith("Ki")
    assert 0 < int(memory[:-2]) * 1024 <= pages
    assert pods == "110"


def test_a_pod_that_asks_for_more_than_any_node_has_stays_pending(cluster, namespace):
    greedy = pod("greedy", FOREVER)
    greedy["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}}
    make(cluster, namespace, greedy, until="jsonpath={.status.conditions[0].reason}=Unschedulable")
    assert "0/2 nodes are available: 2 Insufficient cpu." in field(
        cluster, namespace, "greedy", ".status.conditions[0].message"
    )


def test_what_is_not_implemented_is_refused_by_its_name(cluster, namespace):
    asks = pod("asks", FOREVER, hostPID=True)
    make(cluster, namespace, asks, until=f"{WAITING}NotImplemented")
    told = "hostPID (a pod sees no processes but its own): not implemented by this kubelet"
    assert field(cluster, namespace, "asks", f"{STATUS}.state.waiting.message") == told
    eventually(lambda: told in events(cluster, namespace))


def test_a_log_of_a_container_that_waits_says_what_it_waits_for(cluster, namespace):
    unknown = pod("unknown", FOREVER)
    unknown["spec"]["containers"][0]["image"] = "nosuch:9"
    make(cluster, namespace, unknown, until=f"{WAITING}ImagePullBackOff")
    told = logs(cluster, namespace, "unknown", check=False).stderr
    assert 'container "c0" in pod "unknown" is waiting to start' in told
    assert "no image nosuch; there are: python:" in events(cluster, namespace)


def test_an_image_of_the_cluster_s_own_runs_what_was_declared(cluster, namespace, tmp_path):
    (tmp_path / "words").write_text("hello from a file")
    declared = "{base: tools, command: [cat, /app/words], files: {/app/words: words}}"
    (tmp_path / "images.yaml").write_text(f"images:\n  example.com/greeter: {declared}\n")
    done = cluster.labkit("up", "--name", cluster.name, "--images", str(tmp_path / "images.yaml"))
    assert "images: example.com/greeter" in done.stdout, done.stderr
    greets = pod("greets", "", restartPolicy="Never")
    greets["spec"]["containers"] = [{"name": "c0", "image": "example.com/greeter:2"}]
    make(cluster, namespace, greets, until="jsonpath={.status.phase}=Succeeded")
    assert logs(cluster, namespace, "greets") == "hello from a file"


def test_an_image_that_must_not_be_pulled_and_is_not_there_is_waited_for_without_haste(cluster, namespace):
    never = pod("never", FOREVER, node="node1")
    never["spec"]["containers"][0] |= {"image": "nosuch", "imagePullPolicy": "Never"}
    make(cluster, namespace, never, until=f"{WAITING}ErrImageNeverPull")
    told = 'Container image "nosuch" is not present with pull policy of Never'
    assert field(cluster, namespace, "never", f"{STATUS}.state.waiting.message") == told
    eventually(lambda: {told, "Error: ErrImageNeverPull"} <= set(events(cluster, namespace).splitlines()))


# killed components


def test_under_a_stream_of_writes_each_killed_component_costs_neither_pods_nor_writes(cluster, namespace):
    make(cluster, namespace, pod("steady", FOREVER))
    path = f"{STATUS}['restartCount','containerID','state']"
    before = field(cluster, namespace, "steady", path)
    api = Client.from_kubeconfig(cluster.kubeconfig, user_agent="writer")
    acknowledged, stop = [], threading.Event()

    def write():
        for number in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            try:
                api.create("configmaps", {"metadata": {"name": f"write-{number}", "namespace": namespace}})
            except Exception:  # not acknowledged: it may or may not be there
                continue
            acknowledged.append(f"write-{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for component in cluster.status()["components"]:
            name, old, written = component["name"], component["pid"], len(acknowledged)
            eventually(lambda written=written: len(acknowledged) > written + 20)
            os.kill(old, signal.SIGKILL)
            eventually(lambda name=name, old=old: cluster.component(name)["pid"] not in (0, old), within=1)
        written = len(acknowledged)
        eventually(lambda: len(acknowledged) > written + 20)
    finally:
        stop.set()
        writer.join()
    stored = {item["metadata"]["name"] for item in api.list("configmaps", namespace)["items"]}
    assert set(acknowledged) <= stored
    make(cluster, namespace, pod("after", FOREVER))
    assert field(cluster, namespace, "steady", path) == before
