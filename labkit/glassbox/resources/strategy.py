"""What happens to an object between the wire and the store.

Stands for upstream's create and update strategies. Hooks take and change plain dicts in place; they never
store, never look at other objects, and never raise on bad input: that is what validate returns causes for.

Order on a create: default → prepare_for_create → validate. On an update: default → prepare_for_update →
validate_update. A write to a subresource of status: prepare_for_status_update → validate_status_update.

Upstream: staging/src/k8s.io/apiserver/pkg/registry/rest/{create,update}.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import metadata, names, pod_warnings
from labkit.glassbox.resources.validation.fields import status_counts, unchanged


class Strategy:
    """Keep the status out of ordinary writes and everything else out of status writes.

    `has_status`: the kind has a status that only the status subresource writes.
    `faults`: what is wrong with an object beyond the metadata.
    `immutable`: paths that no update changes.
    `pod_template`: the path of a pod template, whose oddities are warned of; `names_pods`: so are those of the name.
    `warns_of_news`: an update is warned about only what the old object had not.
    `counts_generation`: metadata.generation is 1 at creation and grows with each change outside metadata and status.
    """

    has_status = False
    counts_generation = warns_of_news = False
    allow_create_on_update = False  # PUT of a name that does not exist creates it
    allow_unconditional_update = True  # PUT without resourceVersion overwrites
    faults: Callable[[dict], Iterable[Cause]] = staticmethod(lambda obj: ())
    immutable: tuple[str, ...] = ()
    metadata_looks = 4  # how often upstream validates an update's metadata: each fault is told so often
    pod_template, names_pods = "", False
    name_rule: names.Rule = staticmethod(names.dns_subdomain)
    empty_status: dict | None = {}  # what an object starts with; None leaves the key out
    orphans_by_default = False  # a deletion without a policy leaves the dependents, as in the first versions of the API
    orphaning_warning = ""
    counted: tuple[str, ...] = ()  # of the status: which replicas are among its replicas
    # what of the metadata a write of the status leaves as it is
    status_resets: tuple[str, ...] = (
        *("labels", "annotations", "generation", "ownerReferences", "finalizers", "deletionTimestamp"),
    )
    parts: Mapping[str, Strategy] = {}  # subresource → the strategy of its writes; status has hooks of its own

    def default(self, obj: dict) -> None:
        """Fill what neither the schema nor the table of defaults can."""

    def prepare_for_create(self, obj: dict) -> None:
        """Drop what a client must not set at creation."""
        if self.has_status:
            self._reset_status(obj)
        if self.counts_generation:
            obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        """Keep the stored status; bump the generation when anything outside metadata and status changed."""
        if self.has_status:
            _carry(obj, old, "status")
        if self.counts_generation:
            _carry(obj["metadata"], old["metadata"], "generation")
            if self.changes_generation(obj, old):
                obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def prepare_for_status_update(self, obj: dict, old: dict) -> None:
        """Keep everything but the status as it is stored."""
        for key in obj.keys() | old.keys():
            if key not in ("status", "metadata"):
                _carry(obj, old, key)
        for key in self.status_resets:
            _carry(obj["metadata"], old["metadata"], key)

    def changes_generation(self, obj: dict, old: dict) -> bool:
        """Tell whether this update is one that controllers have to observe."""
        return obj.get("spec") != old.get("spec")

    def mark_deleted(self, obj: dict, grace: int, now: str) -> None:
        """Write down that an object is being deleted, beside its deletionTimestamp."""
        meta = obj["metadata"]
        meta["deletionGracePeriodSeconds"] = grace
        if self.counts_generation or meta.get("generation"):
            meta["generation"] = meta.get("generation", 0) + 1

    def validate(self, obj: dict) -> list[Cause]:
        """Return every cause for refusing this object, in upstream's order."""
        return [*metadata.validate(obj["metadata"], self.name_rule), *self.faults(obj)]

    def validate_update(self, obj: dict, old: dict) -> list[Cause]:
        """Return every cause for refusing this change."""
        of_metadata = list(metadata.validate_changeable(obj["metadata"])) * self.metadata_looks
        return [*of_metadata, *self.change_faults(obj, old)]

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        """Tell what is wrong with a change beyond the metadata."""
        yield from self.faults(obj)
        for path in self.immutable:
            yield from unchanged(path, dig(obj, path), dig(old, path))

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        """Return every cause for refusing this status."""
        return list(status_counts(obj.get("status") or {}, old.get("status") or {}, self.counted))

    def warnings(self, obj: dict) -> list[str]:
        """Return what a client is told in Warning headers although the write succeeds."""
        of_name = pod_warnings.pod_names_from(obj) if self.names_pods else []
        return of_name + (pod_warnings.template(obj, self.pod_template) if self.pod_template else [])

    def change_warnings(self, obj: dict, old: dict) -> list[str]:
        """Return the same for a change: nothing about a pod template, where no controller has to look at the change."""
        if self.pod_template and obj["metadata"].get("generation") == old["metadata"].get("generation"):
            return []
        known = pod_warnings.pod_names_from(obj) if self.names_pods else []
        known += self.warnings(old) if self.warns_of_news else []
        return [each for each in self.warnings(obj) if each not in known]

    def _reset_status(self, obj: dict) -> None:
        if self.empty_status is None:
            obj.pop("status", None)
        else:
            obj["status"] = dict(self.empty_status)


def _carry(to: dict, source: dict, key: str) -> None:
    """Make `to[key]` what it is in `source`, absence included."""
    if key in source:
        to[key] = source[key]
    else:
        to.pop(key, None)
