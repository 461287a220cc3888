"""The Kubernetes API as a lesson uses it: plain dicts over the official Python client's connection.

The official client (`kubernetes`) reads the kubeconfig with all its ways to log in and holds the TLS connections; its
generated models are left aside, since a lesson shows the JSON that kubectl shows. Importing it takes over a second,
so it is imported when the first connection is made, not with the kit.

Reads: any resource that the cluster serves, found by discovery. Writes: only what the kit itself needs.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from labkit.errors import ApiFailure, ClusterError, LabError

Object = dict[str, Any]
Objects = list[Object]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
POOL = 64  # connections that are kept: each open watch has one, and a lesson may show several views


@dataclass(frozen=True)
class Kind:
    """One resource that the cluster serves."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """As an object names it: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def names(self) -> set[str]:
        """Return what a user may call it, lower case: pods, pod, po, deployments.apps …"""
        plain = {self.plural, self.singular, self.kind.lower(), *self.short_names}
        return plain | ({f"{name}.{self.group}" for name in plain} if self.group else set())

    def path(self, namespace: str | None, name: str = "") -> str:
        """Return the URL path of the collection, or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")


class Api:
    """A connection to one cluster; every method raises ApiFailure, or ClusterError when nobody answers."""

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        self.kubeconfig, self.context = kubeconfig, context
        self._client = _client(kubeconfig, context)
        self._kinds: list[Kind] = []
        self._groups_known = False

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._client.configuration.host

    def kind(self, name: str) -> Kind:
        """Find a resource by plural, singular, kind or short name; raises ClusterError when it is not served."""
        wanted = name.lower()
        for known in (False, True):
            if known and not self._discover_next():
                break
            if not self._kinds:
                self._kinds = kinds_of(self.request("GET", "/api", accept=AGGREGATED))
            for kind in self._kinds:
                if wanted in kind.names():
                    return kind
        raise ClusterError(
            f"the cluster does not serve a resource named {name!r}",
            expected="a resource name as kubectl takes it, e.g. pods or deployments.apps",
            next_step="list what there is: kubectl api-resources",
        )

    def kinds(self) -> list[Kind]:
        """Return every resource that the cluster serves, each in its preferred version."""
        self._kinds = self._kinds or kinds_of(self.request("GET", "/api", accept=AGGREGATED))
        self._discover_next()
        return self._kinds

    def _discover_next(self) -> bool:
        """Read the named groups too, once: most lessons need the core group alone."""
        if self._groups_known:
            return False
        self._kinds += kinds_of(self.request("GET", "/apis", accept=AGGREGATED))
        self._groups_known = True
        return True

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """Return the object, or None when there is none of that name."""
        try:
            return self.request("GET", self.kind(resource).path(namespace, name))
        except ApiFailure as failure:
            if failure.code == 404:
                return None
            raise

    def list(self, resource: str, namespace: str | None = None, **selectors: str) -> Object:
        """Return the list, each item with its kind as kubectl shows it; selectors: label_selector, field_selector."""
        kind = self.kind(resource)
        found = self.request("GET", kind.path(namespace), query=_selectors(selectors))
        found["items"] = [{"apiVersion": kind.api_version, "kind": kind.kind, **o} for o in found.get("items") or []]
        return found

    def items(self, resource: str, namespace: str | None = None, **selectors: str) -> Objects:
        """Return the objects alone, sorted by namespace and name so that every run shows the same order."""
        found = self.list(resource, namespace, **selectors)["items"]
        return sorted(found, key=lambda o: (o["metadata"].get("namespace", ""), o["metadata"]["name"]))

    def create(self, resource: str, obj: Object, namespace: str | None = None) -> Object:
        """Create the object and return it as stored."""
        return self.request("POST", self.kind(resource).path(namespace), body=obj)

    def merge(self, resource: str, name: str, change: Object, namespace: str | None = None) -> Object:
        """Merge a change into the object (RFC 7386) and return it as stored."""
        path, content_type = self.kind(resource).path(namespace, name), "application/merge-patch+json"
        return self.request("PATCH", path, body=change, content_type=content_type)

    def delete(self, resource: str, name: str, namespace: str | None = None, *, grace: int | None = None) -> None:
        """Ask for the deletion of one object, or of the whole collection when name is empty; gone already is fine."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", self.kind(resource).path(namespace, name), body=options)
        except ApiFailure as failure:
            if failure.code != 404:
                raise

    def scale(self, resource: str, name: str, namespace: str, replicas: int) -> None:
        """Ask for so many replicas, as kubectl scale does."""
        body, kind = {"spec": {"replicas": replicas}}, "application/merge-patch+json"
        self.request("PATCH", self.kind(resource).path(namespace, name) + "/scale", body=body, content_type=kind)

    def watch(self, resource: str, namespace: str | None, *, since: str, seconds: float, **selectors: str) -> "Stream":
        """Return the stream of changes from now on, for at most so many seconds."""
        query = _selectors(selectors) | {
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        return Stream(self._send("GET", self.kind(resource).path(namespace), query, timeout=seconds + 5))

    def logs(self, pod: str, namespace: str, seconds: float) -> Iterator[str]:
        """Follow the log of a pod's only container, line by line, until it ends; for at most so long without a line."""
        path = self.kind("pods").path(namespace, pod) + "/log"
        response = self._send("GET", path, {"follow": "true"}, accept="*/*", timeout=seconds)
        try:
            for line in _lines(response):
                yield line.decode(errors="replace")
        finally:
            response.close()

    def request(self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None,
                accept: str = "application/json", content_type: str = "application/json") -> Object:  # fmt: skip
        """Send one request and return the JSON answer."""
        response = self._send(method, path, query or {}, body, accept, content_type)
        return json.loads(response.data)

    def _send(self, method: str, path: str, query: dict[str, str], body: Any = None, accept: str = "application/json",
              content_type: str = "application/json", timeout: float = READ_SECONDS) -> Any:  # fmt: skip
        import urllib3

        url = path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "labkit"}
        call = self._client.param_serialize(
            method, url, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response = self._client.call_api(*call, _request_timeout=(CONNECT_SECONDS, timeout)).response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(self.server, error) from None
        if response.status >= 400:
            raise _refusal(response)
        return response


class Stream:
    """A watch that is open: yields (type, object) as changes come; its end, whoever brings it, ends the loop."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        try:
            for line in _lines(self._response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiFailure(event["object"])
                yield event["type"], event["object"]
        finally:
            self._response.close()

    def end(self) -> None:
        """End the loop that another thread waits in."""
        with suppress(OSError, RuntimeError, ValueError):  # it has ended meanwhile
            self._response.shutdown()


def kinds_of(discovery: Object) -> list[Kind]:
    """Read an APIGroupDiscoveryList: each group's preferred (first) version of each resource."""
    found: dict[tuple[str, str], Kind] = {}
    for group in discovery.get("items") or []:
        group_name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions") or []:
            for r in version.get("resources") or []:
                kind = Kind(
                    group=group_name,
                    version=version["version"],
                    plural=r["resource"],
                    singular=r.get("singularResource") or r["resource"],
                    kind=(r.get("responseKind") or {}).get("kind", ""),
                    namespaced=r.get("scope") == "Namespaced",
                    short_names=tuple(r.get("shortNames") or ()),
                )
                found.setdefault((group_name, kind.plural), kind)
    return list(found.values())


def no_answer(server: str, error: Exception) -> ClusterError:
    """Say why the API server could not be reached, and what to try."""
    reason = str(getattr(error, "reason", None) or error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return ClusterError(
            f"{server} shows a certificate that this kubeconfig does not trust",
            next_step="the cluster was made anew: write its kubeconfig again (embedded cluster: labkit kubeconfig)",
        )
    return ClusterError(
        f"no API server answers at {server}",
        value=reason.split(": ", 1)[-1],
        expected="a running cluster",
        next_step="the embedded one: `labkit status` tells how it is, `labkit up` starts it, `labkit start api-server` "
        "this part of it; another one: kubectl cluster-info",
    )


def _refusal(response: Any) -> ApiFailure:
    raw = response.data.decode(errors="replace")
    try:
        status = json.loads(raw)
    except ValueError:
        status = {"message": raw.strip() or response.reason}
    if not isinstance(status, dict):
        status = {"message": raw}
    status["code"] = response.status
    cures = {
        401: "the credentials are not valid (any more): get a new kubeconfig (embedded cluster: labkit kubeconfig)",
        403: "ask the cluster's owner for the right, or use the embedded cluster: cluster='glassbox'",
    }
    return ApiFailure(status, next_step=cures.get(response.status, ""))


def _selectors(selectors: dict[str, str]) -> dict[str, str]:
    names = {"label_selector": "labelSelector", "field_selector": "fieldSelector"}
    return {names[key]: value for key, value in selectors.items() if value}


def _lines(response: Any) -> Iterator[bytes]:
    import urllib3

    rest = b""
    try:
        for chunk in response.stream(amt=None, decode_content=False):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line for line in whole if line)
    except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError):
        return  # the server went away, or the time is over: the caller lists again


def _client(kubeconfig: Path, context: str | None) -> Any:
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException, new_client_from_config
    except ImportError as error:  # pragma: no cover - a declared dependency
        raise LabError(f"the Python client is missing: {error}", next_step="pip install kubernetes") from None
    try:
        settings = Configuration()
        settings.connection_pool_maxsize = POOL
        return new_client_from_config(
            str(kubeconfig), context=context, persist_config=False, client_configuration=settings
        )
    except (ConfigException, OSError) as error:
        raise ClusterError(
            f"the kubeconfig {kubeconfig} cannot be used",
            value=str(error),
            expected="a kubeconfig with a current context" if context is None else f"a context named {context!r}",
            next_step=f"look at it: kubectl --kubeconfig {kubeconfig} config get-contexts",
        ) from None
