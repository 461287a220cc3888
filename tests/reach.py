"""Who reaches what: pods that serve, and ask others, over TCP and UDP; an answer is the address that the server saw."""

import json
import os
import shutil
import subprocess

PORTS = (8080, 8081)  # both over TCP and UDP
SERVE = f"""
import socket, socketserver, threading
class Tcp(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(f"{{NAME}} {{self.client_address[0]}}".encode())
class Udp(socketserver.BaseRequestHandler):
    def handle(self): self.request[1].sendto(f"{{NAME}} {{self.client_address[0]}}".encode(), self.client_address)
class Threading(socketserver.ThreadingTCPServer): allow_reuse_address, request_queue_size = True, 1000
NAME = socket.gethostname()
for port in {PORTS}:
    for server in (Threading(("", port), Tcp), socketserver.UDPServer(("", port), Udp)):
        threading.Thread(target=server.serve_forever).start()
threading.Event().wait()
"""
ASK = """
import json, socket, sys, threading
def ask(protocol, host, port):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as to:
        to.settimeout(float(sys.argv[1]))
        try:
            to.connect((host, int(port)))
            to.send(b"?") if protocol == "udp" else None
            return to.recv(100).decode() or "closed"
        except TimeoutError:
            return "nothing"
        except socket.gaierror:
            return "no such name"
        except OSError as error:
            return "refused" if error.errno in (111, 104, 113, 101) else str(error)
found = {}
def one(target): found[target] = ask(*target.split())
threads = [threading.Thread(target=one, args=(target,)) for target in sys.argv[2:]]
[each.start() for each in threads]; [each.join() for each in threads]
print(json.dumps(found))
"""
PATIENCE = "0.5"  # seconds for an answer


def server(name, image, node=None, labels=None, **spec):
    """A pod that serves on PORTS and from which others can be asked."""
    ports = [{"name": "web", "containerPort": PORTS[0]}, {"name": "other", "containerPort": PORTS[1]}]
    container = {"name": "c", "image": f"python:{image}", "command": ["python", "-c", SERVE], "ports": ports}
    container["readinessProbe"] = {"tcpSocket": {"port": PORTS[1]}, "periodSeconds": 1}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    metadata = {"name": name, "labels": {"app": name, **(labels or {})}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def ask(cluster, namespace, pod, *targets):
    """Ask each target ("tcp ADDRESS PORT") from a pod; return what each answered: "refused", "nothing" or an answer."""
    command = ["exec", pod, "-n", namespace, "--", "python", "-c", ASK, PATIENCE, *targets]
    return json.loads(cluster.kubectl(*command))


def ask_from_outside(cluster, *targets):
    """The same from the cable between the nodes, which is no part of the cluster."""
    machine = (cluster.root / "machine.pid").read_text()
    enter = [shutil.which("nsenter") or "nsenter", "-t", machine, "-n", *(["-U"] if os.getuid() else [])]
    command = [*enter, shutil.which("python3") or "python3", "-c", ASK, PATIENCE, *targets]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
