"""TokenReview, SelfSubjectReview and the access reviews: questions that are asked by creating an object, which nobody
stores.

Upstream: pkg/registry/authentication, pkg/registry/authorization
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"


def _question(group: str, kind: str, namespaced: bool = False, columns: tuple[Column, ...] = ()) -> Resource:
    return Resource(
        group=group,
        kind=kind,
        plural=f"{kind.lower()}s",
        namespaced=namespaced,
        strategy=Strategy(),
        verbs=("create",),
        columns=columns,
    )


TOKEN_REVIEWS = _question(AUTHENTICATION, "TokenReview", columns=(NAME, AGE))
SELF_SUBJECT_REVIEWS = _question(AUTHENTICATION, "SelfSubjectReview", columns=(NAME, AGE))
ACCESS_REVIEWS = (
    _question(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True),
    _question(AUTHORIZATION, "SelfSubjectAccessReview"),
    _question(AUTHORIZATION, "SelfSubjectRulesReview"),
    _question(AUTHORIZATION, "SubjectAccessReview"),
)
