"""What the doctor tries, and the cure for each place where it fails."""

import errno
import subprocess
import sys

import pytest

from labkit.glassbox import doctor
from labkit.glassbox.doctor import Host

UBUNTU = Host("/usr/bin/python3.12", {"kernel.apparmor_restrict_unprivileged_userns": "1"})
PLAIN = Host("/usr/bin/python3", {})


@pytest.mark.parametrize(
    ("step", "error", "host", "cure"),
    [
        ("user namespace", errno.EPERM, Host("", {"kernel.unprivileged_userns_clone": "0"}),
         "sudo sysctl kernel.unprivileged_userns_clone=1"),
        ("user namespace", errno.ENOSPC, PLAIN, "sudo sysctl user.max_user_namespaces=10000"),
        ("user namespace", errno.EPERM, PLAIN, "--security-opt seccomp=unconfined"),
        ("user namespace", errno.EINVAL, PLAIN, "WSL1"),
        ("user and group map", errno.EACCES, UBUNTU, "profile labkit /usr/bin/python3.12 flags=(unconfined)"),
        ("loopback up", errno.EPERM, UBUNTU, "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
        ("tmpfs", errno.EACCES, UBUNTU, "userns,"),
        ("fresh /proc", errno.EPERM, PLAIN, "--security-opt unmask=ALL"),
        ("veth link", errno.EOPNOTSUPP, PLAIN, "sudo modprobe veth"),
    ],
)  # fmt: skip
def test_the_cure_fits_the_place_where_it_fails(step, error, host, cure):
    assert cure in doctor.cure(step, error, host)


def test_every_step_passes_on_a_machine_where_the_cluster_s_tests_run():
    program = "from labkit.glassbox import doctor\nfor f in doctor.examine(): print(f.ok or f.optional, f)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == len(doctor.STEPS) + 5
    assert all(line.startswith("True") for line in lines), run.stdout


def test_where_user_namespaces_are_forbidden_the_first_step_says_so():
    program = """
from labkit.glassbox import doctor, syscalls
def forbidden(flags): raise PermissionError(1, "unshare: Operation not permitted")
syscalls.unshare = forbidden
for finding in doctor.examine():
    print(finding.name, finding.ok)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1] == "user namespace False"
    assert "user and group map" not in run.stdout
