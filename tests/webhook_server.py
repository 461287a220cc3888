"""A webhook server: HTTPS from the standard library, whose answers are rules over the object that it is asked about.

    python webhook_server.py CERTIFICATE_AND_KEY [PORT]

/deny refuses what has the label `bad`; /label adds a label; /count adds one to an annotation; /warn warns; /slow never
answers; /odd answers for another review; /patch-of-validating patches where it may not; /broken answers 500.
"""

import base64
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ASKED = []


def patched(*operations):
    patch = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": patch}


def deny(request):
    labels = ((request["object"] or request["oldObject"])["metadata"].get("labels")) or {}
    if "bad" not in labels:
        return {"allowed": True}
    return {"allowed": False, "status": {"code": 403, "reason": "Forbidden", "message": "bad is bad"}}


def label(request):
    labels = request["object"]["metadata"].get("labels") or {}
    return patched({"op": "add", "path": "/metadata/labels", "value": {**labels, "hooked": "yes"}})


def count(request):
    held = request["object"]["metadata"].get("annotations") or {}
    value = {**held, "count": str(int(held.get("count", 0)) + 1)}
    return patched({"op": "add", "path": "/metadata/annotations", "value": value})


def slow(request):
    threading.Event().wait(10)


ANSWERS = {
    "/deny": deny,
    "/label": label,
    "/count": count,
    "/warn": lambda request: {"allowed": True, "warnings": ["mind the gap"]},
    "/no": lambda request: {"allowed": False},
    "/odd": lambda request: {"allowed": True, "uid": "other"},
    "/patch": lambda request: patched({"op": "remove", "path": "/none"}),
    "/slow": slow,
}


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request, path = review["request"], self.path.partition("?")[0]
        ASKED.append((path, request))
        if path == "/broken":
            self.send_error(500, "out of order")
            return
        response = {"uid": request["uid"], **(ANSWERS[path](request) or {})}
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass  # who asked waits no longer

    def log_message(self, *arguments):
        pass


def serve(pair, address="127.0.0.1", port=0):
    """Return a server that listens; its loop is still to be run."""
    server = ThreadingHTTPServer((address, port), Hook)
    server.daemon_threads = True
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    return server


if __name__ == "__main__":
    serve(sys.argv[1], "0.0.0.0", int(sys.argv[2])).serve_forever()
