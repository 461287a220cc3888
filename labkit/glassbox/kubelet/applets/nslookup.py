"""nslookup for the tools images: ask the pod's name server, or the one given, for a name's addresses."""

import os
import socket
import struct
import sys


def main() -> int:
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    if not names:
        print("usage: nslookup HOST [SERVER]", file=sys.stderr)
        return 1
    server = names[1] if len(names) > 1 else _configured("nameserver", "127.0.0.1")
    print(f"Server:\t\t{server}\nAddress:\t{server}:53\n")
    for name in _candidates(names[0]):
        try:
            addresses = _ask(server, name)
        except OSError:
            print(";; connection timed out; no servers could be reached\n", file=sys.stderr)
            return 1
        if addresses:
            print("\n".join(f"Name:\t{name}\nAddress: {address}" for address in addresses) + "\n")
            return 0
    print(f"** server can't find {names[0]}: NXDOMAIN\n")
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


def _ask(server: str, name: str) -> list[str]:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = os.urandom(2) + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect((server, 53))
        asking.send(query)
        answer = asking.recv(4096)
    return _addresses(answer, len(query))


def _addresses(answer: bytes, position: int) -> list[str]:
    found = []
    for _ in range(struct.unpack(">H", answer[6:8])[0]):
        while answer[position] and answer[position] < 0xC0:
            position += answer[position] + 1
        position += 2 if answer[position] else 1
        kind, _, _, length = struct.unpack(">HHIH", answer[position : position + 10])
        position += 10
        if kind == 1:
            found.append(socket.inet_ntoa(answer[position : position + 4]))
        position += length
    return found


sys.exit(main())
