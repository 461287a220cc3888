"""wget for the tools images: fetch one URL, as busybox's does it for the options that lessons use."""

import argparse
import os
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request


def main() -> int:
    arguments = _parse()
    url = arguments.url if "://" in arguments.url else f"http://{arguments.url}"
    host = urllib.parse.urlsplit(url).netloc
    if arguments.timeout:
        socket.setdefaulttimeout(arguments.timeout)
    headers = dict(header.split(":", 1) for header in arguments.header)
    data = arguments.post_data.encode() if arguments.post_data is not None else None
    request = urllib.request.Request(url, data, {"User-Agent": "Wget", **headers})
    if not arguments.quiet:
        print(f"Connecting to {host}", file=sys.stderr)
    try:
        with urllib.request.urlopen(request) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        return _fail(f"server returned error: HTTP/1.1 {error.code} {error.reason}")
    except urllib.error.URLError as error:
        return _fail(_reason(error.reason, host))
    except (TimeoutError, OSError) as error:
        return _fail(_reason(error, host))
    return 0 if arguments.spider else _save(body, arguments, url)


def _save(body: bytes, arguments: argparse.Namespace, url: str) -> int:
    path = arguments.output or os.path.basename(urllib.parse.urlsplit(url).path) or "index.html"
    if path == "-":
        sys.stdout.buffer.write(body)
        return 0
    with open(os.path.join(arguments.directory, path), "wb") as file:
        file.write(body)
    if not arguments.quiet:
        print(f"'{path}' saved", file=sys.stderr)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="wget")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-S", "--server-response", action="store_true")
    parser.add_argument("-O", "--output-document", dest="output")
    parser.add_argument("-P", "--directory-prefix", dest="directory", default=".")
    parser.add_argument("-T", "--timeout", type=float, default=0)
    parser.add_argument("-t", "--tries", type=int, default=1)
    parser.add_argument("-Y", "--proxy", default="off")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--post-data")
    parser.add_argument("--spider", action="store_true")
    parser.add_argument("url")
    arguments = sys.argv[1:]
    if arguments and arguments[0].startswith("-qO"):  # -qO- and -qO FILE: what everybody writes
        arguments[:1] = ["-q", f"-O{arguments[0][3:]}"] if arguments[0][3:] else ["-q", "-O"]
    return parser.parse_args(arguments)


def _reason(error: object, host: str) -> str:
    name = host.rpartition("@")[2].partition(":")[0]
    if isinstance(error, socket.gaierror):
        return f"bad address '{name}'"
    if isinstance(error, TimeoutError):
        return "download timed out"
    if isinstance(error, OSError) and error.errno:
        return f"can't connect to remote host ({name}): {os.strerror(error.errno)}"
    return str(error)


def _fail(message: str) -> int:
    print(f"wget: {message}", file=sys.stderr)
    return 1


sys.exit(main())
