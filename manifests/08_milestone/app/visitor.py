"""A visitor: `visitor.py URL` asks for a page 50 times a second until /tmp/end is there, then says what failed.

Each time it makes a new connection, and it never waits for an answer before it asks again.
"""

import collections
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

URL, RATE = sys.argv[1], 50
BEGUN, END = Path("/tmp/begun"), Path("/tmp/end")
told = collections.Counter()


def visit():
    try:
        with urllib.request.urlopen(URL, timeout=5) as page:
            page.read()
            told["answered"] += 1
            BEGUN.touch()
    except urllib.error.HTTPError as refusal:
        told[f"failed, HTTP {refusal.code}"] += 1
    except OSError:
        told["failed, connection lost"] += 1


visits = []
begin = time.monotonic()
while not END.exists():
    visits.append(threading.Thread(target=visit))
    visits[-1].start()
    time.sleep(max(0, begin + len(visits) / RATE - time.monotonic()))
for each in visits:
    each.join()
for what, count in sorted(told.items()):
    print(f"{what}: {count}")
