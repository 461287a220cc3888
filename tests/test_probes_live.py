"""What probes, hooks and sidecars do to pods on a running cluster, seen through kubectl."""

import os
import signal
import time

import pytest

from tests.embedded import eventually
from tests.live import address, events, field, follow, fresh_namespace, logs, make, pod, wait

pytestmark = pytest.mark.cluster

STATUS = ".status.containerStatuses[0]"
SERVE = "mkdir /www; httpd -f -p 8080 -h /www & "
FOREVER = "sleep 1000"
OK = {"httpGet": {"path": "/ok", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


def with_(made, number=0, **fields):
    """The pod with more said of one of its containers."""
    made["spec"]["containers"][number] |= fields
    return made


def sidecar(command, **fields):
    return {
        "name": "side",
        "image": "busybox:1.36",
        "command": ["sh", "-c", command],
        "restartPolicy": "Always",
        **fields,
    }


# probes


def test_a_container_is_ready_as_soon_as_its_probe_says_so_and_not_any_more_when_it_does_not(cluster, namespace):
    moody = pod("moody", f"{SERVE} sleep 2; echo yes > /www/ok; sleep 2; rm /www/ok; wait")
    make(cluster, namespace, with_(moody, readinessProbe=OK), until=f"jsonpath={{{STATUS}.started}}=true")
    assert field(cluster, namespace, "moody", f"{STATUS}.ready") == "false"
    wait(cluster, namespace, "moody", "condition=Ready")
    wait(cluster, namespace, "moody", "condition=Ready=false")
    assert "Readiness probe failed: HTTP probe failed with statuscode: 404" in events(cluster, namespace)
    assert field(cluster, namespace, "moody", f"{STATUS}.restartCount") == "0"


def test_a_container_that_fails_its_liveness_probe_is_started_again(cluster, namespace):
    sick = pod("sick", f"{SERVE} [ -e /kept/been ] || rm -f /www/ok; touch /kept/been; {FOREVER}")
    sick["spec"]["volumes"] = [{"name": "kept", "emptyDir": {}}]
    with_(sick, livenessProbe=OK, volumeMounts=[{"name": "kept", "mountPath": "/kept"}])
    make(cluster, namespace, sick, until=f"jsonpath={{{STATUS}.restartCount}}=1")
    told = events(cluster, namespace)
    assert "Liveness probe failed: HTTP probe failed with statuscode: 404" in told
    assert "Container c0 failed liveness probe, will be restarted" in told
    assert field(cluster, namespace, "sick", f"{STATUS}.lastState.terminated.exitCode") == "137"


def test_no_other_probe_is_asked_before_the_startup_probe_succeeds(cluster, namespace):
    slow = pod("slow", f"{SERVE} sleep 2; echo yes > /www/ok; wait")
    patient = {**OK, "failureThreshold": 30}
    refused = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 30}
    with_(slow, startupProbe=patient, livenessProbe=OK, readinessProbe=OK)
    make(cluster, namespace, slow, pod("closed", FOREVER), until="condition=Ready")
    told = events(cluster, namespace)
    assert "Startup probe failed: HTTP probe failed with statuscode: 404" in told
    assert "Liveness" not in told
    never = with_(pod("never", FOREVER), readinessProbe=refused)
    make(cluster, namespace, never, until="jsonpath={.status.phase}=Running")
    where = f"{address(cluster, namespace, 'never')}:9"
    eventually(
        lambda: f"Readiness probe failed: dial tcp {where}: connect: connection refused" in events(cluster, namespace)
    )


def test_a_command_in_the_container_says_how_it_is(cluster, namespace):
    def asking(name, command, **more):
        probe = {"exec": {"command": ["sh", "-c", command]}, "periodSeconds": 1, **more}
        return with_(pod(name, "touch /tmp/up; sleep 1000"), readinessProbe=probe)

    asked = [asking("well", "cat /tmp/up"), asking("ill", "echo why; exit 3"), asking("late", "sleep 9")]
    asked.append(with_(pod("lost", FOREVER), readinessProbe={"exec": {"command": ["nonesuch"]}, "periodSeconds": 1}))
    make(cluster, namespace, *asked, until="jsonpath={.status.phase}=Running")
    wait(cluster, namespace, "well", "condition=Ready")
    for told in (
        "Readiness probe failed: why",
        'Readiness probe failed: command timed out: "sh -c sleep 9" timed out after 1s',
        "Readiness probe errored and resulted in unknown state: failed to exec in container",
    ):
        eventually(lambda told=told: told in events(cluster, namespace))


def test_a_readiness_gate_is_opened_from_outside(cluster, namespace):
    gated = pod("gated", FOREVER, readinessGates=[{"conditionType": "example.com/in"}])
    make(cluster, namespace, gated, until="condition=ContainersReady")
    assert (
        field(cluster, namespace, "gated", ".status.conditions[?(@.type=='Ready')].reason") == "ReadinessGatesNotReady"
    )
    opened = '{"status":{"conditions":[{"type":"example.com/in","status":"True"}]}}'
    cluster.kubectl("patch", "pod", "gated", "-n", namespace, "--subresource=status", "-p", opened)
    wait(cluster, namespace, "gated", "condition=Ready")
    assert field(cluster, namespace, "gated", ".status.conditions[?(@.type=='example.com/in')].status") == "True"


def test_a_kubelet_that_starts_again_leaves_ready_what_was_ready(cluster, namespace):
    rarely = {"tcpSocket": {"port": 8080}, "periodSeconds": 60}
    made = with_(pod("steady", f"{SERVE} wait", node="node1"), readinessProbe=rarely, startupProbe=rarely)
    make(cluster, namespace, made)
    since = "{.status.conditions[?(@.type=='Ready')].lastTransitionTime}{.status.containerStatuses[0]}"
    before = cluster.kubectl("get", "pod", "steady", "-n", namespace, "-o", f"jsonpath={since}")
    killed = cluster.component("kubelet@node1")["pid"]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: cluster.component("kubelet@node1")["pid"] not in (0, killed))
    make(cluster, namespace, pod("after", FOREVER, node="node1"))
    assert cluster.kubectl("get", "pod", "steady", "-n", namespace, "-o", f"jsonpath={since}") == before


# hooks


def test_a_post_start_hook_keeps_the_next_container_waiting(cluster, namespace):
    slow = pod("slow", FOREVER, FOREVER, terminationGracePeriodSeconds=2)  # no hook may sleep longer
    made = with_(slow, lifecycle={"postStart": {"sleep": {"seconds": 2}}})
    make(cluster, namespace, made)
    started = field(cluster, namespace, "slow", ".status.containerStatuses[*].state.running.startedAt").split()
    first, second = (time.mktime(time.strptime(each, "%Y-%m-%dT%H:%M:%SZ")) for each in started)
    assert second - first >= 1  # whole seconds


def test_a_post_start_hook_that_fails_ends_its_container(cluster, namespace):
    failing = {"postStart": {"httpGet": {"port": 9, "path": "/"}}}
    unlucky = with_(pod("unlucky", FOREVER), lifecycle=failing)
    make(cluster, namespace, unlucky, until=f"jsonpath={{{STATUS}.lastState.terminated.reason}}=Error")
    assert {"PostStartHook failed", "FailedPostStartHook"} <= set(events(cluster, namespace).splitlines())


def test_a_pre_stop_hook_comes_before_the_signal_and_within_the_grace(cluster, namespace):
    polite = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    made = with_(
        pod("polite", polite, terminationGracePeriodSeconds=30), lifecycle={"preStop": {"sleep": {"seconds": 2}}}
    )
    make(cluster, namespace, made)
    lines = follow(cluster, namespace, "polite")
    assert next(lines) == "ready\n"
    began = time.monotonic()
    cluster.kubectl("delete", "pod", "polite", "-n", namespace)
    assert 2 <= time.monotonic() - began < 8
    assert list(lines) == ["bye\n"]


def test_a_pre_stop_hook_that_fails_is_told_and_the_pod_ends_all_the_same(cluster, namespace):
    failing = {"preStop": {"httpGet": {"port": 9, "path": "/"}}}
    make(cluster, namespace, with_(pod("unlucky", FOREVER), lifecycle=failing))
    cluster.kubectl("delete", "pod", "unlucky", "-n", namespace)
    eventually(lambda: "PreStopHook failed" in events(cluster, namespace))


def test_hooks_run_commands_in_their_container(cluster, namespace):
    hooks = {
        when: {"exec": {"command": ["sh", "-c", f"echo {when} >> /proc/1/fd/1"]}} for when in ("postStart", "preStop")
    }
    make(cluster, namespace, with_(pod("hooked", "echo main; sleep 1000"), lifecycle=hooks))
    lines = follow(cluster, namespace, "hooked")
    assert {next(lines), next(lines)} == {"main\n", "postStart\n"}
    cluster.kubectl("delete", "pod", "hooked", "-n", namespace, "--wait=false")
    assert list(lines) == ["preStop\n"]


def test_a_second_deletion_may_shorten_the_grace(cluster, namespace):
    make(cluster, namespace, pod("stubborn", f"trap '' TERM; {FOREVER}", terminationGracePeriodSeconds=60))
    cluster.kubectl("delete", "pod", "stubborn", "-n", namespace, "--wait=false")
    began = time.monotonic()
    cluster.kubectl("delete", "pod", "stubborn", "-n", namespace, "--grace-period=1")
    assert time.monotonic() - began < 10


# sidecars and restarts


def test_a_sidecar_starts_first_and_ends_last(cluster, namespace):
    main = "wget -qO- http://localhost:8080/ok; exit 0"
    serve = "mkdir /www; echo served > /www/ok; trap 'echo bye; exit 0' TERM; httpd -f -p 8080 -h /www &"
    serve += " while :; do sleep 0.05; done"
    batch = pod("batch", main, restartPolicy="Never", terminationGracePeriodSeconds=30)
    batch["spec"]["initContainers"] = [sidecar(serve, startupProbe=OK | {"failureThreshold": 30})]
    make(cluster, namespace, batch, until="jsonpath={.status.phase}=Succeeded")
    assert logs(cluster, namespace, "batch", "-c", "c0") == "served\n"
    assert logs(cluster, namespace, "batch", "-c", "side").endswith("bye\n")
    assert field(cluster, namespace, "batch", ".status.initContainerStatuses[0].state.terminated.exitCode") == "0"


def test_a_new_image_starts_the_container_anew_in_the_same_pod(cluster, namespace):
    make(cluster, namespace, pod("web", FOREVER))
    before = address(cluster, namespace, "web")
    cluster.kubectl("set", "image", "pod/web", "c0=alpine:3", "-n", namespace)
    wait(cluster, namespace, "web", f"jsonpath={{{STATUS}.restartCount}}=1")
    wait(cluster, namespace, "web", "condition=Ready")
    assert field(cluster, namespace, "web", f"{STATUS}.image") == "docker.io/library/alpine:3"
    assert address(cluster, namespace, "web") == before
    assert "Container c0 definition changed, will be restarted" in events(cluster, namespace)


def test_a_container_may_have_a_restart_policy_of_its_own(cluster, namespace):
    counts = "echo x >> /kept/lives; [ $(wc -l < /kept/lives) = 1 ] && exit 42; exit 0"
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    made = pod("twice", counts, restartPolicy="Never", volumes=[{"name": "kept", "emptyDir": {}}])
    mounts = [{"name": "kept", "mountPath": "/kept"}]
    with_(made, restartPolicy="Never", restartPolicyRules=rules, volumeMounts=mounts)
    make(cluster, namespace, made, until="jsonpath={.status.phase}=Succeeded")
    assert field(cluster, namespace, "twice", f"{STATUS}.restartCount") == "1"


# ends


def test_the_end_of_a_log_may_stand_for_a_termination_message(cluster, namespace):
    made = pod("wordy", "seq 1000; echo last words; exit 3", restartPolicy="Never")
    with_(made, terminationMessagePolicy="FallbackToLogsOnError")
    make(cluster, namespace, made, until="jsonpath={.status.phase}=Failed")
    told = field(cluster, namespace, "wordy", f"{STATUS}.state.terminated.message")
    assert told.endswith("999\n1000\nlast words\n")
    assert told.count("\n") == 80


def test_a_pod_lives_no_longer_than_its_deadline(cluster, namespace):
    make(cluster, namespace, pod("brief", FOREVER, activeDeadlineSeconds=1), until="jsonpath={.status.phase}=Failed")
    assert field(cluster, namespace, "brief", ".status.reason") == "DeadlineExceeded"
    told = "Pod was active on the node longer than the specified deadline"
    assert field(cluster, namespace, "brief", ".status.message") == told
    assert told in events(cluster, namespace)


@pytest.mark.parametrize(
    ("asks", "reason", "message"),
    [
        (
            {"nodeSelector": {"disk": "floppy"}},
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            {"resources": {"requests": {"cpu": "1000"}}},
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 1000000",
        ),
    ],
)
def test_a_node_fails_a_pod_that_was_bound_to_it_and_does_not_suit(cluster, namespace, asks, reason, message):
    forced = pod("forced", FOREVER, nodeName="node1", **{k: v for k, v in asks.items() if k == "nodeSelector"})
    with_(forced, **{k: v for k, v in asks.items() if k == "resources"})
    make(cluster, namespace, forced, until="jsonpath={.status.phase}=Failed")
    assert field(cluster, namespace, "forced", ".status.reason") == reason
    assert field(cluster, namespace, "forced", ".status.message").startswith(f"Pod was rejected: {message}")
    assert reason in cluster.kubectl("get", "pod", "forced", "-n", namespace)


# names, processes and networks


def test_containers_that_share_processes_see_one_another_and_take_their_own_with_them(cluster, namespace):
    other = "until grep -qs '^sleep' /proc/[0-9]*/cmdline; do sleep 0.05; done; echo seen; sleep 1000"
    made = pod("shared", "sleep 1001 & sleep 2; exit 0", other, shareProcessNamespace=True, restartPolicy="OnFailure")
    make(cluster, namespace, made, until=f"jsonpath={{{STATUS}.state.terminated.reason}}=Completed")
    assert next(follow(cluster, namespace, "shared", "-c", "c1")) == "seen\n"
    listed = [
        "exec",
        "shared",
        "-n",
        namespace,
        "-c",
        "c1",
        "--",
        "sh",
        "-c",
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
    ]
    assert "pause" in cluster.kubectl(*listed)
    eventually(lambda: "sleep 1001" not in cluster.kubectl(*listed))


def test_a_pod_has_the_names_that_it_asks_for(cluster, namespace):
    aliases = [{"ip": "1.2.3.4", "hostnames": ["foo.local"]}]
    config = {"options": [{"name": "ndots", "value": "2"}]}
    made = pod(
        "named", "hostname; cat /etc/hosts /etc/resolv.conf", restartPolicy="Never", hostname="db-0", subdomain="db",
        hostAliases=aliases, dnsConfig=config,
    )  # fmt: skip
    make(cluster, namespace, made, until="jsonpath={.status.phase}=Succeeded")
    lines = logs(cluster, namespace, "named").splitlines()
    assert lines[0] == "db-0"
    where = address(cluster, namespace, "named")
    assert f"{where}\tdb-0.db.{namespace}.svc.cluster.local\tdb-0" in lines
    assert lines[lines.index("# Entries added by HostAliases.") + 1] == "1.2.3.4\tfoo.local"
    assert {"nameserver 10.96.0.10", "options ndots:2"} <= set(lines)
    assert any(
        line.startswith(f"search {namespace}.svc.cluster.local svc.cluster.local cluster.local") for line in lines
    )


def test_a_pod_on_its_node_s_network_has_the_node_s_address_and_name(cluster, namespace):
    host = pod(
        "host", "hostname; mkdir /www; hostname > /www/ok; httpd -f -p 8091 -h /www", node="node1", hostNetwork=True
    )
    make(cluster, namespace, with_(host, readinessProbe={"tcpSocket": {"port": 8091}, "periodSeconds": 1}))
    assert address(cluster, namespace, "host") == field(cluster, namespace, "host", ".status.hostIP")
    ask = f"wget -qO- http://{address(cluster, namespace, 'host')}:8091/ok"
    make(
        cluster,
        namespace,
        pod("client", ask, node="node2", restartPolicy="Never"),
        until="jsonpath={.status.phase}=Succeeded",
    )
    assert logs(cluster, namespace, "client") == "node1\n"
