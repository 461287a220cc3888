"""What lesson 05 promises to show: volumes and secrets."""

import base64
import gc
import hashlib

from tests.shows.breaking import breaks

SHOWN = {
    "container-ends": r"^remember the milk\nremember the milk\ncat: /tmp/list: No such file",
    "empty-dir": r"pod/notes replaced[\s\S]+^cat: /notes/list: No such file",
    "bound": r"claim/diary created[\s\S]+Claim diary · Bound, 10Mi, RWO\n +└─ \S+ pvc-\S+ · Bound, .+, then Delete",
    "claim": r"pod/diary replaced[\s\S]+^dear diary[\s\S]+\+ 1 new, ~ 1 changed, - 1 gone",
    "modes": r"✓ pv/pvc-\S+ is gone[\s\S]+spec\.accessModes: Forbidden: may not use ReadWriteOncePod with other",
    "base64": r"^ +pin: NDcxMQ==\n4711",
    "files-and-variables": r"^pin\nuser\n4711\n4711$",
    "tmpfs": r"^ on /etc/bank type tmpfs",
    "too-large": r'"big" is invalid: data: Too long: may not be more than 1048576 bytes[\s\S]+secret "till" not found',
    "config-map": r"menu patched\nfideua\npaella",
    "immutable": r"data: Forbidden: field is immutable when `immutable` is set",
    "token": r"subject +system:serviceaccount:lab-05:default\naudience \['bank'\]\nvalid +10 minutes",
    "review": r"^system:serviceaccount:lab-05:default\n\[invalid bearer token, .+ is invalid for the target.+\n"
    r"invalid bearer token",
    "store": r'^"pin":"NDcxMQ=="\n4711',
    "not-yet": r'✓ the API server has read first-key\.yaml.+\n"pin":"NDcxMQ=="',
    "encrypted": r"the PIN is in no file\nk8s:enc:aescbc:v1:key1:",
    "rotated": r"^k8s:enc:aescbc:v1:key2: …\n4711",
}


def no_volume_outlives(make, key):
    """Wrap what makes a volume's directory: it is emptied for everybody who is new by this key of a pod."""
    seen = set()

    def emptied(pod, *given):
        place = make(pod, *given)
        if pod["metadata"][key] not in seen:
            seen.add(pod["metadata"][key])
            for each in [*place.iterdir()]:
                each.unlink()
        return place

    return emptied


@breaks("container-ends", after=("1-notes",))
def a_volume_is_emptied_when_a_container_starts_again():
    from labkit.glassbox.kubelet.starting import Starter

    honest = Starter._config

    def emptied(self, pod, actual, start, image, made):
        for place in made.values() if start.attempt else ():
            for each in [*place.iterdir()]:
                each.unlink()
        return honest(self, pod, actual, start, image, made)

    Starter._config = emptied


@breaks("empty-dir", after=("1-notes", "1-restart"))
def an_empty_dir_stays_when_its_pod_goes():
    one_for_all_pods(lambda name: name == "paper")


def one_for_all_pods(is_meant):
    """Have the emptyDirs of some names lie where no pod takes them along."""
    from labkit.glassbox.kubelet import volumes

    honest = volumes._empty_directory

    def kept(source, name, where):
        nodes = where.disk.parents[4]  # below it: NODE/…/pods/UID/volumes
        return volumes._open_directory(nodes / f"kept-{name}") if is_meant(name) else honest(source, name, where)

    volumes._empty_directory = kept


@breaks("bound")
def a_class_keeps_the_volumes_that_it_makes():
    from labkit.glassbox.controllers import host_path_provisioner

    host_path_provisioner.STANDARD["reclaimPolicy"] = "Retain"


@breaks("claim", after=("2-diary",))
def what_lies_in_a_claim_goes_with_the_pod():
    from labkit.glassbox.kubelet.volumes import claim

    claim.directory = no_volume_outlives(claim.directory, "uid")


@breaks("modes", after=("2-diary",))
def all_access_modes_go_together():
    from labkit.glassbox.resources.validation import claims

    claims.access = lambda spec, path, told: iter(())


@breaks("base64")
def of_a_secret_nothing_is_kept_but_a_hash():
    from labkit.glassbox.resources.secret import SecretStrategy

    honest = SecretStrategy.default

    def hashed(self, obj):
        honest(self, obj)
        for key, value in (obj.get("data") or {}).items():
            obj["data"][key] = base64.b64encode(hashlib.sha256(value.encode()).digest()).decode()

    SecretStrategy.default = hashed


@breaks("files-and-variables", after=("3-base64",))
def a_variable_from_a_secret_is_empty():
    from labkit.glassbox.kubelet import env

    env._key_of = lambda *_: ""


@breaks("tmpfs", after=("3-base64",))
def secrets_are_written_to_the_nodes_disk():
    from labkit.glassbox.kubelet import volumes

    honest = volumes._directory

    def on_disk(pod, volume, where, sources):
        place = volumes.Places(where.disk, where.disk) if "secret" in volume else where
        return honest(pod, volume, place, sources)

    volumes._directory = on_disk


@breaks("too-large")
def a_secret_may_be_larger():
    from labkit.glassbox.resources.validation import data

    data.LIMIT *= 2


@breaks("config-map", after=("4-board",))
def a_mounted_file_stays_as_it_was():
    from labkit.glassbox.kubelet import volumes

    honest = volumes.publish
    volumes.publish = lambda place, files: None if (place / volumes.DATA).exists() else honest(place, files)


@breaks("immutable", after=("4-board", "4-changed"))
def nothing_is_immutable():
    from labkit.glassbox.resources.validation import data

    data.kept_if_immutable = lambda obj, old: iter(())


@breaks("token", after=("3-base64", "3-vault"))
def every_token_is_for_the_api_server_and_lasts():
    from labkit.glassbox.kubelet.volumes import token

    honest = token.request_for
    token.request_for = lambda pod, wanted, seconds: honest(pod, {}, 3600)


@breaks("review", after=("3-base64", "3-vault", "5-decode"))
def nobody_asks_for_whom_a_token_is():
    from labkit.glassbox.apiserver import token_authenticator

    token_authenticator._common = lambda held, wanted: tuple(wanted)


@breaks("store")
def nothing_in_the_store_can_be_read():
    from labkit.glassbox.apiserver import encryption

    turned = bytes(255 - each for each in range(256))
    turn = lambda text, at: text.translate(turned)  # noqa: E731
    encryption.IDENTITY = encryption.Transformer(b"k8s:enc:turned:v1::", turn, turn)


@breaks("not-yet", after=("6-found",))
def a_key_is_in_force_for_what_was_written_before():
    from labkit.glassbox.apiserver import encryption_config
    from labkit.glassbox.store import Store

    honest = encryption_config.Watched.read

    def sealing(self):
        new = honest(self)
        if new:
            store = next(each for each in gc.get_objects() if isinstance(each, Store))
            store.at_rest, store.has_traces = new, True
            for (key,) in store.db.execute("SELECT DISTINCT key FROM revisions").fetchall():
                if mark := new.mark(key):
                    store._seal_history(key, mark)
        return new

    encryption_config.Watched.read = sealing


@breaks("encrypted", after=("6-found", "6-encrypted"))
def older_revisions_stay_as_they_lie():
    from labkit.glassbox.store import Store

    Store._seal_history = lambda self, key, mark: None


@breaks("rotated", after=("6-found", "6-encrypted", "6-rewritten"))
def the_first_key_that_was_read_is_kept():
    from labkit.glassbox.apiserver.encryption_config import Watched

    honest = Watched.read

    def once(self):
        return None if self.seen else honest(self)

    Watched.read = once
