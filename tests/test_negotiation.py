"""In what form the API server answers, and which paths beside the objects answer which methods."""

import pytest

from labkit.glassbox.apiserver.negotiation import JSON, YAML, Wanted, negotiate
from labkit.glassbox.errors import ApiError
from tests.embedded import eventually

TABLE = "as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/json;q=0.1,application/yaml;q=0.9", Wanted(YAML)),
        ("*/*,application/yaml;q=0.1", Wanted(YAML)),  # what has a star is passed by what follows it
        ("application/yaml;q=0.1,*/*", Wanted(JSON)),
        (f"*/*;{TABLE}", Wanted(JSON, "Table")),
        (f"application/json;as=Table;v=v9;g=meta.k8s.io,application/yaml;{TABLE}", Wanted(YAML, "Table")),
        ("application/*,application/json", Wanted(JSON)),
        ("application/json;stream=watch;sv=v1;bogus=1", Wanted(JSON)),
    ],
)
def test_the_most_wanted_form_that_can_be_had_is_answered(accept, wanted):
    assert negotiate(accept) == wanted


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("application/*", "406: Not Acceptable\n\nAvailable representations: "),
        ("text/yaml", "406: Not Acceptable\n\nAvailable representations: "),
        ("application/json;g=meta.k8s.io;v=v1", "only the following media types are accepted: "),
        ("application/json;stream=other", "only the following media types are accepted: "),
        ("application/json;sv=v2", "only the following media types are accepted: "),
    ],
)
def test_a_form_that_cannot_be_had_is_refused(accept, told):
    with pytest.raises(ApiError) as refusal:
        negotiate(accept)
    known = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    assert (refusal.value.code, refusal.value.message) == (406, told + known)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        *(("POST", path, 405) for path in ("/version", "/api", "/api/v1", "/apis/apps/v1")),
        *(("POST", path, 200) for path in ("/apis", "/apis/apps", "/healthz", "/livez/etcd", "/openapi/v2")),
        *(("GET", path, 404) for path in ("/healthz/", "/openapi/v2/", "//")),
        ("HEAD", "/version", 405),
        ("HEAD", "/apis", 200),
    ],
)
def test_paths_beside_the_objects_answer_the_methods_that_upstream_answers(api_server, method, path, code):
    assert api_server.request(method, path)[0] == code


def test_a_check_may_be_left_out_of_the_health(api_server):
    _, shown = api_server.request("GET", "/livez?verbose&exclude=ping")
    assert shown.startswith("[+]ping excluded: ok\n[+]log ok\n")
    _, shown = api_server.request("GET", "/livez?verbose&exclude=x")
    assert 'warn: some health checks cannot be excluded: no matches for "x"\nlivez check passed' in shown


def test_the_path_of_a_namespace_is_read_as_one_in_it(api_server):
    _, refusal = api_server.request("GET", "/api/v1/namespaces/default", user="student")
    assert refusal["message"].endswith('in API group "" in the namespace "default"')


def test_an_openapi_document_may_be_kept_for_ever_by_the_hash_of_its_content(api_server):
    _, index = api_server.request("GET", "/openapi/v3")
    where = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    with api_server.open("GET", where) as answer:
        told, document = answer.headers, answer.read()
    assert (told["Cache-Control"], told["Vary"]) == ("public, immutable", "Accept")
    assert told["ETag"] == '"{}"'.format(where.partition("hash=")[2])
    with api_server.open("GET", "/openapi/v3/apis/apps/v1?hash=OLD") as answer:  # which leads on to the present one
        assert (answer.url, answer.read()) == (api_server.url + where, document)
    assert api_server.request("GET", where, accept="text/html")[0] == 406


@pytest.mark.parametrize(
    ("path", "accept", "code", "told"),
    [
        ("/", "text/html", 200, ""),
        ("/version", "text/html", 406, "406: Not Acceptable\n\nAvailable representations: application/json"),
        ("/version", "application/json;as=Table;v=v1;g=meta.k8s.io", 200, ""),
        ("/api", "text/html", 406, "406: Not Acceptable\n\nAvailable representations: application/json, "),
        ("/apis", "text/html", 406, "only the following media types are accepted: application/json, "),
        ("/apis/apps", "text/html", 406, "only the following media types are accepted: application/json, "),
    ],
)
def test_each_page_has_its_own_way_to_refuse_a_form(api_server, path, accept, code, told):
    answered, shown = api_server.request("GET", path, accept=accept)
    assert (answered, shown.get("message", "")[: len(told)]) == (code, told)


def test_a_custom_resource_is_told_as_what_upstream_holds_it_as(api_server, namespace):
    plural, group = namespace.replace("-", ""), "forms.example.com"
    names = {"plural": plural, "kind": f"K{plural}"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": versions}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert api_server.request("POST", path, {"metadata": {"name": f"{plural}.{group}"}, "spec": spec})[0] == 201
    at = f"/apis/{group}/v1/namespaces/{namespace}/{plural}"
    eventually(lambda: api_server.request("GET", at)[0] == 200)
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    code, refusal = api_server.request("GET", at, accept=accept)
    told = "you requested PartialObjectMetadata, but the requested object is a list (*unstructured.UnstructuredList)"
    assert (code, refusal["message"]) == (406, told)
    api_server.request("DELETE", f"{path}/{plural}.{group}")
