"""Our API answers as a recorded one did, but for the differences that recordings_differences.yaml names with reasons.

Exchanges about kinds that are not served yet are left out by themselves. `python -m tests.test_recordings` prints what
differs.
"""

import base64
import json
import re
import sys
import tempfile
from pathlib import Path

import pytest
import urllib3
import yaml

from tests import recordings
from tests.embedded import RecordedCluster

FOLDER = Path(__file__).parents[2] / "shared" / "golden" / "http"
DIFFERENCES = Path(__file__).parent / "recordings_differences.yaml"
FILES = sorted(FOLDER.glob("*.json"))
WITH_MANAGERS = {"14_server_side_apply"}
WITH_VENDOR = {"18_tables"}  # whose counts include the ConfigMap that the recorded vendor gives each namespace


def known(stem: str) -> dict[str, dict]:
    """Return exchange → its group (reason, and whether the difference depends on timing) for one file."""
    groups = yaml.safe_load(DIFFERENCES.read_text()) or []
    return {name: group for group in groups for name in group["exchanges"].get(stem, [])}


def differences(cluster, path: Path) -> dict[str, str]:
    """Replay one file; return exchange → first difference."""
    config = json.loads(cluster.kubeconfig.read_text())
    server, own = config["clusters"][0]["cluster"], cluster.home / "pki"
    authority = base64.b64decode(server["certificate-authority-data"]).decode()
    pool = urllib3.PoolManager(ca_cert_data=authority, retries=False)
    administrator = urllib3.PoolManager(
        ca_cert_data=authority, cert_file=str(own / "admin.crt"), key_file=str(own / "admin.key"), retries=False
    )
    credentials = {"anonymous": {}, "wrong token": {"Authorization": "Bearer wrong"}}
    replay = recordings.Replay(
        server["server"], credentials, (administrator, pool),
        tells_managers=path.stem in WITH_MANAGERS, vendor=path.stem in WITH_VENDOR,
    )  # fmt: skip
    found = {}
    for exchange in recordings.load(path):
        who = exchange["request"].get("auth", "")
        if who not in credentials and (account := re.match(r"service account (\w+)", who)):
            token = replay.tokens.get(account[1])
            token = token or cluster.kubectl("create", "token", account[1], "-n", f"golden-{path.stem[:2]}").strip()
            credentials[who] = {"Authorization": f"Bearer {token}"}
        known = who in credentials or who in recordings.ADMINISTRATOR
        if known and (difference := replay.difference(exchange)):
            found[exchange["name"]] = difference
    replay.clean_up()
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A cluster prepared as the recorded one was."""
    with RecordedCluster(tmp_path_factory.mktemp("labkit")) as running:
        yield running


@pytest.mark.recordings
@pytest.mark.cluster
@pytest.mark.parametrize("path", FILES or [None], ids=lambda path: path.stem if path else "absent")
def test_answers_are_those_of_the_recording(recorded, path):
    if path is None:
        pytest.skip("no recordings beside the repository (../shared/golden/http)")
    found, expected = differences(recorded, path), known(path.stem)
    new = {name: difference for name, difference in found.items() if name not in expected}
    assert not new, "answers that differ from the recording:\n" + "\n".join(f"  {n}: {d}" for n, d in new.items())
    gone = [name for name, group in expected.items() if name not in found and not group.get("timing")]
    assert not gone, f"no longer different, so take them off the list: {gone}"


def test_each_difference_has_a_reason():
    for group in yaml.safe_load(DIFFERENCES.read_text()) or []:
        assert len(group["reason"].split()) >= 4, group


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, RecordedCluster(Path(home)) as running:
        for path in FILES:
            if len(sys.argv) > 1 and not any(path.stem.startswith(number) for number in sys.argv[1:]):
                continue
            for name, difference in differences(running, path).items():
                print(f"{path.stem} | {name} | {difference}")
