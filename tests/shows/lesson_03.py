"""What lesson 03 promises to show: labels, selectors, annotations, names, namespaces."""

import uuid

from tests.shows.breaking import breaks, kubectl_stand_in, stand_in

SHOWN = {
    "many-to-many": r"shop-web +1/1 +Running .*shop +frontend +production[\s\S]+blog-web +● +· +●[\s\S]+shop-web +· +●",
    "syntax": r"pod/scratch labeled[\s\S]+Invalid value: \"ana@uni\.example\": a valid label must be an empty string",
    "equality": r"^pod/blog-web\npod/shop-web\npod/blog-web\npod/shop-web$",
    "space": r"^error: name cannot be provided when a selector is specified",
    "quotes": r"^<environment=production,>\n<tier=frontend>\n<-l>\n<environment in \(production\),tier in \(frontend\)>"
    r"\s+bash: line 3: syntax error",
    "inequality": r"expect: .*\npod/scratch\npod/shop-test$",
    "sets": r"^pod/shop-test\npod/scratch\npod/scratch\n[\s\S]+: 1 of 6\)[\s\S]+^▸ shop-test",
    "annotations": r"^pod/scratch annotated\nNo resources found[\s\S]+picked by contact: 0 of 6",
    "quarantine": r"^quarantine +<none> +Running\n(web +ReplicaSet +Running\n?){3}",
    "node-labels": r"kubernetes\.io/hostname[\s\S]+node1 +● ",
    "node-selector": r"on-linux +1/1 +Run[\s\S]+on-floppy +0/1 +Pend[\s\S]+didn't match Pod's node affinity/selector",
    "names": r"metadata\.name: Invalid value: \"Shop_Web\": a lowercase RFC 1123 subdomain must consist of lower case",
    "uid": r"pod \"shop-test\" deleted[\s\S]+pod/shop-test created\n+False",
    "namespaces": r"^lab-03 +shop-web\nlab-03-other +shop-web",
    "field-selectors": r"^pod/shop-web\npod/on-floppy\n.*field label not supported: metadata\.labels",
    "no-walls": r"^hello from the other namespace",
}


def on_create(change):
    """Have the API server do something with the metadata of what is made."""
    from labkit.glassbox.apiserver import writes

    honest = writes.fill_metadata

    def fill(request, meta, api):
        honest(request, meta, api)
        change(request, meta, api)

    writes.fill_metadata = fill


@breaks("many-to-many", after=("1-apply",))
def a_pod_keeps_its_first_label_only():
    def change(request, meta, api):
        if request.resource.plural == "pods":
            meta["labels"] = dict(list((meta.get("labels") or {}).items())[:1])

    on_create(change)


@breaks("syntax", "names", after=("1-apply",))
def the_api_server_validates_nothing():
    from labkit.glassbox.apiserver import writes

    writes.check = lambda resource, obj: []


@breaks("equality", "sets", after=("1-apply",))
def a_key_is_enough_whatever_its_value():
    from labkit.glassbox.selectors import Requirement

    honest = Requirement.is_met_by
    Requirement.is_met_by = lambda self, labels: (
        self.key in labels if self.operator in ("=", "in") else honest(self, labels)
    )


@breaks("inequality", after=("1-apply",))
def what_is_absent_is_not_unequal():
    from labkit.glassbox.selectors import Requirement

    honest = Requirement.is_met_by
    Requirement.is_met_by = lambda self, labels: (
        honest(self, labels) and (self.operator not in ("!=", "notin") or self.key in labels)
    )


@breaks("space", after=("1-apply",), at_the_students=True)
def kubectl_joins_what_a_comma_ends(folder, environment):
    joined = (
        'case "$*" in *"production, tier=frontend"*) set -- get pods -l environment=production,tier=frontend;; esac'
    )
    kubectl_stand_in(folder, environment, f'{joined}\nexec $kubectl "$@"')


@breaks("quotes", at_the_students=True)
def the_shell_takes_parentheses_without_quotes(folder, environment):
    script = """sed "3s/[()]/\\\\\\\\&/g" | /bin/bash"""
    stand_in(folder, environment, "bash", script)


@breaks("annotations", after=("1-apply",))
def selectors_look_at_annotations_too():
    from labkit.glassbox.apiserver import reads

    honest = reads.Choice.matches

    def matches(self, obj):
        meta = obj["metadata"]
        both = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
        return honest(self, {**obj, "metadata": {**meta, "labels": both}})

    reads.Choice.matches = matches


@breaks("quarantine", after=("4-deploy",))
def no_pod_is_released():
    from labkit.glassbox.controllers import claims

    claims.release = lambda api, owner, resource, obj: None


@breaks("node-labels")
def a_kubelet_gives_its_node_no_labels():
    from labkit.glassbox.kubelet import node_status

    honest = node_status.node_object

    def bare(name, pod_cidr, labels):
        node = honest(name, pod_cidr, labels)
        node["metadata"]["labels"] = {"machine": name}
        return node

    node_status.node_object = bare


@breaks("node-selector")
def the_scheduler_ignores_node_selectors():
    from labkit.glassbox.scheduler import filters

    filters.FILTERS = tuple(each for each in filters.FILTERS if each is not filters.node_affinity)


@breaks("uid", after=("1-apply",))
def a_uid_is_made_of_the_name():
    def change(request, meta, api):
        if request.resource.plural == "pods":
            meta["uid"] = str(uuid.uuid5(uuid.NAMESPACE_DNS, meta["name"]))

    on_create(change)


@breaks("namespaces", after=("1-apply",))
def a_name_is_unique_in_the_whole_cluster():
    from labkit.glassbox.errors import ApiError

    def change(request, meta, api):
        taken = (key for key in api.store.live if request.resource.plural in key and key.endswith(f"/{meta['name']}"))
        if request.resource.plural == "pods" and any(taken):
            raise ApiError(409, "AlreadyExists", f'pods "{meta["name"]}" already exists')

    on_create(change)


@breaks("field-selectors", after=("1-apply", "5-schedule"))
def a_field_selector_ignores_the_phase():
    from labkit.glassbox.selectors import FieldSelector

    honest = FieldSelector.matches
    FieldSelector.matches = lambda self, value_of: honest(
        FieldSelector(tuple(term for term in self.terms if term[0] != "status.phase")), value_of
    )


@breaks("no-walls", after=("7-twice",))
def nodes_forward_nothing():
    from labkit.glassbox import network

    honest = network._set
    network._set = lambda name, value: honest(name, "0" if name.endswith("ip_forward") else value)
