"""metrics.k8s.io: what nodes and pods use, asked of the kubelets and kept for a few seconds.

Stands for metrics-server, an API server of its own that kube-apiserver aggregates; here it is one module of the one
server. Nothing is asked while nobody asks us. A kubelet that does not answer has no metrics; that is no error.

Left out: custom and external metrics.

Upstream: github.com/kubernetes-sigs/metrics-server pkg/api, pkg/scraper
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.kubelet_proxy import address_of, client_context
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.apiserver.reads import choice, read
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.metrics import GROUP, NODE_METRICS

log = logging.getLogger(__name__)

FRESH = 15.0  # seconds for which an answer is given again, as metrics-server's --metric-resolution
PATIENCE = 10.0  # seconds for a kubelet to answer
SHORTEST_WINDOW = 1.0  # seconds over which a kubelet measures when nobody asked before


@dataclass(frozen=True)
class Scrape:
    """What all kubelets said at one moment: NodeMetrics and PodMetrics."""

    at: float = 0.0
    nodes: list[dict] = field(default_factory=list)
    pods: list[dict] = field(default_factory=list)


class Metrics:
    """Answers requests of the group metrics.k8s.io."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._scrape = Scrape()
        self._asking = asyncio.Lock()

    async def answer(self, request: Request) -> Answer:
        """Return the metrics of one object or of a collection. Raises ApiError 400 or 404."""
        kind, route, chosen = request.resource, request.route, choice(request)
        found = await self._fresh()
        items = found.nodes if kind is NODE_METRICS else found.pods
        items = [each for each in items if not route.namespace or objects.namespace(each) == route.namespace]
        if route.name:
            return Answer(obj=self._one(request, items))
        listed = [each for each in items if chosen.matches(each)]
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": {}}
        return Answer(obj={**head, "items": listed}, is_list=True)

    def _one(self, request: Request, items: list[dict]) -> dict:
        kind, route = request.resource, request.route
        found = next((each for each in items if objects.name(each) == route.name), None)
        if found is None:
            read(self.api.store, REGISTRY.find(kind.plural), route.namespace, route.name)  # 404 for what is not there
            name = f"{route.namespace}/{route.name}" if route.namespace else route.name
            raise errors.not_found(kind.kind.lower(), name, GROUP)
        return {"kind": kind.kind, "apiVersion": kind.api_version, **found}

    async def _fresh(self) -> Scrape:
        async with self._asking:
            now = self.api.clock.now()
            if now - self._scrape.at > FRESH:
                window = now - self._scrape.at
                self._scrape = await self._ask_kubelets(window if window < 6 * FRESH else SHORTEST_WINDOW)
            return self._scrape

    async def _ask_kubelets(self, window: float) -> Scrape:
        import aiohttp

        rows, _ = self.api.store.rows(prefix(REGISTRY.find("nodes"), ""))
        nodes = [orjson.loads(row.value) for row in rows]
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        connector = aiohttp.TCPConnector(ssl=client_context(self.api.kubelets))
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            told = await asyncio.gather(*[self._ask(session, objects.name(node)) for node in nodes])
        known = [(node, summary) for node, summary in zip(nodes, told, strict=True) if summary]
        pods = [pod_metrics(pod, window) for _, summary in known for pod in summary["pods"] if pod["containers"]]
        pods.sort(key=lambda each: (objects.namespace(each), objects.name(each)))
        return Scrape(self.api.clock.now(), [node_metrics(*each, window) for each in known], pods)

    async def _ask(self, session, node: str) -> dict | None:
        try:
            host, port = address_of(self.api, node)
            async with session.get(f"https://{host}:{port}/stats/summary") as answer:
                return orjson.loads(await answer.read()) if answer.status == 200 else None
        except (OSError, TimeoutError, errors.ApiError) as error:
            log.info("no metrics of node %s: %s", node, error)
            return None


def node_metrics(node: dict, summary: dict, window: float) -> dict:
    """Return NodeMetrics from a kubelet's summary: pure."""
    told = summary["node"]
    return {**_head(objects.name(node), "", objects.labels(node), told, window), "usage": usage(told)}


def pod_metrics(pod: dict, window: float) -> dict:
    """Return PodMetrics from a pod's part of a summary: pure."""
    reference = pod["podRef"]
    head = _head(reference["name"], reference["namespace"], pod["labels"], pod, window)
    return {**head, "containers": [{"name": each["name"], "usage": usage(each)} for each in pod["containers"]]}


def usage(section: dict) -> dict[str, str]:
    """Return processor and memory as metrics-server writes them: nanocores and Ki."""
    return {
        "cpu": f"{section['cpu']['usageNanoCores']}n",
        "memory": f"{section['memory']['workingSetBytes'] // 1024}Ki",
    }


def _head(name: str, namespace: str, labels: dict, section: dict, window: float) -> dict:
    at = section["cpu"]["time"]
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": at, "labels": labels}
    shown = {key: value for key, value in metadata.items() if value}
    return {"metadata": shown, "timestamp": at, "window": f"{max(window, SHORTEST_WINDOW):.3f}s"}
