"""An API server under test: the real one, a process of its own, over TLS, in a directory of its own."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from labkit.glassbox import pki

ADMIN = "kubernetes-admin"
USERS = [pki.User(ADMIN, ("system:masters",)), pki.User("student", ("students",))]
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


class ApiServer:
    """A running API server; `kubectl`, `request` and `watch` use it as clients do."""

    def __init__(self, directory: Path, module: str = "labkit.glassbox.apiserver"):
        self.directory, self.module = directory, module
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        listening.close()
        self.url = f"https://127.0.0.1:{self.port}"
        self.pki, self.kubeconfig = directory / "pki", directory / "kubeconfig"
        self.encryption_config = directory / "encryption-config.yaml"
        pki.ensure(self.pki, [pki.Leaf("apiserver", "kube-apiserver", names=("127.0.0.1", "localhost"))], USERS)
        self.kubeconfig.write_text(pki.kubeconfig(self.pki, server=self.url, cluster="test", user=ADMIN))
        self.tls = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        self.process: subprocess.Popen | None = None

    def start(self) -> "ApiServer":
        """Start the process and wait until it answers."""
        command = [sys.executable, "-m", self.module, "--data-dir", str(self.directory)]
        command += ["--secure-port", str(self.port), "--client-ca-file", str(self.pki / "ca.crt")]
        command += ["--tls-cert-file", str(self.pki / "apiserver.crt")]
        command += ["--tls-private-key-file", str(self.pki / "apiserver.key")]
        command += ["--token-auth-file", str(self.pki / pki.TOKENS)]
        command += ["--encryption-provider-config", str(self.encryption_config)]
        command += ["--service-account-signing-key-file", str(self.pki / pki.ACCOUNTS_KEY)]
        self.log = (self.directory / "apiserver.log").open("ab")
        self.process = subprocess.Popen(command, stderr=self.log)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert self.request("GET", "/readyz")[0] == 200
                return self
            except OSError:
                assert time.monotonic() < deadline, (self.directory / "apiserver.log").read_text()
                assert self.process.poll() is None, (self.directory / "apiserver.log").read_text()
                time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(10)
        self.log.close()
        return code

    def log_text(self) -> str:
        return (self.directory / "apiserver.log").read_text()

    def open(self, method, path, body=None, *, user=ADMIN, content_type="application/json", accept="application/json"):
        """Return the open answer; raises HTTPError for a refusal."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method, headers={"Accept": accept})
        if user:
            request.add_header("Authorization", f"Bearer {pki.tokens(self.pki).get(user, user)}")
        if data is not None:
            request.add_header("Content-Type", content_type)
        return urllib.request.urlopen(request, context=self.tls, timeout=20)

    def request(self, method, path, body=None, **options):
        """Return (status, decoded answer)."""
        try:
            with self.open(method, path, body, **options) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, _decoded(refusal.read())

    def kubectl(self, *arguments, stdin=None, check=True) -> str:
        """Run the real kubectl and return what it prints."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.directory)}
        done = subprocess.run(
            [KUBECTL, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + ("" if check else done.stderr)


def _decoded(body: bytes):
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
