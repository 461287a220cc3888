"""Which images there are, and what a container of one sees."""

import pytest

from labkit.glassbox.kubelet import env, images, interpreters, rootfs
from labkit.glassbox.kubelet.images import ImageError, Images, canonical
from labkit.glassbox.kubelet.interpreters import Interpreter

FOUND = [Interpreter((3, 13, 0), "/opt/p313"), Interpreter((3, 12, 1), "/opt/p312"), Interpreter((3, 11, 2), "/usr")]


@pytest.fixture
def catalogue():
    return Images(FOUND)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("python:3.12", "3.12.1"),
        ("python:3.12-slim", "3.12.1"),
        ("python:3.12.1-slim-bookworm", "3.12.1"),
        ("python:3.11-alpine3.20", "3.11.2"),
        ("python:3", "3.13.0"),
        ("python", "3.13.0"),
        ("python:slim", "3.13.0"),
        ("docker.io/library/python:3.11", "3.11.2"),
    ],
)
def test_a_python_image_is_the_version_that_it_names(catalogue, name, version):
    assert str(catalogue.resolve(name).interpreter) == version


@pytest.mark.parametrize("name", ["python:3.10", "python:3.12.9", "python:2.7", "python:nonsense"])
def test_a_python_that_is_not_there_is_never_replaced_by_another(catalogue, name):
    with pytest.raises(ImageError) as caught:
        catalogue.resolve(name)
    assert caught.value.reason == "ErrImagePull"


def test_the_error_names_the_versions_there_are(catalogue):
    with pytest.raises(ImageError, match=r"has no Python 3\.10; it has: 3\.13\.0, 3\.12\.1, 3\.11\.2"):
        catalogue.resolve("python:3.10")


def test_an_unknown_image_names_those_there_are(catalogue):
    with pytest.raises(ImageError, match="no image nginx; there are: python:3.13, .*busybox, alpine"):
        catalogue.resolve("nginx:1.27")


def test_a_cluster_may_declare_images_of_its_own(tmp_path, catalogue):
    file = tmp_path / "images.yaml"
    own = Images(catalogue.interpreters, file)
    with pytest.raises(ImageError, match="no image example.com/shop"):
        own.resolve("example.com/shop:1.0")
    shop = "{base: python, version: '3.12', command: [python3, /app/shop.py], env: {MODE: x}, files: {/app: code}}"
    file.write_text(f"images:\n  example.com/shop: {shop}\n")
    found = own.resolve("example.com/shop:1.0")
    assert (found.name, found.command) == ("example.com/shop:1.0", ("python3", "/app/shop.py"))
    assert (found.interpreter.minor, found.env["MODE"], found.env["LANG"]) == ("3.12", "x", "C.UTF-8")
    steps = rootfs.plan(found, rootfs.PodFiles("web", "", "/shm"), [])
    assert ("bind", "/app", str(tmp_path / "code"), "ro") in steps
    assert "example.com/shop" in own.names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: {shop: {base: windows}}", "shop: base must be one of python, tools, pause, not 'windows'"),
        ("images: {shop: {base: tools, entrypoint: x}}", "shop: unknown field 'entrypoint'"),
        ("images: {'shop:1': {base: tools}}", "shop:1: expected a name without a tag"),
        ("pictures: {}", "expected images: with an entry for each name"),
    ],
)
def test_a_declaration_that_says_something_else_is_refused(tmp_path, text, message):
    file = tmp_path / "images.yaml"
    file.write_text(text)
    with pytest.raises(ImageError, match=message):
        images.declare(file, tmp_path / "place.yaml")


def test_a_malformed_name_is_an_invalid_image_name(catalogue):
    with pytest.raises(ImageError) as caught:
        catalogue.resolve("Not A Name")
    assert caught.value.reason == "InvalidImageName"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app:1", "docker.io/team/app:1"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
    ],
)
def test_names_in_full(name, full):
    assert canonical(name) == full


def test_a_virtual_environment_is_no_interpreter(tmp_path):
    for prefix, has_library in (("real", True), ("venv", False)):
        (tmp_path / prefix / "bin").mkdir(parents=True)
        (tmp_path / prefix / "bin/python3.12").touch(mode=0o755)
        (tmp_path / prefix / "lib/python3.12").mkdir(parents=True)
        if has_library:
            (tmp_path / prefix / "lib/python3.12/os.py").touch()
    found = interpreters.find([str(tmp_path / "venv"), str(tmp_path / "real")])
    assert [each.prefix for each in found] == [str(tmp_path / "real")]


def test_the_patch_level_is_read_from_the_header(tmp_path):
    for directory in ("bin", "lib/python3.12", "include/python3.12"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "bin/python3.12").touch(mode=0o755)
    (tmp_path / "lib/python3.12/os.py").touch()
    (tmp_path / "include/python3.12/patchlevel.h").write_text("#define PY_MICRO_VERSION        7\n")
    assert interpreters.find([str(tmp_path)]) == [Interpreter((3, 12, 7), str(tmp_path))]


def test_no_declared_applet_comes_twice():
    names = [*images.declarations()["host_applets"].split(), *images.declarations()["own_applets"].split()]
    assert len(names) == len(set(names))
    assert all(file.exists() for file in images.own_applets().values())


def test_a_volume_within_another_is_mounted_after_it():
    inner, outer = rootfs.Mount("/b", "/data/inner"), rootfs.Mount("/a", "/data")
    assert rootfs.sorted_mounts([inner, outer]) == [outer, inner]


def test_a_link_of_the_plan_never_leads_out_of_the_root(catalogue):
    for name in ("python:3.12", "busybox"):
        plan = rootfs.plan(catalogue.resolve(name), rootfs.PodFiles("web", "10.0.0.1", "/shm"), [])
        for kind, target, _, _ in plan:
            assert target.startswith("/"), (kind, target)
            assert ".." not in target


def test_labels_as_a_file_are_quoted_as_go_quotes():
    pod = {"metadata": {"annotations": {"b": 'say "hi"\n', "a": "ñ"}}, "spec": {}}
    assert env.field_value(pod, "metadata.annotations", {}) == 'a="ñ"\nb="say \\"hi\\"\\n"'
