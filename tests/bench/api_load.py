"""Loads an API server over keep-alive TLS connections and reports rates: requests a second, milliseconds.

Every loop is bounded by a count or a time, and only the server that the kubeconfig names is contacted.
"""

import asyncio
import base64
import ssl
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import orjson
import yaml

CONNECTIONS = 16
SECONDS = 2.0
OBJECTS = 500


class Connection:
    """One HTTP/1.1 keep-alive connection; a request at a time."""

    def __init__(self, kubeconfig: Path):
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.url, self.token = urlsplit(cluster["server"]), user["token"]
        authority = cluster.get("certificate-authority-data")
        self.tls = ssl.create_default_context(
            cadata=base64.b64decode(authority).decode() if authority else None,
            cafile=cluster.get("certificate-authority"),
        )

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection(
            self.url.hostname, self.url.port, ssl=self.tls, limit=1 << 22
        )
        return self

    def close(self) -> None:
        self.writer.close()

    def send(self, method: str, path: str, body: dict | None, content_type: str) -> None:
        data = b"" if body is None else orjson.dumps(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.url.netloc}\r\nAccept: application/json\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self.writer.write(head.encode() + data)

    async def headers(self) -> tuple[int, dict[bytes, bytes]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        pairs = (line.partition(b":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {key.lower(): value.strip() for key, _, value in pairs}

    async def chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def request(self, method, path, body=None, content_type="application/json") -> tuple[int, bytes]:
        self.send(method, path, body, content_type)
        status, headers = await self.headers()
        if headers.get(b"transfer-encoding") == b"chunked":
            parts = []
            while part := await self.chunk():
                parts.append(part)
            return status, b"".join(parts)
        return status, await self.reader.readexactly(int(headers.get(b"content-length", 0)))


async def rate(connections, request, count=None) -> dict:
    """Send request(i) over all connections, count times or for SECONDS: requests a second, median ms, failures."""
    numbers, end = iter(range(count or 10**9)), time.perf_counter() + (SECONDS if count is None else 600)
    times: list[float] = []
    failures = 0

    async def worker(connection):
        nonlocal failures
        for number in numbers:
            started = time.perf_counter()
            if started >= end:
                return
            status, _ = await connection.request(*request(number))
            times.append(time.perf_counter() - started)
            failures += status >= 400

    began = time.perf_counter()
    await asyncio.gather(*map(worker, connections))
    return {
        "per_second": len(times) / (time.perf_counter() - began),
        "p50_ms": median(times) * 1000,
        "failures": failures,
    }


async def fan_out(kubeconfig: Path, path: str, watchers=16, events=50) -> dict:
    """Median ms from the start of a POST to its arrival at each of the watchers."""
    writer, sent, seen = await Connection(kubeconfig).open(), {}, []
    version = orjson.loads((await writer.request("GET", path + "?limit=1"))[1])["metadata"]["resourceVersion"]

    async def watch(connection):
        connection.send("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=60", None, "application/json")
        await connection.headers()
        watching.append(connection)
        arrived = 0
        while arrived < events:
            for line in (await connection.chunk()).splitlines():
                arrived += 1
                seen.append(time.perf_counter() - sent[orjson.loads(line)["object"]["metadata"]["name"]])
        connection.close()

    watching: list[Connection] = []
    tasks = [asyncio.create_task(watch(await Connection(kubeconfig).open())) for _ in range(watchers)]
    while len(watching) < watchers:
        await asyncio.sleep(0.01)
    for number in range(events):
        name = f"watched-{number}"
        sent[name] = time.perf_counter()
        await writer.request("POST", path, config_map(name))
        await asyncio.sleep(0.02)
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    writer.close()
    return {"p50_ms": median(seen) * 1000, "failures": watchers * events - len(seen)}


def config_map(name: str) -> dict:
    data = {"a": "x" * 200, "b": "y" * 200}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def measure(kubeconfig: Path, namespace: str) -> dict[str, dict]:
    """Return {operation: {"per_second", "p50_ms", "failures"}} for one pass, in a namespace of its own."""
    one = await Connection(kubeconfig).open()
    await one.request("POST", "/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": namespace}})
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    connections = [await Connection(kubeconfig).open() for _ in range(CONNECTIONS)]
    merge = "application/merge-patch+json"
    results = {
        "create": await rate(connections, lambda i: ("POST", path, config_map(f"c-{i}")), OBJECTS),
        "get": await rate(connections, lambda i: ("GET", f"{path}/c-0")),
        "list of 500": await rate(connections, lambda i: ("GET", path)),
        "patch": await rate(
            connections, lambda i: ("PATCH", f"{path}/c-{i % OBJECTS}", {"data": {"a": str(i)}}, merge), OBJECTS
        ),
        "delete": await rate(connections, lambda i: ("DELETE", f"{path}/c-{i}"), OBJECTS),
        "watch, 16 watchers": await fan_out(kubeconfig, path),
    }
    await one.request("DELETE", f"/api/v1/namespaces/{namespace}")
    for connection in (one, *connections):
        connection.close()
    return results
