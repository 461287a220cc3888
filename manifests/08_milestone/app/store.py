"""The store: keeps notes in the file /data/notes, for whoever knows the password.

    GET /notes    all notes, a line each        POST /notes    one more

The password comes in the header X-Password; who has another gets 403.
"""

import hmac
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from settings import end_when_told, setting

NOTES = Path("/data/notes")
PASSWORD = setting("PASSWORD").strip().encode()


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.may_pass():
            self.answer(200, NOTES.read_text() if NOTES.exists() else "")

    def do_POST(self):
        note = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.may_pass():
            with NOTES.open("a") as file:
                file.write(note.strip() + "\n")
            self.answer(201, "kept\n")

    def may_pass(self):
        """Let in who knows the password; tell the others."""
        known = hmac.compare_digest(self.headers.get("X-Password", "").encode("latin-1"), PASSWORD)
        if not known:
            self.answer(403, "wrong password\n")
        return known

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


end_when_told()
NOTES.parent.mkdir(exist_ok=True)
ThreadingHTTPServer(("", 8080), Store).serve_forever()
