"""schemathesis, which knows nothing of Kubernetes, reads our OpenAPI documents and finds no request that fails us."""

import json
import subprocess
import sys

import pytest

from labkit.glassbox import pki
from tests.api_server import ADMIN
from tests.test_fuzz import ALLOWED, SECONDS, memory

pytestmark = pytest.mark.slow

GROUPS = ("coordination.k8s.io/v1", "node.k8s.io/v1", "policy/v1", "rbac.authorization.k8s.io/v1")
GROUPS += ("networking.k8s.io/v1", "scheduling.k8s.io/v1")
OPTIONS = ["--phases=coverage,fuzzing", "--checks=not_a_server_error", "--seed=1", "--max-examples=10"]
OPTIONS += ["--continue-on-failure", f"--request-timeout={SECONDS}", "--generation-database=none", "--report=json"]


def run(server, group, folder):
    """Let schemathesis loose on a group version; return its report."""
    report = folder / "report.json"
    (folder / "schemathesis.toml").write_text('parameters = { "query.watch" = "false" }')  # a watch does not end
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", *OPTIONS]
    command += [f"--url={server.url}", f"--tls-verify={server.pki / 'ca.crt'}", f"--report-json-path={report}"]
    command += ["-H", f"Authorization: Bearer {pki.tokens(server.pki)[ADMIN]}"]
    document = f"{server.url}/openapi/v3/apis/{group}"
    done = subprocess.run([*command, document], cwd=folder, capture_output=True, text=True, timeout=300)
    assert report.exists(), done.stdout + done.stderr
    return json.loads(report.read_text()) | {"output": done.stdout}


@pytest.mark.timeout(900)
def test_whatever_schemathesis_makes_of_our_documents_is_answered(own_api_server, tmp_path):
    run(own_api_server, GROUPS[0], tmp_path)  # what is loaded and remembered once
    before = memory(own_api_server)
    asked = 0
    for group in GROUPS:
        told = run(own_api_server, group, tmp_path)
        failures = [each for each in told["failures"] if not any(words in json.dumps(each) for words in ALLOWED)]
        assert (failures, told["errors"], told["stop_reason"]) == ([], [], "completed"), told["output"][-9000:]
        assert told["operations"]["tested"] == told["operations"]["total"]
        asked += told["test_cases"]["generated"]
    assert asked > 10_000
    assert memory(own_api_server) - before < 24 << 20
