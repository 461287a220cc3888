"""exec, attach, cp, port-forward and proxy on a running cluster, through kubectl and the Python client."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pexpect
import pytest
import websocket
from kubernetes import client, config
from kubernetes.stream import portforward, stream

from tests.embedded import eventually
from tests.live import field, follow, fresh_namespace, make, pod, wait

pytestmark = pytest.mark.cluster

KUBECTL = str(Path(sys.executable).parent / "kubectl")
ON = "echo on; exec sleep 777"
SERVE = "echo hello from box > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"


@pytest.fixture(scope="module")
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        init = {"name": "init", "image": "busybox:1.36", "command": ["true"]}
        make(cluster, name, pod("box", SERVE, "sleep 1000", initContainers=[init]))
        yield name


@pytest.fixture(scope="module")
def api(cluster):
    return client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))


@pytest.fixture
def execute(cluster, namespace):
    """Run a command in the pod `box` and return what became of kubectl."""

    def run(*words, input=None):
        return cluster.kubectl("exec", "-n", namespace, *words, input=input, check=False)

    return run


def terminal(cluster, namespace, *words):
    """kubectl in a terminal of the test's own."""
    environment = {**cluster.environment, "KUBECONFIG": str(cluster.kubeconfig), "TERM": "dumb"}
    arguments = [words[0], "-n", namespace, *words[1:]]
    return pexpect.spawn(KUBECTL, arguments, env=environment, timeout=20, encoding="utf-8", dimensions=(31, 97))


# exec


def test_output_error_and_exit_code_come_apart(execute):
    done = execute("box", "-c", "c0", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.returncode) == ("out\n", 3)
    assert done.stderr == "err\ncommand terminated with exit code 3\n"


def test_input_is_read_to_its_end(execute):
    assert execute("-i", "box", "-c", "c0", "--", "wc", "-c", input="x" * 300_000).stdout.strip() == "300000"


def test_a_command_that_is_not_there(execute):
    told = execute("box", "-c", "c0", "--", "nosuchcommand")
    assert told.returncode == 1
    assert re.sub("[0-9a-f]{64}", "ID", told.stderr) == (
        "error: Internal error occurred: Internal error occurred: error executing command in container: failed to exec "
        'in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container '
        'process: exec: "nosuchcommand": executable file not found in $PATH\n'
    )


def test_a_command_may_be_long(execute):
    assert execute("box", "-c", "c0", "--", "sh", "-c", "echo ok #" + 30_000 * "x").stdout == "ok\n"


def test_a_container_that_has_ended_cannot_be_joined(execute):
    told = execute("box", "-c", "init", "--", "true").stderr
    assert told == 'error: Internal error occurred: unable to upgrade connection: container not found ("init")\n'


def test_a_shell_in_a_terminal_of_the_right_size(cluster, namespace):
    with terminal(cluster, namespace, "exec", "-it", "box", "-c", "c0", "--", "sh") as shell:
        shell.sendline("stty size; tty")
        shell.expect("31 97\r\n/dev/pts/0\r\n")
        assert "\x1b" not in shell.before  # nothing that only a terminal understands
        shell.setwinsize(40, 50)
        eventually(lambda: shell.sendline("stty size") and shell.expect(["40 50", "31 97"]) == 0)
        shell.sendline("exit 4")
        shell.expect(pexpect.EOF)
    assert shell.exitstatus == 4


def test_a_client_that_hangs_up_ends_its_command(cluster, namespace, execute):
    words = ("box", "-c", "c1", "--", "sh", "-c", ON)
    with cluster.kubectl_in_background("exec", "-n", namespace, *words) as one:
        assert one.stdout.readline() == "on\n"
    eventually(lambda: "sleep 777" not in execute("box", "-c", "c1", "--", "ps", "ax").stdout)


def test_a_command_whose_client_hangs_up_has_read_what_was_sent_and_goes_on(api, namespace, execute):
    said = stream(api.connect_get_namespaced_pod_exec, "box", namespace, container="c0",
                  command=["sh", "-c", "wc -c > /tmp/read; sleep 0.2; echo after >> /tmp/read"],
                  stdin=True, stdout=True, stderr=True, _preload_content=False)  # fmt: skip
    said.write_stdin("x" * 100_000)
    said.close()
    eventually(lambda: execute("box", "-c", "c0", "--", "cat", "/tmp/read").stdout == "100000\nafter\n")


def test_the_python_client_runs_a_command(api, namespace):
    said = stream(api.connect_get_namespaced_pod_exec, "box", namespace, container="c0",
                  command=["sh", "-c", "read line; echo got $line; exit 5"], stdin=True, stdout=True, stderr=True,
                  _preload_content=False)  # fmt: skip
    said.write_stdin("this\n")
    said.run_forever(timeout=20)
    assert (said.read_stdout(), said.returncode) == ("got this\n", 5)


def test_a_long_stream_is_carried_whole_and_never_kept(cluster, namespace):
    before = sum(map(memory, components(cluster)))
    program = f"exec {KUBECTL} exec -n {namespace} box -c c0 -- head -c 300000000 /dev/zero | (sleep 1; wc -c)"
    environment = {**cluster.environment, "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run(["bash", "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "300000000"
    assert sum(map(memory, components(cluster))) - before < 30 * 1024  # KiB


def components(cluster):
    return [each["pid"] for each in cluster.status()["components"] if each["name"].startswith(("api", "kubelet"))]


def memory(pid):
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1])


def test_a_reader_that_is_slow_stalls_its_own_stream_alone(cluster, namespace, execute):
    stalled = cluster.kubectl_in_background("exec", "-n", namespace, "box", "-c", "c0", "--", "yes")
    with stalled as one:
        assert one.stdout.readline() == "y\n"  # and no more is read
        assert execute("box", "-c", "c0", "--", "echo", "quick").stdout == "quick\n"


def test_a_command_sees_the_variables_and_the_user_of_its_container(cluster, namespace):
    asked = pod("plain", "sleep 1000")
    asked["spec"]["containers"][0] |= {
        "env": [{"name": "COLOUR", "value": "green"}],
        "securityContext": {"runAsUser": 1001},
    }
    make(cluster, namespace, asked)
    done = cluster.kubectl("exec", "-n", namespace, "plain", "--", "sh", "-c", "id -u; echo $COLOUR")
    assert done.split() == ["1001", "green"]


# attach


def test_kubectl_run_talks_to_its_pod_and_takes_it_away(cluster, namespace):
    done = cluster.kubectl(
        "run", "-i", "--rm", "-q", "once", "--image=busybox:1.36", "--restart=Never", "-n", namespace,
        "--", "sh", "-c", "sleep 0.5; read line; echo got $line", input="this\n", check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("got this\n", 0), done.stderr
    assert "NotFound" in cluster.kubectl("get", "pod", "once", "-n", namespace, check=False).stderr


def test_a_shell_of_a_pod_of_its_own(cluster, namespace):
    words = ("run", "-it", "--rm", "shell", "--image=busybox:1.36", "--restart=Never")
    with terminal(cluster, namespace, *words) as shell:
        shell.expect("try pressing enter")
        shell.sendline("")
        shell.sendline("echo $((6 * 7)) $TERM")
        shell.expect("42 xterm")
        shell.sendline("exit")
        shell.expect('pod "shell" deleted')


def test_two_who_are_attached_see_the_same(cluster, namespace):
    container = {"name": "c", "image": "busybox:1.36", "command": ["cat"], "stdin": True}
    make(cluster, namespace, pod("echo", "sleep 1000") | {"spec": {"containers": [container]}})
    with (
        cluster.kubectl_in_background("attach", "-q", "echo", "-n", namespace) as reader,
        terminal(cluster, namespace, "attach", "-q", "-i", "echo") as writer,
    ):
        while not (line := _line_within(reader, 0.2)):
            writer.sendline("round")
        assert line == "round\n"
    wait(cluster, namespace, "echo", "condition=Ready")  # it goes on
    assert "round" in next(iter(follow(cluster, namespace, "echo")))


def _line_within(process, seconds):
    import select

    return process.stdout.readline() if select.select([process.stdout], [], [], seconds)[0] else ""


def test_a_debugger_sees_the_processes_of_its_target(cluster, namespace):
    options = ("-i", "-q", "box", "--image=busybox:1.36", "--target=c1", "-c", "dbg", "-n", namespace)
    look = "sleep 0.5; tr '\\0' ' ' < /proc/1/cmdline; hostname"
    assert cluster.kubectl("debug", *options, "--", "sh", "-c", look).endswith("sleep 1000 box\n")
    wait(cluster, namespace, "box", "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}=0")
    assert field(cluster, namespace, "box", ".status.containerStatuses[*].restartCount") == "0 0"


def test_ps_shows_every_process_of_the_container_as_busyboxs_does(execute):
    header, *lines = execute("box", "-c", "c0", "--", "ps").stdout.splitlines()
    assert header.split() == ["PID", "USER", "TIME", "COMMAND"]
    assert any(line.split()[0] == "1" and "httpd" in line for line in lines)


# cp


def test_files_are_copied_both_ways(cluster, namespace, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "data").write_bytes(os.urandom(200_000))
    cluster.kubectl("cp", str(tmp_path / "there"), f"{namespace}/box:/tmp/copy", "-c", "c1")
    cluster.kubectl("cp", f"{namespace}/box:/tmp/copy", str(tmp_path / "back"), "-c", "c1")
    assert (tmp_path / "back" / "data").read_bytes() == (tmp_path / "there" / "data").read_bytes()


# clients that know no WebSocket


@pytest.fixture
def spdy(cluster, monkeypatch):
    """kubectl as it was before WebSockets, and as programs in Go still are."""
    for feature in ("REMOTE_COMMAND", "PORT_FORWARD"):
        monkeypatch.setitem(cluster.environment, f"KUBECTL_{feature}_WEBSOCKETS", "false")


def test_over_spdy_output_error_and_exit_code_come_apart(spdy, execute):
    done = execute("box", "-c", "c0", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\ncommand terminated with exit code 3\n", 3)


def test_over_spdy_what_goes_in_comes_out_again(spdy, execute):
    assert execute("-i", "box", "-c", "c0", "--", "cat", input="x" * 300_000).stdout == "x" * 300_000


def test_over_spdy_a_terminal_has_its_size(spdy, cluster, namespace):
    inside = terminal(cluster, namespace, "exec", "-it", "box", "-c", "c0", "--", "sh", "-c", "read x; stty size")
    inside.send("\r")
    inside.expect("31 97")


def test_over_spdy_a_port_is_forwarded(spdy, forwarded):
    assert get(forwarded(8080)).endswith("hello from box\n")


# port-forward and proxy


@pytest.fixture
def forwarded(cluster, namespace):
    """Forward a port of a pod; give where it is to be had."""
    running = []

    def begin(port):
        process = cluster.kubectl_in_background("port-forward", "-n", namespace, "pod/box", f":{port}")
        running.append(process)
        return int(re.search(r"127.0.0.1:(\d+)", process.stdout.readline())[1])

    yield begin
    for each in running:
        each.terminate()
        each.wait()


def get(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_a_forwarded_port_serves_one_connection_after_another(forwarded):
    port = forwarded(8080)
    assert [get(port).endswith("hello from box\n") for _ in range(3)] == [True] * 3


def test_the_python_client_forwards_a_port(api, namespace):
    forward = portforward(api.connect_get_namespaced_pod_portforward, "box", namespace, ports="8080")
    connection = forward.socket(8080)
    connection.setblocking(True)
    connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
    assert b"".join(iter(lambda: connection.recv(65536), b"")).endswith(b"hello from box\n")


def test_a_client_that_offers_no_protocol_forwards_a_port_by_channels(cluster, namespace):
    settings = json.loads(cluster.kubeconfig.read_text())
    url = settings["clusters"][0]["cluster"]["server"].replace("https", "wss")
    header = {"Authorization": f"Bearer {settings['users'][0]['user']['token']}"}
    options = {"header": header, "sslopt": {"ca_certs": cluster.root / "pki" / "ca.crt"}, "timeout": 20}
    url += f"/api/v1/namespaces/{namespace}/pods/box/portforward?ports=8080"

    def heard():
        with closing(websocket.create_connection(url, **options)) as socket:
            assert [socket.recv() for _ in range(2)] == [b"\0\x90\x1f", b"\1\x90\x1f"]
            socket.send_binary(b"\0GET /index.html HTTP/1.0\r\n\r\n")
            return socket.recv().startswith(b"\0HTTP/1.0 200")

    eventually(heard)


def test_a_port_that_nobody_listens_on(cluster, namespace, tmp_path):
    environment = {**cluster.environment, "KUBECONFIG": str(cluster.kubeconfig)}
    process = subprocess.Popen([KUBECTL, "port-forward", "-n", namespace, "pod/box", ":81"], env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    port = int(re.search(r"127.0.0.1:(\d+)", process.stdout.readline())[1])
    with suppress(ConnectionError):
        get(port)
    told = process.stderr.readline()
    process.terminate()
    process.communicate()
    assert re.search("error forwarding port 81 to pod [0-9a-f]{64}, uid : .* connect: connection refused", told)


def test_a_pod_a_node_and_a_dead_port_through_the_proxy(cluster, namespace):
    base = f"/api/v1/namespaces/{namespace}/pods"
    assert cluster.kubectl("get", "--raw", f"{base}/box:8080/proxy/index.html") == "hello from box\n"
    node = field(cluster, namespace, "box", ".spec.nodeName")
    assert cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz") == "ok"
    told = cluster.kubectl("get", "--raw", f"{base}/box:81/proxy/", check=False).stderr
    address = field(cluster, namespace, "box", ".status.podIP")
    assert told == (
        "Error from server (ServiceUnavailable): error trying to reach service: "
        f"dial tcp {address}:81: connect: connection refused\n"
    )


def test_a_service_leads_to_its_pods_when_there_are_any(cluster, namespace):
    cluster.kubectl("create", "service", "clusterip", "box", "--tcp=80:8080", "-n", namespace)
    asked = f"/api/v1/namespaces/{namespace}/services/box:80/proxy/index.html"
    told = cluster.kubectl("get", "--raw", asked, check=False).stderr
    assert told == 'Error from server (ServiceUnavailable): no endpoints available for service "box"\n'
    cluster.kubectl("label", "pod", "box", "app=box", "-n", namespace)
    ready = "--for=jsonpath={.subsets[0].addresses[0].ip}"
    cluster.kubectl("wait", ready, "endpoints/box", "-n", namespace, "--timeout=20s")
    assert cluster.kubectl("get", "--raw", asked) == "hello from box\n"


# endings


def test_an_api_server_that_stops_ends_the_streams(cluster, namespace):
    with cluster.kubectl_in_background("exec", "-n", namespace, "box", "-c", "c0", "--", "sh", "-c", ON) as one:
        assert one.stdout.readline() == "on\n"
        os.kill(cluster.component("api-server")["pid"], signal.SIGTERM)
        assert one.wait(10) == 1
    eventually(lambda: cluster.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok")


def test_what_a_log_cannot_answer_is_refused(cluster, namespace):
    base = f"/api/v1/namespaces/{namespace}/pods/box/log?container=c0&"
    told = cluster.kubectl("get", "--raw", f"{base}tailLines=-1", check=False).stderr
    assert told == (
        'The PodLogOptions "box" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0\n'
    )
