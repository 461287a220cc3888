"""TokenReview and SelfSubjectReview: questions that are asked by creating an object, which nobody stores.

Upstream: pkg/registry/authentication
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy


def _question(kind: str) -> Resource:
    return Resource(
        group="authentication.k8s.io",
        version="v1",
        kind=kind,
        plural=f"{kind.lower()}s",
        singular=kind.lower(),
        namespaced=False,
        definition=f"io.k8s.api.authentication.v1.{kind}",
        strategy=Strategy(),
        verbs=("create",),
        columns=(NAME, AGE),
    )


TOKEN_REVIEWS = _question("TokenReview")
SELF_SUBJECT_REVIEWS = _question("SelfSubjectReview")
