"""The RuntimeDefault seccomp profile: which system calls a container may not make, as a program for the kernel.

containerd lists what it allows and refuses the rest with EPERM. Here the rest is listed, which comes to the same and is
a sixth as long: whatever is newer than the list is refused with ENOSYS, as if the kernel had not got it, and so is
every call of another architecture (32-bit programs do not run). A call that only a capability beyond containerd's
default ones would open is refused whatever the container adds.

Numbers are (x86-64, aarch64); None where an architecture has not got the call.

Upstream: github.com/containerd/containerd contrib/seccomp/seccomp_default.go
"""

import ctypes
import errno
import platform
import struct
from functools import cache

from labkit.glassbox import syscalls

REFUSED: dict[str, tuple[int | None, int | None]] = {
    # the kernel itself: modules, other kernels, tracing, the clock, the console's log
    "acct": (163, 89),
    "bpf": (321, 280),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "perf_event_open": (298, 241),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "_sysctl": (156, None),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "uselib": (134, None),
    "ustat": (136, None),
    "vhangup": (153, 58),
    "vserver": (236, None),
    # keys, which no namespace divides
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "request_key": (249, 218),
    # large or much-attacked parts of the kernel
    "fanotify_init": (300, 262),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    # namespaces and mounts
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "listmount": (458, 458),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "statmount": (457, 457),
    "umount2": (166, 39),
    "unshare": (272, 97),
    # other processes, and where memory lies
    "get_mempolicy": (239, 236),
    "kcmp": (312, 272),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
}
CLONE, CLONE3, PERSONALITY, SOCKET = (56, 220), (435, 435), (135, 92), (41, 198)
NEWER = 467  # the first call that is not known here; Linux 6.14 is
NAMESPACES = 0x7E020000  # the flags of clone that make a namespace
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
FAMILIES = (38, 40)  # AF_ALG, AF_VSOCK: the kernel's ciphers, the hypervisor

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF's opcodes
NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the low half of the first argument
PR_SET_SECCOMP, MODE_FILTER = 22, 2

Instruction = tuple[int, int, int, int]  # opcode, jump if true, jump if false, operand


def instructions(machine: str) -> list[Instruction]:
    """Return the filter for a machine as `uname -m` names it: pure. Raises KeyError for another architecture."""
    column, audit = ARCHITECTURES[machine]
    refused = sorted(number for numbers in REFUSED.values() if (number := numbers[column]) is not None)
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, audit),
        (RETURN, 0, 0, UNKNOWN),
        (LOAD, 0, 0, NUMBER),
        *_when(AT_LEAST, NEWER, [(RETURN, 0, 0, UNKNOWN)]),
        *_when(
            EQUAL, CLONE3[column], [(RETURN, 0, 0, UNKNOWN)]
        ),  # its flags lie in memory: libraries fall back to clone
        *_when(EQUAL, CLONE[column], _unless_argument(ANY_BIT, (NAMESPACES,), found=REFUSE, other=ALLOW)),
        *_when(EQUAL, PERSONALITY[column], _unless_argument(EQUAL, PERSONALITIES, found=ALLOW, other=REFUSE)),
        *_when(EQUAL, SOCKET[column], _unless_argument(EQUAL, FAMILIES, found=REFUSE, other=ALLOW)),
        *[each for number in refused for each in _when(EQUAL, number, [(RETURN, 0, 0, REFUSE)])],
        (RETURN, 0, 0, ALLOW),
    ]


def _when(test: int, operand: int, then: list[Instruction]) -> list[Instruction]:
    return [(test, 0, len(then), operand), *then]


def _unless_argument(test: int, operands: tuple[int, ...], *, found: int, other: int) -> list[Instruction]:
    tests = [each for operand in operands for each in _when(test, operand, [(RETURN, 0, 0, found)])]
    return [(LOAD, 0, 0, ARGUMENT), *tests, (RETURN, 0, 0, other)]


@cache
def program() -> bytes:
    """Return this machine's filter as the kernel takes it."""
    return b"".join(struct.pack("=HBBI", *each) for each in instructions(platform.machine()))


def install() -> None:
    """Put the filter on the calling process and all that it starts; it can never be taken off."""
    code = program()
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
    syscalls.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(head))
