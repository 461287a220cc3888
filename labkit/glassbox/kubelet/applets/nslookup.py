"""nslookup for the tools images: ask the pod's name server, or the one given: nslookup [-type=a|srv|cname|ptr] HOST."""

import ipaddress
import os
import socket
import struct
import sys

TYPES = {"a": 1, "cname": 5, "ptr": 12, "aaaa": 28, "srv": 33}


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    asked = next((word.partition("=")[2].lower() for word in sys.argv[1:] if word.startswith(("-type=", "-q"))), "a")
    if not words or asked not in TYPES:
        print("usage: nslookup [-type=QUERY_TYPE] HOST [SERVER]", file=sys.stderr)
        return 1
    server = words[1] if len(words) > 1 else _configured("nameserver", "127.0.0.1")
    print(f"Server:\t\t{server}\nAddress:\t{server}:53\n")
    names, kind = _candidates(words[0]), TYPES[asked]
    try:
        names, kind = [ipaddress.ip_address(words[0]).reverse_pointer], TYPES["ptr"]
    except ValueError:
        pass
    for name in names:
        try:
            records = _ask(server, name, kind)
        except OSError:
            print(";; connection timed out; no servers could be reached\n", file=sys.stderr)
            return 1
        if records:
            print("\n".join(records) + "\n")
            return 0
    print(f"** server can't find {words[0]}: NXDOMAIN\n")
    return 1


def _candidates(name: str) -> list[str]:
    if name.endswith("."):
        return [name.rstrip(".")]
    return [f"{name}.{domain}" for domain in _configured("search", "").split()] + [name]


def _configured(key: str, default: str) -> str:
    with open("/etc/resolv.conf") as lines:
        for line in lines:
            word, _, value = line.strip().partition(" ")
            if word == key:
                return value
    return default


def _ask(server: str, name: str, kind: int) -> list[str]:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = os.urandom(2) + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect((server, 53))
        asking.send(query)
        answer = asking.recv(4096)
    return _records(answer, len(query))


def _records(answer: bytes, position: int) -> list[str]:
    found = []
    for _ in range(struct.unpack(">H", answer[6:8])[0]):
        name, position = _name(answer, position)
        kind, _, _, length = struct.unpack(">HHIH", answer[position : position + 10])
        found.append(_line(answer, name, kind, position + 10, length))
        position += 10 + length
    return [line for line in found if line]


def _line(answer: bytes, name: str, kind: int, start: int, length: int) -> str:
    if kind == TYPES["a"]:
        return f"Name:\t{name}\nAddress: {socket.inet_ntoa(answer[start : start + length])}"
    if kind == TYPES["srv"]:
        figures = " ".join(map(str, struct.unpack(">HHH", answer[start : start + 6])))
        return f"{name}\tservice = {figures} {_name(answer, start + 6)[0]}"
    words = {TYPES["cname"]: "canonical name", TYPES["ptr"]: "name"}.get(kind)
    return f"{name}\t{words} = {_name(answer, start)[0]}" if words else ""


def _name(answer: bytes, position: int) -> tuple[str, int]:
    """Read a name, which may point to an earlier one; return it and where it ends."""
    labels, end = [], 0
    while size := answer[position]:
        if size >= 0xC0:
            end = end or position + 2
            position = struct.unpack(">H", answer[position : position + 2])[0] & 0x3FFF
            continue
        labels.append(answer[position + 1 : position + 1 + size].decode())
        position += 1 + size
    return ".".join(labels), end or position + 1


sys.exit(main())
