"""MutatingAdmissionPolicies: how a write is changed before it is validated, said in CEL and put in force by bindings.

Each policy sees the object as the one before it left it. Those with the reinvocationPolicy IfNeeded are asked once
more if the object has been changed, be it by a webhook. What policies set nobody manages, as upstream.

Left out: webhooks are not asked again about what a policy changes when it is asked once more.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/mutating/{dispatcher,patch/json_patch,patch/smd}.go
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver import schema
from labkit.glassbox.apiserver.admission import policies
from labkit.glassbox.apiserver.admission.matching import Question, in_form
from labkit.glassbox.apiserver.definitions import definitions
from labkit.glassbox.apiserver.fields import values as fields
from labkit.glassbox.apiserver.fields.sets import text
from labkit.glassbox.apiserver.fields.shapes import Shape, named
from labkit.glassbox.apiserver.json_patch import TestFailed, Unpatchable, json_patch
from labkit.glassbox.apiserver.managed import shape_of
from labkit.glassbox.apiserver.request import Api
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import Resource, cel, cel_mutation
from labkit.glassbox.resources.admission_policy import MUTATING_BINDINGS, MUTATING_POLICIES

Key = tuple[str, str, str]  # of a policy, its binding and its parameters
UNKNOWN = (
    "Resource kind {} not found. There can be a delay between when CustomResourceDefinitions are created and when they "
    "are available."
)


@dataclass(frozen=True)
class Done:
    """What came of asking: whether the object has changed, and who wants to be asked again."""

    is_changed: bool
    again: frozenset[Key] = frozenset()


NOTHING = Done(False)


def apply(question: Question, api: Api, only: frozenset[Key] | None = None) -> Done:
    """Let the policies in force change the object, or `only` these. Raises ApiError 403."""
    if question.obj is None:
        return NOTHING
    run = _Run(question, only)
    for policy, binding, form in policies.in_force(MUTATING_BINDINGS, MUTATING_POLICIES, question, api):
        run.ask(policy, binding, form, api)
    if run.faults:
        raise _refusal(question, run.faults)
    is_changed = run.now is not question and run.now.obj != question.obj
    if is_changed:
        question.obj.clear()
        question.obj.update(run.now.obj or {})
    return Done(is_changed, frozenset(run.again))


@dataclass
class _Run:
    """One round of asking: the object as it is by now, who wants to be asked again, what went wrong."""

    now: Question
    only: frozenset[Key] | None
    again: set[Key] = field(default_factory=set)
    faults: list[tuple[str, str]] = field(default_factory=list)  # (reason, what is told)

    def ask(self, policy: dict, binding: dict, form: Resource, api: Api) -> None:
        """Ask one policy, as it is bound, with each of its parameters."""
        spec, names = policy["spec"], (objects.name(policy), objects.name(binding))
        faults: list[tuple[str, str]] = []
        try:
            found = policies.asked(spec, binding["spec"], self.now, form, api)
        except cel.Failed as failure:
            found, faults = [], [("Forbidden", str(failure))]
        for values in found:
            key = (*names, objects.key(values["params"]) if values.get("params") else "")
            values["object"] = policies.plain(_shown(self.now, form))
            try:
                if not policies.holds(spec.get("matchConditions"), values):
                    continue
            except cel.Failed as failure:
                faults.append(("Invalid", str(failure)))
                continue
            if self.only is None or key in self.only:
                faults += [("Invalid", told) for told in self.mutate(spec, values, form)]
                self.again |= {key} if spec.get("reinvocationPolicy") == "IfNeeded" else set()
        if spec.get("failurePolicy", "Fail") == "Fail":
            where = "policy '{}' with binding '{}' denied request".format(*names)
            self.faults += [(reason, f"{where}: {told}") for reason, told in faults]

    def mutate(self, spec: dict, values: dict[str, Any], form: Resource) -> list[str]:
        """Make one policy's changes, one after the other; return what went wrong with some."""
        declared, faults = {each["name"]: each["expression"] for each in spec.get("variables") or ()}, []
        for mutation in spec["mutations"]:
            values["object"] = policies.plain(_shown(self.now, form))
            try:
                self.now = _patched(mutation, values, declared, self.now, form)
            except cel.Failed as failure:
                faults.append(str(failure))
        return faults


def _shown(question: Question, form: Resource) -> dict | None:
    request = question.request
    return in_form(question.obj, request.resource, form, request.route.subresource)


def _patched(mutation: dict, values: dict[str, Any], declared: dict, question: Question, form: Resource) -> Question:
    """Return the question about the object after one change. Raises cel.Failed, ApiError 500, 503."""
    patch = mutation["jsonPatch" if mutation["patchType"] == "JSONPatch" else "applyConfiguration"]
    try:
        found = policies.evaluate(patch["expression"], values, declared, cel_mutation.evaluate)
    except cel.Failed as failure:
        is_whole = str(failure).startswith("type mismatch")
        raise cel.Failed(str(failure) if is_whole else policies.failed(patch, failure)) from None
    if mutation["patchType"] == "ApplyConfiguration":
        return taken(question, form, _merged(values["object"], found, question, form))
    try:
        return taken(question, form, json_patch(policies.plain(values["object"]), found), "Strict")
    except TestFailed:
        return question
    except Unpatchable as error:
        raise cel.Failed(f"JSON Patch: {error}") from None


def _merged(obj: dict, config: dict, question: Question, form: Resource) -> dict:
    """Return an object with an apply configuration merged in. Raises cel.Failed, ApiError 503."""
    known = {**(question.old or {}), **obj}  # below a subresource it may be of another kind than the form
    kind = {"apiVersion": known.get("apiVersion", ""), "kind": known.get("kind", "")}
    shape = _shape(kind["apiVersion"], kind["kind"], form)
    config = {**config, **kind}
    if faults := list(fields.faults(shape, config)):
        told = f"failed to convert patch object to typed object: {fields.listed(faults)}"
    elif atomic := list(_atomic(shape, config, ())):
        told = f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(atomic)}"
    else:
        return fields.merge(shape, obj, config)
    raise cel.Failed(f"error applying patch: {told}")


def _shape(api_version: str, kind: str, form: Resource) -> Shape:
    if (api_version, kind) == (form.api_version, form.kind):
        return shape_of(form)
    group, _, version = api_version.rpartition("/")
    name = f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"
    if name not in definitions():
        raise ApiError(503, "ServiceUnavailable", UNKNOWN.format(f"{group}/{version}, Kind={kind}"), {})
    return named(name)


def _atomic(shape: Shape | None, value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the path of what a configuration has in it and would replace as a whole."""
    if shape is None or not isinstance(value, dict | list):
        return
    if shape.atomic:
        yield text(path)
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _atomic(shape.declared(name), item, (*path, f"f:{name}"))
    else:
        for index, item in enumerate(value):
            yield from _atomic(shape.element, item, (*path, f"i:{index}"))


def taken(question: Question, form: Resource, new: dict, validation: str = "Ignore") -> Question:
    """Return the question about an object as somebody wants it, in its normal form. Raises ApiError 500."""
    request, held = question.request, question.request.resource
    if question.kind == (held.api_version, held.kind):
        given = in_form(new, form, held, request.route.subresource) or {}
        try:
            new, _ = schema.decode(held, given, field_validation=validation)
        except ApiError as error:
            raise errors.internal(error.message.partition(f"cannot be handled as a {held.kind}: ")[2]) from None
        schema.apply_defaults(held, new)
        held.strategy.default(new)
    return replace(question, obj=new)


def _refusal(question: Question, faults: list[tuple[str, str]]) -> ApiError:
    """Return the refusal of a write; the first fault gives its reason."""
    resource, (reason, told) = question.request.resource, faults[0]
    error = errors.forbidden(resource.plural, question.name, told, resource.group)
    error.message, error.reason = told, reason
    error.details = {**(error.details or {}), "causes": [{"message": each} for _, each in faults]}
    return error
