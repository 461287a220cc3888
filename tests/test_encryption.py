"""Encryption at rest: what lies in the files of the store, and who can read it."""

import base64
import json
import sqlite3

import pytest

from labkit.glassbox.apiserver.encryption import UNENCRYPTED
from labkit.glassbox.apiserver.encryption_config import ConfigurationError, parse
from labkit.glassbox.store import Store, Unreadable
from tests.embedded import eventually

KEY = "/registry/secrets/default/password"
PASSWORD = b"correct horse battery staple"
ZEROS, ONES = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (0, 1))


def configuration(*providers, resources=("secrets",)):
    """An EncryptionConfiguration as its file; a provider is (name, key name, secret), or "identity"."""
    listed = [
        {"identity": {}} if each == "identity" else {each[0]: {"keys": [{"name": each[1], "secret": each[2]}]}}
        for each in providers
    ]
    rule = {"resources": list(resources), "providers": listed}
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
    return json.dumps({**head, "resources": [rule]})


def files_of(directory):
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


def in_file(path, key=KEY):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT value FROM revisions WHERE key = ? ORDER BY revision DESC", (key,)).fetchone()[0]


@pytest.mark.parametrize("provider", ["aescbc", "aesgcm", "secretbox"])
def test_a_sealed_value_begins_with_its_mark_and_is_read_after_a_restart(tmp_path, provider):
    at_rest = parse(configuration((provider, "key1", ZEROS), "identity"))
    store = Store(tmp_path / "store.db", at_rest=at_rest)
    store.append(KEY, PASSWORD, expect=0)
    assert store.get(KEY).value == PASSWORD
    store.close()
    assert in_file(tmp_path / "store.db").startswith(f"k8s:enc:{provider}:v1:key1:".encode())
    assert PASSWORD not in files_of(tmp_path)
    assert Store(tmp_path / "store.db", at_rest=at_rest).get(KEY).value == PASSWORD


def test_what_is_not_named_stays_plain(tmp_path):
    store = Store(tmp_path / "store.db", at_rest=parse(configuration(("aescbc", "key1", ZEROS))))
    store.append("/registry/configmaps/default/password", PASSWORD, expect=0)
    assert PASSWORD in files_of(tmp_path)


@pytest.mark.parametrize("pattern", ["*.*", "*."])
def test_a_wildcard_names_all_kinds(pattern):
    at_rest = parse(configuration(("aescbc", "key1", ZEROS), resources=[pattern]))
    assert at_rest.mark("/registry/configmaps/a/b")
    assert bool(at_rest.mark("/registry/deployments/a/b")) == (pattern == "*.*")


def test_writing_an_object_again_leaves_no_trace_of_it_in_any_file(tmp_path):
    store = Store(tmp_path / "store.db", at_rest=UNENCRYPTED)
    first = store.append(KEY, PASSWORD + b" 1", expect=0)
    second = store.append(KEY, PASSWORD, expect=first.revision)
    assert PASSWORD in files_of(tmp_path)
    store.at_rest = parse(configuration(("aescbc", "key1", ZEROS), "identity"))
    assert store.is_stale(store.get(KEY))
    store.append(KEY, PASSWORD, expect=second.revision)
    store.erase_traces()
    assert PASSWORD not in files_of(tmp_path)
    assert not store.is_stale(store.get(KEY))
    assert [change.before for change in store.history(KEY, first.revision)] == [PASSWORD + b" 1", PASSWORD]


def test_a_new_first_key_writes_and_the_old_one_still_reads(tmp_path):
    old = ("aescbc", "key1", ZEROS)
    store = Store(tmp_path / "store.db", at_rest=parse(configuration(old)))
    row = store.append(KEY, PASSWORD, expect=0)
    store.close()
    store = Store(tmp_path / "store.db", at_rest=parse(configuration(("secretbox", "key2", ONES), old)))
    assert store.get(KEY).value == PASSWORD
    store.append(KEY, PASSWORD, expect=row.revision)
    assert in_file(tmp_path / "store.db").startswith(b"k8s:enc:secretbox:v1:key2:")


@pytest.mark.parametrize(
    ("left", "why"),
    [
        ("identity", "no matching prefix found"),
        (("aesgcm", "key2", ONES), "no matching prefix found"),
        (("aesgcm", "key1", ONES), "cipher: message authentication failed"),
    ],
)
def test_without_its_key_a_value_cannot_be_read(tmp_path, left, why):
    store = Store(tmp_path / "store.db", at_rest=parse(configuration(("aesgcm", "key1", ZEROS))))
    store.append(KEY, PASSWORD, expect=0)
    store.close()
    store = Store(tmp_path / "store.db", at_rest=parse(configuration(left)))
    for read in (lambda: store.get(KEY), lambda: store.rows("/registry/secrets/")):
        with pytest.raises(Unreadable, match=f'^unable to transform key "{KEY}": {why}$'):
            read()
    assert store.rows("/registry/pods/") == ([], 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: Pod", 'no kind "Pod" is registered'),
        (configuration(("aescbc", "key1", "c2hvcnQ=")), r"keys\[0\].secret: .* got 5, expected one of \[16 24 32\]"),
        (configuration(("aescbc", "key1", "?")), "secrets must be base64 encoded"),
        (configuration(("kms", "key1", ZEROS)), r"providers\[0\].kms: .* kms is not implemented"),
        (configuration(("rot13", "key1", ZEROS)), "does not contain any of the expected providers"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_in_words(text, why):
    with pytest.raises(ConfigurationError, match=why):
        parse(text)


def test_a_running_server_takes_up_the_file_and_keeps_the_old_one_when_the_next_is_bad(own_api_server):
    server, config = own_api_server, own_api_server.encryption_config
    secrets = "/api/v1/namespaces/default/secrets"

    def write(name):
        body = {"metadata": {"name": name}, "data": {"password": base64.b64encode(PASSWORD).decode()}}
        return server.request("POST", secrets, body)

    write("before")
    assert "k8s:enc" not in str(in_file(server.directory / "store.db", "/registry/secrets/default/before"))
    config.write_text(configuration(("aescbc", "key1", ZEROS), "identity"))
    eventually(lambda: "reloaded the encryption configuration" in server.log_text())
    listed = server.kubectl("get", "secrets", "-n", "default", "-o", "json")
    server.kubectl("replace", "-n", "default", "-f", "-", stdin=listed)
    encoded = base64.b64encode(PASSWORD)
    eventually(lambda: encoded not in files_of(server.directory))
    config.write_text("kind: Nonsense")
    eventually(lambda: "the encryption configuration stays as it was" in server.log_text())
    assert write("after")[0] == 201
    assert encoded not in files_of(server.directory)
    config.write_text(configuration("identity"))
    server.stop()
    server.start()
    status, refusal = server.request("GET", f"{secrets}/after")
    assert (status, refusal["message"]) == (
        500,
        'Internal error occurred: unable to transform key "/registry/secrets/default/after": no matching prefix found',
    )


@pytest.mark.cluster
def test_a_secret_is_found_in_the_cluster_s_directory_before_and_not_after(throwaway):
    assert throwaway.up("--nodes", "1").returncode == 0
    throwaway.kubectl("create", "secret", "generic", "safe", f"--from-literal=password={PASSWORD.decode()}")
    encoded = base64.b64encode(PASSWORD)

    def found():
        return any(encoded in path.read_bytes() for path in throwaway.root.rglob("*") if path.is_file())

    assert found()
    config = configuration(("secretbox", "key1", ZEROS), "identity")
    (throwaway.root / "encryption-config.yaml").write_text(config)
    eventually(lambda: "reloaded the encryption configuration" in throwaway.logs())
    secrets = throwaway.kubectl("get", "secrets", "-A", "-o", "json")
    throwaway.kubectl("replace", "-f", "-", input=secrets)
    eventually(lambda: not found())
    assert throwaway.kubectl("get", "secret", "safe", "-o", "jsonpath={.data.password}") == encoded.decode()


def test_a_server_does_not_start_with_a_configuration_that_it_cannot_use(own_api_server):
    own_api_server.stop()
    own_api_server.encryption_config.write_text(configuration(("aescbc", "key1", "c2hvcnQ=")))
    with pytest.raises(AssertionError, match="secret is not of the expected length, got 5, expected one of"):
        own_api_server.start()
