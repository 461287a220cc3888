"""The store: revisions, history, compaction, what survives."""

import sqlite3

import pytest

from labkit.glassbox.store import Compacted, Future, Mismatch, Store

A, B, LEASE = "/registry/pods/ns/a", "/registry/pods/ns/b", "/registry/leases/ns/node1"
PODS = "/registry/pods/"


class HeldClock:
    """A clock that a test moves."""

    def __init__(self):
        self.time = 1_000_000.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture
def clock():
    return HeldClock()


@pytest.fixture
def store(tmp_path, clock):
    opened = Store(tmp_path / "store.db", clock)
    yield opened
    opened.close()


def values(store, *, revision=None):
    return [row.value for row in store.rows(PODS, revision=revision)[0]]


def test_each_write_takes_the_next_revision(store):
    assert store.append(A, b"1", expect=0).revision == 1
    assert store.append(B, b"1", expect=0).revision == 2
    assert store.append(A, b"2", expect=1).revision == 3


def test_a_write_that_expects_another_revision_is_refused_and_writes_nothing(store):
    store.append(A, b"1", expect=0)
    with pytest.raises(Mismatch) as refused:
        store.append(A, b"2", expect=7)
    assert refused.value.current.revision == 1
    assert (store.revision, store.get(A).value) == (1, b"1")


def test_creating_what_exists_is_refused(store):
    store.append(A, b"1", expect=0)
    with pytest.raises(Mismatch):
        store.append(A, b"1", expect=0)


def test_a_deleted_key_is_gone_and_can_be_created_again(store):
    store.append(A, b"1", expect=0)
    store.append(A, b"1", expect=1, deleted=True)
    assert store.get(A) is None
    assert store.append(A, b"2", expect=0).created == 3


def test_a_list_is_sorted_by_key(store):
    store.append(B, b"b", expect=0)
    store.append(A, b"a", expect=0)
    assert values(store) == [b"a", b"b"]


def test_a_list_at_an_old_revision_shows_that_moment(store):
    store.append(A, b"1", expect=0)
    store.append(B, b"1", expect=0)
    store.append(A, b"2", expect=1)
    store.append(B, b"1", expect=2, deleted=True)
    assert values(store, revision=2) == [b"1", b"1"]
    assert values(store, revision=3) == [b"2", b"1"]
    assert values(store) == [b"2"]


def test_a_page_ends_at_the_limit_and_tells_how_many_follow(store):
    for name in "abcde":
        store.append(f"{PODS}ns/{name}", name.encode(), expect=0)
    rows, beyond = store.rows(PODS, after=f"{PODS}ns/a", limit=2)
    assert ([row.value for row in rows], beyond) == ([b"b", b"c"], 2)


def test_a_prefix_does_not_reach_into_a_namespace_with_a_longer_name(store):
    store.append("/registry/pods/ns/a", b"1", expect=0)
    store.append("/registry/pods/ns-2/a", b"2", expect=0)
    assert [row.value for row in store.rows("/registry/pods/ns/")[0]] == [b"1"]


def test_a_revision_of_the_future_is_refused(store):
    store.append(A, b"1", expect=0)
    with pytest.raises(Future):
        store.rows(PODS, revision=2)


def test_history_tells_every_change_with_what_was_before(store):
    store.append(A, b"1", expect=0)
    store.append(A, b"2", expect=1)
    store.append(A, b"2", expect=2, deleted=True)
    told = [(change.row.revision, change.row.deleted, change.before) for change in store.history(PODS, 0)]
    assert told == [(1, False, None), (2, False, b"1"), (3, True, b"2")]


def test_a_subscriber_is_told_what_lies_under_its_prefix_until_it_ends(store):
    told = []
    end = store.subscribe(PODS, lambda change: told.append(change.row.revision))
    store.append(A, b"1", expect=0)
    store.append(LEASE, b"1", expect=0)
    end()
    store.append(B, b"1", expect=0)
    assert told == [1]


def test_compaction_forgets_what_was_replaced_but_no_live_object(store):
    store.append(A, b"1", expect=0)
    store.append(B, b"1", expect=0)
    store.append(A, b"2", expect=1)
    store.compact(3)
    assert values(store) == [b"2", b"1"]
    with pytest.raises(Compacted):
        store.history(PODS, 2)
    with pytest.raises(Compacted):
        store.rows(PODS, revision=2)
    assert store.history(PODS, 3) == []


def test_compaction_forgets_deleted_objects(store):
    store.append(A, b"1", expect=0)
    store.append(A, b"1", expect=1, deleted=True)
    store.append(B, b"1", expect=0)
    store.compact(3)
    assert store.db.execute("SELECT count(*) FROM revisions").fetchone() == (1,)


def test_a_lease_renewed_for_hours_leaves_the_file_small(tmp_path, clock):
    store = Store(tmp_path / "store.db", clock)
    revision = 0
    for renewal in range(2000):
        revision = store.append(LEASE, b"x" * 500, expect=revision).revision
        clock.time += 10
        if renewal % 30 == 0:
            store.compact(store.revision_at(clock.now() - 300))
    store.close()
    assert (tmp_path / "store.db").stat().st_size < 200_000


def test_two_days_of_leases_and_events_leave_the_file_bounded(tmp_path, clock):
    """Two nodes' leases every ten seconds, an event a minute that lives an hour, compaction every half minute."""
    path, store, sizes = tmp_path / "store.db", Store(tmp_path / "store.db", clock), []
    held = {f"/registry/leases/ns/node{number}": 0 for number in (1, 2)}
    for tick in range(2 * 24 * 360):
        clock.time += 10
        for key, revision in held.items():
            held[key] = store.append(key, b"x" * 500, expect=revision).revision
        if tick % 6 == 0:
            store.append(f"/registry/events/ns/e{tick}", b"y" * 800, expect=0, seconds_to_live=3600)
        if tick % 3 == 0:
            for row in store.expired():
                store.append(row.key, row.value, expect=row.revision, deleted=True)
            store.compact(store.revision_at(clock.now() - 300))
        if tick % 360 == 359:
            sizes.append(path.stat().st_size + path.with_name("store.db-wal").stat().st_size)
    assert max(sizes[3:]) <= 1.2 * sizes[2], sizes
    assert len(store.live) == 2 + 60
    store.close()


def test_a_reader_of_the_file_does_not_hold_up_compaction_nor_compaction_a_reader(tmp_path, store):
    store.append(A, b"1", expect=0)
    store.append(A, b"2", expect=1)
    with sqlite3.connect(f"file:{tmp_path}/store.db?mode=ro", uri=True, timeout=0) as other:
        reading = other.execute("SELECT value FROM revisions ORDER BY revision")
        first = next(reading)
        store.compact(2)
        store.append(A, b"3", expect=2)
        assert [first, *reading] == [("1",), ("2",)]
        assert store.history(PODS, 2)[0].row.value == b"3"


def test_an_object_with_a_time_to_live_is_told_as_expired_when_it_is_over(store, clock):
    store.append(A, b"1", expect=0, seconds_to_live=3600)
    store.append(B, b"1", expect=0)
    assert store.expired() == []
    clock.time += 3601
    assert [row.key for row in store.expired()] == [A]


def test_what_was_appended_is_there_after_opening_again(tmp_path, clock):
    store = Store(tmp_path / "store.db", clock)
    store.append(A, b"1", expect=0, seconds_to_live=10)
    store.append(B, b"1", expect=0)
    store.append(B, b"1", expect=2, deleted=True)
    again = Store(tmp_path / "store.db", clock)  # the first was never closed: as after kill -9
    assert (again.revision, values(again), again.expiring) == (3, [b"1"], store.expiring)


def test_an_old_moment_is_shown_after_opening_again(tmp_path, clock):
    store = Store(tmp_path / "store.db", clock)
    store.append(A, b"1", expect=0)
    store.append(B, b"1", expect=0)
    store.append(A, b"1", expect=1, deleted=True)
    again = Store(tmp_path / "store.db", clock)
    assert values(again, revision=2) == [b"1", b"1"]
    assert values(again) == [b"1"]


def test_a_revision_is_not_used_again_after_compaction_of_the_newest(tmp_path, clock):
    store = Store(tmp_path / "store.db", clock)
    store.append(A, b"1", expect=0)
    store.append(A, b"1", expect=1, deleted=True)
    store.compact(2)
    store.close()
    assert Store(tmp_path / "store.db", clock).append(A, b"1", expect=0).revision == 3


def test_a_student_reads_the_objects_with_sqlite3(tmp_path, clock):
    Store(tmp_path / "store.db", clock).append(A, b'{"metadata":{"name":"a"}}', expect=0)
    with sqlite3.connect(tmp_path / "store.db") as file:
        query = "SELECT json_extract(value, '$.metadata.name') FROM revisions"
        assert file.execute(query).fetchall() == [("a",)]
