"""The web tier: shows a page, and hands notes to the store. It keeps nothing itself.

    port 8080   GET /          the page; making it takes a tenth of a second
                GET /notes     the store's notes         POST /notes    one more for the store
                POST /hang     makes it hang, for a test
    port 8081   GET /alive     200, unless it hangs      GET /ready     200 when it can work

After its start it needs half a second before it can work. Until then it answers 503.
"""

import socket
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from settings import end_when_told, setting

TITLE, VERSION = setting("TITLE").strip(), setting("VERSION").strip()
STORE_URL, PASSWORD = setting("STORE_URL").strip(), setting("PASSWORD").strip()
READY_AT = time.monotonic() + 0.5
HANGS = threading.Event()


def ask_store(note=None):
    """Fetch the notes, or add one; return status and text."""
    body = note.encode() if note else None
    request = urllib.request.Request(f"{STORE_URL}/notes", body, {"X-Password": PASSWORD.encode()})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return answer.status, answer.read().decode()
    except OSError as error:
        return 502, f"the store does not serve me: {error}\n"


class Web(BaseHTTPRequestHandler):
    def do_GET(self):
        while HANGS.is_set():
            time.sleep(60)
        match self.server.server_port, self.path:
            case (8081, "/alive"):
                self.answer(200, "yes\n")
            case (8081, "/ready") | (8080, "/notes" | "/") if time.monotonic() < READY_AT:
                self.answer(503, "not ready yet\n")
            case (8081, "/ready"):
                self.answer(200, "yes\n")
            case (8080, "/notes"):
                self.answer(*ask_store())
            case (8080, "/"):
                time.sleep(0.1)
                self.answer(200, self.page())
            case _:
                self.answer(404, "no such page\n")

    def page(self):
        return f"{TITLE}, version {VERSION}, served by {socket.gethostname()}\n"

    def do_POST(self):
        note = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/hang":
            self.answer(200, "from now on I hang\n")
            HANGS.set()
        else:
            self.answer(*ask_store(note))

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


end_when_told()
ThreadingHTTPServer.request_queue_size = 128
threading.Thread(target=ThreadingHTTPServer(("", 8081), Web).serve_forever).start()
ThreadingHTTPServer(("", 8080), Web).serve_forever()
