"""httpd for the tools images: serve a directory, as in httpd -f -p 8080 -h /www."""

import argparse
import functools
import http.server
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="httpd", add_help=False)
    parser.add_argument("-f", dest="foreground", action="store_true")
    parser.add_argument("-v", dest="verbose", action="count")
    parser.add_argument("-p", dest="port", default="80")
    parser.add_argument("-h", dest="home", default=".")
    options = parser.parse_args()
    host, _, port = options.port.rpartition(":")
    if not options.foreground and os.fork():
        return 0
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=options.home)
    try:
        server = http.server.ThreadingHTTPServer((host, int(port)), handler)
    except OSError as error:
        print(f"httpd: bind: {error.strerror}", file=sys.stderr)
        return 1
    server.serve_forever()
    return 0


sys.exit(main())
