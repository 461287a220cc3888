"""Service accounts' tokens: what they say, and what makes them worthless."""

import base64
import json

import pytest

from labkit.glassbox import pki, tokens
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization import Attributes, Authorizer
from labkit.glassbox.apiserver.impersonation import acting
from labkit.glassbox.errors import ApiError
from labkit.glassbox.store import Store
from labkit.glassbox.tokens import BadToken, SigningKey

ASKED = Attributes("list", resource="pods")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    pki.ensure(directory, [], [])
    return SigningKey(directory / pki.ACCOUNTS_KEY)


def account(name="robot", namespace="shop", uid="uid-1"):
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid}}


POD = {"metadata": {"name": "web", "namespace": "shop", "uid": "uid-2"}}


def test_a_token_says_whose_it_is_for_whom_and_until_when():
    claims = tokens.claims_of(account(), {"pod": POD}, ["vault"], now=1000.5, seconds=600)
    assert claims.pop("jti")
    assert claims == {
        "aud": ["vault"],
        "exp": 1600,
        "iat": 1000,
        "nbf": 1000,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:shop:robot",
        "kubernetes.io": {
            "namespace": "shop",
            "pod": {"name": "web", "uid": "uid-2"},
            "serviceaccount": {"name": "robot", "uid": "uid-1"},
        },
    }


def test_the_token_that_a_pod_gets_unasked_lives_for_a_year_and_tells_when_it_should_have_been_renewed():
    claims = tokens.claims_of(account(), {"pod": POD}, [tokens.ISSUER], now=1000, seconds=3607)
    assert claims["exp"] == 1000 + 365 * 24 * 3600
    assert claims["kubernetes.io"]["warnafter"] == 4607


def test_what_was_signed_is_read_again(key):
    claims = tokens.claims_of(account(), {}, ["a"], now=1000, seconds=600)
    assert key.read(key.sign(claims)) == claims


@pytest.mark.parametrize("change", [{"sub": "system:admin"}, {"exp": 1 << 40}])
def test_a_token_with_other_claims_under_the_old_signature_is_bad(key, change):
    claims = tokens.claims_of(account(), {}, ["a"], now=1000, seconds=600)
    head, _, signature = key.sign(claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims | change).encode()).rstrip(b"=").decode()
    with pytest.raises(BadToken, match="error in cryptographic primitive"):
        key.read(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("text", ["", "bad", "a.b.c", "e30.e30.e30", "e30.W10.e30", "e30.e30"])
def test_what_is_no_token_of_ours_is_bad_without_a_word(key, text):
    with pytest.raises(BadToken, match="^$"):
        key.read(text)


def test_another_cluster_s_key_does_not_open_the_door(key, tmp_path):
    pki.ensure(tmp_path, [], [])
    other = SigningKey(tmp_path / pki.ACCOUNTS_KEY)
    with pytest.raises(BadToken):
        key.read(other.sign(tokens.claims_of(account(), {}, ["a"], now=1000, seconds=600)))


@pytest.mark.parametrize(
    ("headers", "name", "groups"),
    [
        ({}, "admin", ("system:masters",)),
        ({"Impersonate-User": "jane"}, "jane", ("system:authenticated",)),
        ({"Impersonate-User": "jane", "Impersonate-Group": "dev"}, "jane", ("dev", "system:authenticated")),
        ({"Impersonate-User": "system:serviceaccount:a:b"}, "system:serviceaccount:a:b", tokens.groups("a")),
        ({"Impersonate-User": "system:anonymous"}, "system:anonymous", ("system:unauthenticated",)),
    ],
)
def test_the_administrator_may_act_as_another(headers, name, groups):
    user = acting(User("admin", groups=("system:masters",)), headers, ASKED, Authorizer(Store(":memory:")))
    assert (user.name, user.groups) == (name, groups)


def test_nobody_else_may():
    with pytest.raises(ApiError, match='User "jane" cannot impersonate-on:user-info:list resource "pods"'):
        acting(User("jane"), {"Impersonate-User": "joe"}, ASKED, Authorizer(Store(":memory:")))
