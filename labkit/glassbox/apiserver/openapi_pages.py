"""The pages beside the resources, as the OpenAPI documents describe them: discovery, the version, the tokens' issuer.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/discovery, pkg/routes/openidmetadata.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labkit.glassbox.apiserver.definitions import definitions
from labkit.glassbox.apiserver.openapi_paths import META, content, group_name
from labkit.glassbox.resources import REGISTRY, Resource


@dataclass(frozen=True)
class Page:
    """A path, what generators call its operation, and the definition of its answer."""

    path: str
    called: str
    answer: str

    @property
    def item(self) -> dict:
        told = {"200": {"description": "OK", "content": content(["application/json"], self.answer)}}
        return {"parameters": [], "get": {"operationId": self.called, "responses": told}}


ALONE = {
    "api": Page("/api/", "getCoreAPIVersions", META + "APIVersions"),
    "apis": Page("/apis/", "getAPIVersions", META + "APIGroupList"),
    "version": Page("/version/", "getCodeVersion", "io.k8s.apimachinery.pkg.version.Info"),
    ".well-known/openid-configuration": Page(
        "/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration", ""
    ),
    "openid/v1/jwks": Page("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset", ""),
}


def pages() -> dict[str, Page]:
    """Return the pages that have a document of their own."""
    built_in = {each.group for each in REGISTRY.all() if each.group and each.definition in definitions()}
    groups = {each.group for each in REGISTRY.all() if each.custom}
    return ALONE | {
        f"apis/{group}": Page(f"/apis/{group}/", f"get{group_name(group)}APIGroup", META + "APIGroup")
        for group in built_in - groups
    }


def resource_lists(resources: Iterable[Resource]) -> Iterator[Page]:
    """Yield the pages that list the resources of their group versions."""
    for group, version in sorted({(each.group, each.version) for each in resources if not each.custom}):
        path = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
        called = f"get{group_name(group)}{version.capitalize()}APIResources"
        yield Page(path, called, META + "APIResourceList")
