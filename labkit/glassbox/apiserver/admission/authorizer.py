"""`authorizer`, as expressions see it: what else may who sends this write, or a service account?

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/authz.go
"""

from __future__ import annotations

from functools import partial
from typing import Any

from labkit.glassbox.apiserver.admission.matching import Question
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization import Attributes, Authorizer
from labkit.glassbox.apiserver.authorization.attributes import demanded
from labkit.glassbox.apiserver.request import Api
from labkit.glassbox.resources import cel

NAMED = ("verb", "group", "resource", "subresource", "namespace", "name")


def variables(question: Question, api: Api) -> dict[str, Any]:
    """Return the variables by which expressions about a write ask, from now on, this API server's authorizer."""
    from labkit.glassbox.resources import cel_functions  # loaded, as CEL is, when there is something to evaluate
    from labkit.glassbox.resources.cel_functions import access

    access.DECIDE.set(partial(_decide, api.authorizer))
    user, route = question.request.user, question.request.route
    who = {"name": user.name, "uid": user.uid, "groups": list(user.groups), "extra": dict(user.extra)}
    asked = {"group": route.group, "resource": route.plural, "subresource": route.subresource}
    where = {"namespace": route.namespace, "name": question.name}
    seen = (access.Authorizer(who), access.ResourceCheck(user=who, **asked, **where))
    return dict(zip(cel.AUTHORIZERS, map(cel_functions.packed, seen), strict=True))


def _decide(authorizer: Authorizer, who: dict, asked: dict) -> tuple[bool, str]:
    user = User(who["name"], who.get("uid", ""), tuple(who["groups"]), who.get("extra") or {})
    named = {field: asked.get(field, "") for field in NAMED}
    fields = demanded(asked.get("fieldSelector", ""))
    found = authorizer.decide(user, Attributes(**named, path=asked.get("path"), fields=fields))
    return found.allowed, found.reason
