"""Our API answers as a recorded one did, but for the differences that recordings_differences.yaml names with reasons.

`python -m tests.test_recordings 01` prints what differs in the recordings whose names begin so.
"""

import base64
import json
import re
import sys
import tempfile
from pathlib import Path

import pytest
import urllib3

from tests import known_differences, recordings
from tests.embedded import RecordedCluster

FOLDER = Path(__file__).parents[2] / "shared" / "golden" / "http"
FILES = sorted(FOLDER.glob("*.json"))


def differences(cluster, path: Path) -> dict[str, list[str]]:
    """Replay one file; return exchange → what differs."""
    config = json.loads(cluster.kubeconfig.read_text())
    server, own = config["clusters"][0]["cluster"], cluster.home / "pki"
    authority = base64.b64decode(server["certificate-authority-data"]).decode()
    pool = urllib3.PoolManager(ca_cert_data=authority, retries=False)
    administrator = urllib3.PoolManager(
        ca_cert_data=authority, cert_file=str(own / "admin.crt"), key_file=str(own / "admin.key"), retries=False
    )
    credentials: dict[str, dict] = {}
    replay = recordings.Replay(path.stem, server["server"], credentials, (administrator, pool))
    found, known = {}, known_differences.of(f"http/{path.stem}")
    for exchange in recordings.load(path):
        who = exchange["request"].get("auth", "")
        if who not in credentials and (account := re.match(r"service account (\w+)", who)):
            token = replay.tokens.get(account[1])
            token = token or cluster.kubectl("create", "token", account[1], "-n", f"golden-{path.stem[:2]}").strip()
            credentials[who] = {"Authorization": f"Bearer {token}"}
        if difference := replay.differences(exchange, exchange["name"] in known):
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
    known_differences.hold(f"http/{path.stem}", differences(recorded, path))


def test_the_list_of_differences_only_shrinks():
    listed = known_differences.read()
    assert len(listed) == len({(each.recording, each.name) for each in listed}) <= known_differences.MOST


def test_each_difference_has_a_reason():
    assert all(len(each.reason.split()) >= 6 for each in known_differences.read())


def test_what_is_listed_was_recorded():
    if not FILES:
        pytest.skip("no recordings beside the repository (../shared/golden)")
    for each in known_differences.read():
        (text,) = [path.read_text() for path in FOLDER.parent.glob(f"{each.recording}.*")]
        assert json.dumps(each.name) in text or f"$ {each.name}\n" in text, each


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, RecordedCluster(Path(home)) as running:
        for path in FILES:
            if len(sys.argv) == 1 or path.stem.startswith(tuple(sys.argv[1:])):
                for name, lines in differences(running, path).items():
                    print(f"=== {path.stem} | {name}", *lines, sep="\n    ", flush=True)
