"""What the annotations of a pod must satisfy: those that once were fields to be, and one that ranks it.

Upstream: ValidatePodSpecificAnnotations, ValidatePodSpecificAnnotationUpdates in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation.fields import forbidden, invalid
from labkit.glassbox.resources.validation.security import containers_of
from labkit.glassbox.resources.validation.volumes import descending_path

MIRROR = "kubernetes.io/config.mirror"
COST = "controller.kubernetes.io/pod-deletion-cost"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP, SECCOMP_OF = "seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/"
# what a profile is called in the field → in the annotation, before whose name a local one stands
IN_SECCOMP = {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default", "docker/default")}
IN_APP_ARMOR = {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default",)}


def of_pod(notes: dict[str, str], spec: dict, path: str) -> Iterator[Cause]:
    if MIRROR in notes and not spec.get("nodeName"):
        yield invalid(f"{path}[{MIRROR}]", notes[MIRROR], "must set spec.nodeName if mirror pod annotation is set")
    cost = notes.get(COST)
    if cost is not None and not (re.fullmatch("0|-[0-9]+|[1-9][0-9]*", cost) and -(2**31) <= int(cost) < 2**31):
        yield invalid(f"{path}[{COST}]", cost, "must be a 32bit integer")
    known = {each.get("name", "") for _, each in containers_of(spec, "")}
    for key, profile in notes.items():
        if key == SECCOMP or key.startswith(SECCOMP_OF):
            yield from _seccomp(profile, f"{path}.{key}")
    for key, profile in notes.items():
        if not key.startswith(APP_ARMOR):
            continue
        if (name := key.removeprefix(APP_ARMOR)) not in known:
            yield invalid(f"{path}[{key}]", name, "container not found")
        if profile not in ("", "runtime/default", "unconfined") and not profile.startswith("localhost/"):
            yield invalid(f"{path}[{key}]", profile, f'invalid AppArmor profile name: "{profile}"')


def _seccomp(profile: str, path: str) -> Iterator[Cause]:
    if profile.startswith("localhost/"):
        yield from descending_path(profile.removeprefix("localhost/"), path)
    elif profile not in ("runtime/default", "docker/default", "unconfined"):
        yield invalid(path, profile, "must be a valid seccomp profile")


def against_fields(notes: dict[str, str], spec: dict, path: str) -> Iterator[Cause]:
    """Refuse an annotation that says something else than the field that took its place."""
    of_all = dig(spec, "securityContext.seccompProfile")
    at, every = f"{path}.securityContext.seccompProfile", list(containers_of(spec, path))
    yield from _matching(notes.get(SECCOMP), of_all, at, "seccomp", IN_SECCOMP)
    for where, each in every:
        own, at = dig(each, "securityContext.seccompProfile"), f"{where}.securityContext.seccompProfile"
        yield from _matching(notes.get(SECCOMP_OF + each.get("name", "")), own, at, "seccomp", IN_SECCOMP)
    if dig(spec, "os.name") == "windows":
        return
    for where, each in every:
        own, of_all = (dig(held, "securityContext.appArmorProfile") for held in (each, spec))
        at, note = f"{where}.securityContext.appArmorProfile", notes.get(APP_ARMOR + each.get("name", ""))
        yield from _matching(note, own or of_all, at, "apparmor", IN_APP_ARMOR)


def _matching(note: str | None, profile: dict | None, path: str, kind: str, called: dict) -> Iterator[Cause]:
    if note is None or profile is None:
        return
    told = f"{kind} {{}} in annotation and field must match"
    if profile.get("type") == "Localhost":
        if not note.startswith("localhost/"):
            yield forbidden(f"{path}.type", told.format("type"))
        elif note.removeprefix("localhost/") != profile.get("localhostProfile"):
            yield forbidden(f"{path}.localhostProfile", told.format("profile"))
    elif note not in called.get(profile.get("type", ""), (note,)):
        yield forbidden(f"{path}.type", told.format("type"))


def kept(pod: dict, old: dict, path: str) -> Iterator[Cause]:
    """Refuse to change whose mirror a pod is, and the profiles of its containers."""
    new, held = (each["metadata"].get("annotations") or {} for each in (pod, old))
    for key in (*held, *(each for each in new if each not in held)):
        if new.get(key) == held.get(key) or not (key == MIRROR or key.startswith(APP_ARMOR)):
            continue
        what = "mirror pod annotation" if key == MIRROR else "AppArmor annotations"
        yield forbidden(f"{path}[{key}]", f"may not {'remove or update' if key in held else 'add'} {what}")
    yield from of_pod(new, pod.get("spec") or {}, path)
