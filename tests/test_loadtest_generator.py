"""The generator against a server of known delay that logs arrivals: it is tested before any pod is.

A machine that is busy with other things spoils a measurement. Then the run must say that it is void: that is asserted
instead of the figure.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from labkit.errors import LabError
from labkit.loadtest import runner
from labkit.loadtest.plan import Plan, schedule, shares
from labkit.loadtest.runner import FILES, Load
from labkit.loadtest.samples import Recorder, read, read_folder
from tests.embedded import eventually
from tests.known_server import known_server


def run(plan, **options):
    (done,) = Load(**options).run(plan)
    return done


@pytest.fixture(scope="module")
def stalled(tmp_path_factory):
    """An open run of ten seconds at 1000/s, in which the server did nothing for one; and the server's log."""
    folder = tmp_path_factory.mktemp("stalled")
    with known_server(folder, stall_after=4.0) as server:
        plan = Plan(server.url, steps=((1000, 10),), keep=2000, max_in_flight=2000, seed=1)
        return run(plan), np.array(sorted(server.stop()))


def test_arrivals_are_poissons_or_the_run_is_void(stalled):
    done, log = stalled
    gaps = np.diff([arrived for arrived, _ in log if arrived < log[0, 0] + 3.9])
    assert 0.8 <= gaps.std() / gaps.mean() <= 1.3 or done.void


def test_it_sets_out_in_time_or_the_run_is_void(stalled):
    done, _ = stalled
    assert np.quantile(done.lag, 0.99) < 0.001 or any(why.startswith("lag (p99)") for why in done.void)


def test_a_server_that_stops_for_a_second_shows_in_the_response_as_it_must(stalled):
    done, log = stalled
    intended = np.array(schedule(done.plan))
    assert len(log) == len(intended) == len(done.table)
    truth = np.sort(log[:, 1]) + time.time() - time.monotonic() - done.began - intended
    measured, true = np.quantile(done.response, 0.99), np.quantile(truth, 0.99)
    assert measured == pytest.approx(true, rel=0.05) or (measured > true and done.void)
    assert measured > 0.8


def test_a_closed_loop_does_not_notice(tmp_path):
    with known_server(tmp_path, delay=0.001, stall_after=1.0) as server:
        done = run(Plan(server.url, steps=((1, 3),), clients=2, keep=2))
    assert done.response.max() > 0.9  # two requests met the second
    assert np.quantile(done.response, 0.99) < 0.5  # the 99th percentile has not seen it
    assert done.plan.is_open is False


def test_a_known_delay_is_measured_by_both_clocks(tmp_path):
    with known_server(tmp_path, delay=0.05) as server:
        done = run(Plan(server.url, steps=((100, 2),)))
    assert 0.05 <= np.median(done.service) <= np.median(done.response)
    assert (done.table.connected <= done.table.first_byte).all()
    assert set(done.table.pod) == {"known"}


def test_waiting_behind_the_cap_counts_as_response_and_is_said(tmp_path):
    with known_server(tmp_path, delay=0.03) as server:
        done = run(Plan(server.url, steps=((60, 1),), arrivals="uniform", max_in_flight=1))
    assert done.saturated
    assert np.quantile(done.response, 0.9) > 5 * np.quantile(done.service, 0.5)


def test_kept_connections_are_few_and_new_ones_are_as_many_as_requests(tmp_path):
    with known_server(tmp_path) as server:
        kept = run(Plan(server.url, steps=((200, 1),), keep=4))
        new = run(Plan(server.url, steps=((200, 1),)))
    assert kept.table.connected.notna().sum() <= 4
    assert new.table.connected.notna().all()


# --- what cannot work is counted by its kind ----------------------------------------------------------


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def silent():
    """A port on which connections are taken and nothing is said."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


@pytest.fixture
def untrusted(tmp_path):
    """A TLS port whose certificate nobody has signed but itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem += built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "tls.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_shake_hands, args=(context, server), daemon=True).start()
        yield server.getsockname()[1]


def _shake_hands(context, server):
    while True:
        try:
            peer, _ = server.accept()
        except OSError:
            return
        try:
            context.wrap_socket(peer, server_side=True).close()
        except OSError:
            peer.close()


def errors_of(url, **options):
    return set(run(Plan(url, steps=((20, 1),), **options)).errors)


def test_an_unreachable_target_refuses():
    assert errors_of(f"http://127.0.0.1:{closed_port()}/") == {"refused"}


def test_a_name_that_nobody_knows_is_a_dns_error():
    assert errors_of("http://no-such-host.invalid/") == {"dns"}


def test_a_certificate_that_is_not_trusted_is_a_tls_error(untrusted):
    assert errors_of(f"https://localhost:{untrusted}/") == {"tls"}


def test_a_target_that_never_answers_times_out_and_that_counts_as_a_long_response(silent):
    done = run(Plan(f"http://127.0.0.1:{silent}/", steps=((20, 1),), timeout=0.3))
    assert set(done.errors) == {"timeout"}
    assert done.response.min() >= 0.3


def test_a_rate_that_the_target_cannot_reach_is_offered_and_not_achieved(tmp_path):
    with known_server(tmp_path, delay=0.1) as server:
        done = run(Plan(server.url, steps=((80, 1),), max_in_flight=4))
    assert done.plan.rate == 80
    assert done.achieved < 45
    assert not any(why.startswith("pace") for why in done.void)  # the target's fault, not the generator's


# --- samples stay, whatever happens ----------------------------------------------------------


def test_a_folder_of_samples_reads_as_the_runs_that_wrote_it(tmp_path):
    with known_server(tmp_path) as server:
        plans = [Plan(server.url, steps=((100, 1),), name=name) for name in ("one", "two")]
        done = Load(out=tmp_path / "out").run(*plans)
    again = read_folder(tmp_path / "out")
    assert [each.plan.name for each in again] == ["one", "two"]
    for old, new in zip(done, again, strict=True):
        assert old.table.equals(new.table)


FULL = """
import resource, sys
from pathlib import Path
from labkit.loadtest.plan import Plan
from labkit.loadtest.runner import FILES, Load
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
load = Load(out=Path(sys.argv[1]), tell=lambda line: None)
(run,) = load.run(Plan(sys.argv[2], steps=((2000, 2),), keep=50))
print(len(run.table), load.recorder.problem)
"""


def test_a_file_that_takes_no_more_costs_no_sample_of_this_process_and_keeps_those_it_has(tmp_path):
    with known_server(tmp_path) as server:
        command = [sys.executable, "-c", FULL, str(tmp_path / "out"), server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, _, problem = done.stdout.strip().partition(" ")
    assert "File too large; the samples that are not in it are kept in memory alone" in problem
    (run_on_disk,) = read_folder(tmp_path / "out")
    assert 1000 < len(run_on_disk.table) < int(kept)
    assert "generator that ended without its last line" in run_on_disk.void


def test_a_full_disk_is_named(tmp_path):
    (tmp_path / "samples-000.0.csv").symlink_to("/dev/full")
    recorder = Recorder(tmp_path / "samples-000")
    recorder.take("0," * 100_000 + "\n")
    recorder.close()
    assert "No space left on device" in recorder.problem


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_generator_keeps_its_samples_and_says_that_it_was(tmp_path, sent):
    with known_server(tmp_path) as server:
        (tmp_path / "plans.json").write_text(f"[{Plan(server.url, steps=((200, 60),)).to_json()}]")
        command = [sys.executable, "-m", "labkit.loadtest.generator", str(tmp_path / "plans.json")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(100)]
            process.send_signal(sent)
            lines += process.stdout
    (done,) = read(["".join(lines)])
    assert len(done.table) >= 98
    assert "run that was interrupted" in done.void
    assert process.returncode == 130


def test_shares_of_several_generators_become_one_run(tmp_path):
    with known_server(tmp_path) as server:
        plan = Plan(server.url, steps=((300, 1),), seed=5)
        texts = []
        for share in shares(plan, 2, begin=0):
            (tmp_path / "plans.json").write_text(f"[{share.to_json()}]")
            command = [sys.executable, "-m", "labkit.loadtest.generator", str(tmp_path / "plans.json")]
            environment = {**os.environ, "JOB_COMPLETION_INDEX": str(share.share[0])}
            texts.append(subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout)
    (whole,) = read(texts)
    assert len(whole.table) == len(schedule(plan))
    assert whole.plan.share == (0, 1)
    assert len(whole.facts) == 2


def test_a_line_that_is_not_the_generators_is_passed_over(tmp_path):
    head = "# " + json.dumps({"run": 0, "plan": json.loads(Plan("http://x/").to_json()), "began": 5.0, "late": 0})
    (done,) = read([f"{head}\nDeprecationWarning: something\n0,1000,1100,1200,1300,1400,1500,200,,p,0.1,0.2,0.3\n0,99"])
    assert done.table.to_dict("records") == [{
        "scheduled": 0.001, "woken": 0.0011, "sent": 0.0012, "connected": 0.0013, "first_byte": 0.0014, "done": 0.0015,
        "status": 200.0, "error": "", "pod": "p", "queue": 0.1, "work": 0.2, "cpu": 0.3,
    }]  # fmt: skip


def test_a_folder_without_samples_is_refused(tmp_path):
    with pytest.raises(LabError, match="holds no samples"):
        read_folder(tmp_path)


# --- how it is run ----------------------------------------------------------


def test_the_generators_files_alone_are_enough_for_a_bare_python(tmp_path):
    package = tmp_path / "labkit" / "loadtest"
    package.mkdir(parents=True)
    for name in FILES:
        shutil.copy(Path(runner.__file__).parent / f"{name}.py", package)
    with known_server(tmp_path) as server:
        (tmp_path / "plans.json").write_text(runner.plans_json([Plan(server.url, steps=((50, 1),))]))
        command = [sys.executable, "-S", "-m", "labkit.loadtest.generator", "plans.json"]
        bare = {"PATH": os.defpath}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=bare, check=True)
    (one,) = read([done.stdout])
    assert len(one.table) > 25
    assert one.errors == {}


def labkit(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "labkit", "loadtest", *arguments], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT, **options)  # fmt: skip


def test_the_command_line_tells_both_clocks_and_leaves_a_folder(tmp_path):
    with known_server(tmp_path) as server:
        done = labkit(server.url, "--rate", "50", "--duration", "1s", "--out", str(tmp_path / "out"))
        said, _ = done.communicate()
    assert re.search(r"response p50 [\d.]+ ms .* p99 [\d.]+ ms", said)
    assert re.search(r"[✓∅] \d+ requests: offered 50.0, achieved [\d.]+/s, no errors", said)
    assert done.returncode == (1 if "void:" in said else 0)
    assert {"report.md", "runs.csv", "samples-000.0.csv"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_an_interrupted_command_keeps_and_reports_what_it_has(tmp_path):
    with known_server(tmp_path) as server:
        process = labkit(
            server.url, "--rate", "200", "--duration", "5m", "--out", str(tmp_path), start_new_session=True
        )
        said = process.stdout.readline()
        eventually(lambda: (tmp_path / "samples-000.0.csv").stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "void: run that was interrupted" in said
    assert len(read_folder(tmp_path)[0].table) > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ftp://x"], "✗ plan: url is 'ftp://x', expected http://"),
        (["http://127.0.0.1:1/", "--duration", "soon"], "✗ not a duration"),
        (["http://127.0.0.1:1/", "--arrivals", "bursts"], "expected one of poisson, uniform, trace"),
        (["compare", "/nowhere", "/nowhere"], "✗ /nowhere holds no results"),
    ],
)
def test_the_command_line_refuses_what_it_cannot_do(arguments, message):
    process = labkit(*arguments)
    assert message in process.communicate()[0]
    assert process.returncode == 1
