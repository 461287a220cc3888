"""etcd's part: every change to an object is one more row of one table, under one ever-growing revision.

A row is (revision, key, value): the object as JSON text, as it was after that write, or the object's last state with
`deleted` set. `append` is the one write; create, update and delete differ only in the revision they expect the key to
have. A list or a watch names a revision; both work for any since the last compaction. The file opens with sqlite3:

    SELECT revision, key, value FROM revisions WHERE key LIKE '/registry/pods/%' ORDER BY revision;

The live objects are held in memory too, as bytes, so that reads never touch the file and never encode.

Invariants:
- One process owns the file, one thread uses a Store; so a check and the append after it are one step.
- append returns after the row is in the write-ahead log, by a write() that a `kill -9` of this process cannot undo.
  (A power failure may lose the last moments: the log is flushed to disk at checkpoints only. It never corrupts.)
- A revision is used once, and grows; what a watcher is told is in the file already.
- Compaction keeps the newest row of each live key, so the file does not grow with Leases and Events.

- Only what lies in the file is sealed (encryption at rest): `at_rest` is asked on the way in and out. A sealed value is
  a BLOB. Who seals a key anew seals its older revisions too; `erase_traces` leaves no copy in free space or the log.

Left out: transactions over several keys for requests, and history across processes; nobody needs them.

Upstream: etcd server/storage/mvcc, staging/src/k8s.io/apiserver/pkg/storage/etcd3/store.go
"""

import logging
import sqlite3
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labkit.glassbox.clock import Clock, SystemClock

log = logging.getLogger(__name__)

TABLES = """
CREATE TABLE IF NOT EXISTS revisions (
    revision INTEGER PRIMARY KEY,
    key      TEXT NOT NULL,
    created  INTEGER NOT NULL,           -- revision at which this life of the key began
    previous INTEGER NOT NULL,           -- revision that this one replaced, 0 for a creation
    deleted  INTEGER NOT NULL,           -- 1: the value is the object's last state
    expires  REAL,                       -- seconds since the epoch; NULL: lives until deleted
    at       REAL NOT NULL,              -- when it was written
    value    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_key ON revisions (key, revision);
CREATE TABLE IF NOT EXISTS compaction (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL);
INSERT OR IGNORE INTO compaction VALUES (1, 0);
"""
# NORMAL: no fsync a transaction, see the invariants.
PRAGMAS = ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY")
MARK = b"k8s:enc:"
COLUMNS = "revision, key, created, previous, deleted, expires, value"
LAST_UNICODE = "\U0010ffff"  # sorts after every key that begins with the same prefix


class Mismatch(Exception):
    """The key is not at the expected revision; `current` is the row it is at, None if there is no such key."""

    def __init__(self, current: "Row | None"):
        super().__init__(f"current revision: {current.revision if current else 0}")
        self.current = current


class Compacted(Exception):
    """The revision asked for is older than the last compaction, or lies in the future."""


class Future(Compacted):
    """The revision asked for has not been written yet."""


class Unreadable(Exception):
    """A stored value that no configured key opens."""

    def __init__(self, key: str, why: str):
        super().__init__(f'unable to transform key "{key}": {why}')


class AtRest(Protocol):
    """How values lie in the file: a sealed one begins with its mark, a plain one has none."""

    def mark(self, key: str) -> bytes: ...

    def seal(self, key: str, value: bytes) -> bytes: ...

    def open(self, key: str, data: bytes) -> bytes: ...


class Plain:
    """Values lie in the file as they are."""

    def mark(self, key: str) -> bytes:
        return b""

    def seal(self, key: str, value: bytes) -> bytes:
        return value

    def open(self, key: str, data: bytes) -> bytes:
        return data


@dataclass(frozen=True, slots=True)
class Row:
    """One revision of one key."""

    revision: int
    key: str
    created: int
    previous: int
    deleted: bool
    expires: float | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What a watcher is told: a row, and the value before it (None for a creation)."""

    row: Row
    before: bytes | None


class Store:
    """The revisioned table."""

    def __init__(self, path: Path | str, clock: Clock | None = None, at_rest: AtRest | None = None):
        self.clock, self.at_rest = clock or SystemClock(), at_rest or Plain()
        self.db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        for pragma in PRAGMAS:
            self.db.execute(f"PRAGMA {pragma}")
        self.db.executescript(TABLES)
        self.revision = self._one("SELECT coalesce(max(revision), 0) FROM revisions")
        self.compacted = self._one("SELECT revision FROM compaction")
        self.revision = max(self.revision, self.compacted)
        self.live: dict[str, Row] = {}
        self.keys: dict[str, list[str]] = {}  # collection -> its live keys, sorted
        self.changed: dict[str, int] = {}  # collection -> revision of its last change
        self.expiring: dict[str, float] = {}
        self.listeners: dict[int, tuple[str, Callable[[Change], None]]] = {}
        self.marks: dict[str, bytes] = {}  # of the live keys whose newest value is sealed
        self.unreadable: dict[str, Unreadable] = {}
        self.has_traces = False
        self._load()

    def _one(self, query: str) -> int:
        return self.db.execute(query).fetchone()[0]

    def _load(self) -> None:
        newest = f"SELECT {COLUMNS} FROM revisions r WHERE deleted = 0 AND NOT EXISTS "
        newest += "(SELECT 1 FROM revisions n WHERE n.key = r.key AND n.revision > r.revision)"
        for record in self.db.execute(newest):
            self._note_mark(record[1], mark_of(record[-1]))
            try:
                self._remember(self._row(record))
            except Unreadable as error:
                self.unreadable[record[1]] = error
                self._remember(_row(record, b""))
        self.opened_at = self.revision
        self.changed = {}  # what changed before, deletions among it, only the file knows

    def _remember(self, row: Row) -> None:
        """Bring the live view to this row."""
        collection = collection_of(row.key)
        self.changed[collection] = row.revision
        if row.deleted:
            self.live.pop(row.key, None)
            self.expiring.pop(row.key, None)
            self.marks.pop(row.key, None)
            keys = self.keys[collection]
            del keys[bisect_left(keys, row.key)]
            return
        if row.key not in self.live:
            insort(self.keys.setdefault(collection, []), row.key)
        self.live[row.key] = row
        if row.expires is not None:
            self.expiring[row.key] = row.expires

    # --- writing

    def append(
        self, key: str, value: bytes, *, expect: int, deleted: bool = False, seconds_to_live: float | None = None
    ) -> Row:
        """Write one more revision of key: `self.revision + 1`, which the value may already carry.

        `expect` is the revision that the key is at, 0 if it does not exist. Raises Mismatch.
        """
        current = self.live.get(key)
        if (current.revision if current else 0) != expect:
            raise Mismatch(current)
        now = self.clock.now()
        revision = self.revision + 1
        expires = now + seconds_to_live if seconds_to_live else None
        row = Row(revision, key, current.created if current else revision, expect, deleted, expires, value)
        mark = self.at_rest.mark(key)
        if self.marks.get(key, b"") != mark:
            self._seal_history(key, mark)
        self.db.execute(
            "INSERT INTO revisions VALUES (?,?,?,?,?,?,?,?)",
            (revision, key, row.created, expect, int(deleted), expires, now, self._sealed(key, value)),
        )
        self.revision = revision
        self._note_mark(key, mark)
        self._remember(row)
        self._tell(Change(row, current.value if current else None))
        return row

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is appended meanwhile at once, for a start with many rows. Whoever fails in it must end."""
        self.db.execute("BEGIN")
        yield
        self.db.execute("COMMIT")

    # --- at rest

    def is_stale(self, row: Row) -> bool:
        """Tell whether a live row was sealed otherwise than it would be now, so that writing it changes something."""
        return self.marks.get(row.key, b"") != self.at_rest.mark(row.key)

    def erase_traces(self) -> None:
        """Rewrite the file and empty the log, if values lie there that have been sealed since."""
        if self.has_traces:
            self.db.execute("VACUUM")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.has_traces = False

    def _sealed(self, key: str, value: bytes) -> bytes | str:
        data = self.at_rest.seal(key, value)
        return data if data.startswith(MARK) else data.decode()

    def _seal_history(self, key: str, mark: bytes) -> None:
        """Seal what the file has of a key as it is sealed from now on; what cannot be opened stays."""
        found = self.db.execute("SELECT revision, value FROM revisions WHERE key = ?", (key,)).fetchall()
        for revision, data in found:
            if mark_of(data) == mark:
                continue  # of an earlier life of the key
            try:
                sealed = self._sealed(key, self._opened(key, data))
            except Unreadable:
                continue
            self.db.execute("UPDATE revisions SET value = ? WHERE revision = ?", (sealed, revision))
            self.has_traces = True

    def _opened(self, key: str, data: bytes | str) -> bytes:
        return self.at_rest.open(key, data if isinstance(data, bytes) else data.encode())

    def _note_mark(self, key: str, mark: bytes) -> None:
        self.unreadable.pop(key, None)
        if mark:
            self.marks[key] = mark
        else:
            self.marks.pop(key, None)

    # --- reading

    def get(self, key: str) -> Row | None:
        """Return the live row of key. Raises Unreadable."""
        if key in self.unreadable:
            raise self.unreadable[key]
        return self.live.get(key)

    def rows(
        self, prefix: str, *, after: str = "", limit: int = 0, revision: int | None = None
    ) -> tuple[list[Row], int]:
        """Return the rows whose keys begin with prefix and sort after `after`, and how many lie beyond the limit.

        Raises Compacted, Future, or Unreadable.
        """
        if (
            revision is None
            or revision == self.revision
            or self.changed.get(collection_of(prefix), self.opened_at) <= revision
        ):
            if revision is not None:
                self._check(revision)
            keys = self._keys(prefix, after)
            chosen = keys[:limit] if limit else keys
            for key in self.unreadable.keys() & chosen:
                raise self.unreadable[key]
            return [self.live[key] for key in chosen], len(keys) - len(chosen)
        rows = self._rows_at(prefix, after, revision)
        return (rows[:limit], max(0, len(rows) - limit)) if limit else (rows, 0)

    def _keys(self, prefix: str, after: str) -> list[str]:
        keys = self.keys.get(collection_of(prefix), [])
        first = bisect_right(keys, after) if after > prefix else bisect_left(keys, prefix)
        return keys[first : bisect_left(keys, prefix + LAST_UNICODE)]

    def _rows_at(self, prefix: str, after: str, revision: int) -> list[Row]:
        self._check(revision)
        query = f"""SELECT {COLUMNS} FROM revisions WHERE deleted = 0 AND revision IN
            (SELECT max(revision) FROM revisions WHERE key > ? AND key < ? AND revision <= ? GROUP BY key)
            ORDER BY key"""
        found = self.db.execute(query, (max(prefix, after), prefix + LAST_UNICODE, revision))
        return [self._row(record) for record in found]

    def _check(self, revision: int) -> None:
        if revision < self.compacted:
            raise Compacted
        if revision > self.revision:
            raise Future

    def history(self, prefix: str, since: int) -> list[Change]:
        """Return every change under prefix after revision `since`, oldest first. Raises Compacted."""
        if since < self.compacted:
            raise Compacted
        query = f"SELECT {COLUMNS} FROM revisions WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision"
        rows = [self._row(record) for record in self.db.execute(query, (since, prefix, prefix + LAST_UNICODE))]
        return [Change(row, self._value_at(row.key, row.previous)) for row in rows]

    def _value_at(self, key: str, revision: int) -> bytes | None:
        found = self.db.execute("SELECT value FROM revisions WHERE revision = ?", (revision,)).fetchone()
        return self._opened(key, found[0]) if found else None

    def _row(self, record: tuple) -> Row:
        return _row(record, self._opened(record[1], record[-1]))

    # --- watching

    def subscribe(self, prefix: str, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call listener with every change under prefix from now on; returns what ends that.

        The listener is called inside append and must only put the change aside.
        """
        token = max(self.listeners, default=0) + 1
        self.listeners[token] = (prefix, listener)
        return lambda: self.listeners.pop(token, None) and None

    def _tell(self, change: Change) -> None:
        key = change.row.key
        for prefix, listener in list(self.listeners.values()):
            if key.startswith(prefix):
                listener(change)

    # --- forgetting

    def revision_at(self, moment: float) -> int:
        """Return the newest revision written before that moment, the compacted one if there is none."""
        found = self.db.execute("SELECT max(revision) FROM revisions WHERE at < ?", (moment,)).fetchone()[0]
        return max(found or 0, self.compacted)

    def compact(self, revision: int) -> None:
        """Forget all that reads at `revision` or later cannot see."""
        if revision <= self.compacted:
            return
        superseded = """DELETE FROM revisions WHERE revision <= ? AND (deleted = 1 OR EXISTS
            (SELECT 1 FROM revisions n WHERE n.key = revisions.key AND n.revision > revisions.revision
             AND n.revision <= ?))"""
        self.db.execute("BEGIN")
        self.db.execute(superseded, (revision, revision))
        self.db.execute("UPDATE compaction SET revision = ?", (revision,))
        self.db.execute("COMMIT")
        self.compacted = revision
        self.db.execute("PRAGMA incremental_vacuum")

    def expired(self) -> list[Row]:
        """Return the rows whose time to live is over; their owner deletes them."""
        now = self.clock.now()
        return [self.live[key] for key, expires in self.expiring.items() if expires <= now]

    def close(self) -> None:
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()


def collection_of(key: str) -> str:
    """Return "/registry/pods/" for every key of a pod, and for every prefix of pods' keys."""
    return key[: key.index("/", len("/registry/")) + 1]


def mark_of(data: bytes | str) -> bytes:
    """Return the mark that a sealed value begins with, as in `k8s:enc:aescbc:v1:key1:`."""
    if isinstance(data, str) or not data.startswith(MARK):
        return b""
    return b":".join(data.split(b":", 5)[:5]) + b":"


def _row(record: tuple, value: bytes) -> Row:
    revision, key, created, previous, deleted, expires, _ = record
    return Row(revision, key, created, previous, bool(deleted), expires, value)
