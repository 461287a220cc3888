"""Container logs: how they are written, and what of them is shown."""

import pytest

from labkit.glassbox.kubelet.log_writer import MAX_LINE, LogWriter, rfc3339_nano, split
from labkit.glassbox.kubelet.logs import LogOptions, LogReader
from labkit.glassbox.kubelet.runtime import Container
from labkit.glassbox.kubelet.server import LogError, choose, remembered

SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path):
    writer = LogWriter(tmp_path / "web" / "0.log")
    for second, line in enumerate((b"one\n", b"two\n", b"three\n")):
        writer.write("stdout", line, second * SECOND)
    writer.close()
    return tmp_path / "web" / "0.log"


def shown(path, **options):
    reader = LogReader(path, LogOptions(**options))
    text = b"".join(reader.read())
    reader.close()
    return text.decode()


def test_an_entry_is_a_date_a_stream_a_tag_and_the_line(path):
    assert path.read_text().splitlines()[1] == "1970-01-01T00:00:01Z stdout F two"


def test_dates_have_nanoseconds_without_trailing_zeros():
    assert rfc3339_nano(1_500_000_000) == "1970-01-01T00:00:01.5Z"
    assert rfc3339_nano(1_000_000_001) == "1970-01-01T00:00:01.000000001Z"


def test_the_whole_log(path):
    assert shown(path) == "one\ntwo\nthree\n"


@pytest.mark.parametrize(("tail", "text"), [(0, ""), (1, "three\n"), (2, "two\nthree\n"), (9, "one\ntwo\nthree\n")])
def test_tail(path, tail, text):
    assert shown(path, tail=tail) == text


def test_since(path):
    assert shown(path, since=1.0) == "two\nthree\n"


def test_limit_bytes(path):
    assert shown(path, limit=5) == "one\nt"


def test_timestamps(path):
    assert shown(path, timestamps=True, tail=1) == "1970-01-01T00:00:02Z three\n"


def test_output_without_a_last_newline_is_shown_as_it_was(tmp_path):
    writer = LogWriter(tmp_path / "0.log")
    writer.write("stdout", b"no newline", 0)
    writer.finish("stdout", 0)
    assert shown(tmp_path / "0.log") == "no newline"


def test_a_long_line_is_cut_in_the_file_and_whole_when_shown(tmp_path):
    line = b"x" * (2 * MAX_LINE + 5)
    entries, rest = split(line + b"\n")
    assert [tag for tag, _ in entries] == [b"P", b"P", b"F"]
    assert rest == b""
    writer = LogWriter(tmp_path / "0.log")
    writer.write("stdout", line + b"\n", 0)
    assert shown(tmp_path / "0.log") == line.decode() + "\n"


def test_a_log_stays_small_and_a_reader_goes_on_in_the_new_file(tmp_path):
    path = tmp_path / "0.log"
    writer = LogWriter(path, max_file=100)
    writer.write("stdout", b"first\n", 0)
    reader = LogReader(path, LogOptions(follow=True))
    assert b"".join(reader.read()) == b"first\n"
    for number in range(20):
        writer.write("stdout", b"line %d\n" % number, 0)
    assert b"".join(reader.read()).endswith(b"line 19\n")
    assert path.stat().st_size <= 100


def test_five_files_are_kept(tmp_path):
    writer = LogWriter(tmp_path / "0.log", max_file=100)
    for number in range(100):
        writer.write("stdout", b"line %d\n" % number, 0)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0.log", *(f"0.log.{number}" for number in range(1, 5))]


def test_a_reader_that_follows_loses_nothing_when_several_files_came_since(tmp_path):
    writer = LogWriter(tmp_path / "0.log", max_file=100)
    writer.write("stdout", b"line 0\n", 0)
    reader = LogReader(tmp_path / "0.log", LogOptions(follow=True))
    for number in range(1, 10):
        writer.write("stdout", b"line %d\n" % number, 0)
    assert b"".join(reader.read()) == b"".join(b"line %d\n" % number for number in range(10))


def attempt(number, **state):
    return Container("c", number, f"id{number}", "i", "i", f"{number}.log", **state)


def test_a_container_that_is_only_planned_has_no_log_yet():
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    ended = attempt(0, started_at=1.0, exit_code=0)
    assert choose(pod, "c", {"c": (ended, attempt(1))}, LogOptions()) == ended
    with pytest.raises(LogError, match=r'^container "c" in pod "p" is waiting to start: ContainerCreating$'):
        choose(pod, "c", {"c": (attempt(0),)}, LogOptions())


def test_what_had_ended_before_the_node_started_anew_still_has_its_log(tmp_path):
    ended = {"containerID": "glassbox://abc", "exitCode": 0, "startedAt": "2026-01-01T00:00:00Z"}
    status = {"name": "c", "restartCount": 2, "image": "i", "imageID": "d", "state": {"terminated": ended}}
    waits = {
        "name": "w",
        "restartCount": 1,
        "image": "i",
        "imageID": "",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    }
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}, {"name": "w"}]}}
    found = remembered({**pod, "status": {"containerStatuses": [status, waits]}}, tmp_path)
    assert choose(pod, "c", found, LogOptions()).log == str(tmp_path / "c" / "2.log")
    with pytest.raises(LogError):
        choose(pod, "w", found, LogOptions())
