"""How the arguments of each system call read: which is a set of flags, a mode, a structure.

A signature is a word an argument, from the man page:

    int  signed, decimal        hex  anything            oct  file modes            text  a string, or NULL
    fd   a descriptor           bytes  what is read      buffer  what the call writes
    strings  argv               environment  envp: names without their values, which may be secret
    A name of _FLAGS            flags joined by |        a name of _WORDS  one of several values
    a name of _STRUCTURES       decoded by its fields

What stands in no table is shown by its type alone: a listing never fails for a call that is new here.
"""

from __future__ import annotations

from pyrunc.kernel import constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SIGNATURES = {
    "bpf": "int bytes int",
    "capset": "bytes bytes",
    "chdir": "text",
    "chroot": "text",
    "clone": "clone hex hex hex hex",
    "close": "fd",
    "close_range": "hex hex close_range",
    "dup3": "fd fd open",
    "execve": "text strings environment",
    "execveat": "fd text strings environment at",
    "exit_group": "int",
    "faccessat": "fd text oct",
    "faccessat2": "fd text oct access_at",
    "fchdir": "fd",
    "fchmod": "fd oct",
    "fchmodat": "fd text oct",
    "fchown": "fd int int",
    "fchownat": "fd text int int at",
    "fcntl": "fd fcntl hex",
    "fsconfig": "fd fsconfig text text int",
    "fsmount": "fd fsmount mount_attribute",
    "fsopen": "text fsopen",
    "fspick": "fd text fspick",
    "fstatfs": "fd buffer",
    "fsync": "fd",
    "getcwd": "buffer int",
    "getdents64": "fd buffer int",
    "ioctl": "fd ioctl hex",
    "ioprio_set": "int int hex",
    "keyctl": "keyctl hex hex hex hex",
    "kill": "int signal",
    "linkat": "fd text fd text at",
    "lseek": "fd int int",
    "memfd_create": "text memfd",
    "mkdirat": "fd text oct",
    "mknodat": "fd text oct device",
    "mount": "text text text mount text",
    "mount_setattr": "fd text at mount_attr int",
    "move_mount": "fd text fd text move_mount",
    "open_tree": "fd text open_tree",
    "openat": "fd text open oct",
    "openat2": "fd text open_how int",
    "personality": "hex",
    "pidfd_open": "int int",
    "pivot_root": "text text",
    "ppoll": "bytes int timespec hex int",
    "prctl": "prctl prctl_argument hex hex hex",
    "prlimit64": "int rlimit bytes buffer",
    "read": "fd buffer int",
    "readlinkat": "fd text buffer int",
    "rt_sigaction": "signal bytes buffer int",
    "rt_sigprocmask": "int bytes buffer int",
    "sched_setaffinity": "int int bytes",
    "sched_setattr": "int bytes int",
    "seccomp": "seccomp seccomp_filter sock_fprog",
    "sendfile": "fd fd buffer int",
    "sendmsg": "fd bytes message",
    "set_mempolicy": "hex bytes int",
    "setdomainname": "text int",
    "setgid": "int",
    "setgroups": "int integers",
    "sethostname": "text int",
    "setns": "fd namespaces",
    "setresgid": "int int int",
    "setresuid": "int int int",
    "setsid": "",
    "setuid": "int",
    "socket": "family socket int",
    "statx": "fd text at statx_mask buffer",
    "symlinkat": "text fd text",
    "umask": "oct",
    "umount2": "text umount",
    "unlinkat": "fd text unlink_at",
    "unshare": "namespaces",
    "wait4": "int buffer hex buffer",
    "waitid": "int int buffer hex buffer",
    "write": "fd content int",
    "writev": "fd bytes int",
}

_AT = "AT_EMPTY_PATH AT_SYMLINK_NOFOLLOW AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_RECURSIVE"
# Prefixes with a star, or names where a prefix would mix things up (AT_REMOVEDIR and AT_EACCESS are one number).
_FLAGS = {
    "access_at": "AT_EACCESS AT_EMPTY_PATH AT_SYMLINK_NOFOLLOW",
    "at": _AT,
    "clone": "CLONE_*",
    "close_range": "CLOSE_RANGE_*",
    "fsmount": "FSMOUNT_*",
    "fsopen": "FSOPEN_*",
    "fspick": "FSPICK_*",
    "memfd": "MFD_*",
    "message": "MSG_*",
    "mount": "MS_*",
    "mount_attribute": "MOUNT_ATTR_*",
    "move_mount": "MOVE_MOUNT_*",
    "open": "O_*",
    "open_tree": f"OPEN_TREE_CLONE OPEN_TREE_CLOEXEC {_AT}",
    "namespaces": "CLONE_NEW*",
    "resolve": "RESOLVE_*",
    "seccomp_filter": "SECCOMP_FILTER_FLAG_*",
    "statx_mask": "STATX_BASIC_STATS STATX_TYPE STATX_MODE STATX_INO STATX_UID STATX_MNT_ID",
    "umount": "MNT_* UMOUNT_*",
    "unlink_at": "AT_REMOVEDIR",
}
_WORDS = {
    "capability_drop": "CAP_*",
    "family": "AF_*",
    "fcntl": "F_DUPFD_CLOEXEC F_GETFD F_SETFD F_GETFL F_SETFL F_ADD_SEALS",
    "fsconfig": "FSCONFIG_*",
    "ioctl": "TIOC* SIOC* NS_GET_*",
    "keyctl": "KEYCTL_*",
    "prctl": "PR_SET_* PR_CAPBSET_DROP PR_CAPBSET_READ PR_CAP_AMBIENT",
    "prctl_ambient": "PR_CAP_AMBIENT_*",
    "rlimit": "RLIMIT_*",
    "seccomp": "SECCOMP_SET_MODE_* SECCOMP_GET_ACTION_AVAIL",
    "signal": "SIG*",
    "socket_type": "SOCK_STREAM SOCK_DGRAM SOCK_SEQPACKET",
}
STRUCTURES = {
    "mount_attr": (
        ("set", 0, 8, "mount_attribute"),
        ("clear", 8, 8, "mount_attribute"),
        ("propagation", 16, 8, "mount"),
    ),
    "open_how": (("flags", 0, 8, "open"), ("mode", 8, 8, "oct"), ("resolve", 16, 8, "resolve")),
    "timespec": (("seconds", 0, 8, "int"), ("nanoseconds", 8, 8, "int")),
}

# The fields of structures that calls write and checks read: offset -> name (statx(2), statfs(2), waitid(2)).
FIELDS = {
    "fstatfs": {0: "f_type"},
    "statx": {0: "stx_mask", 8: "stx_attributes", 16: "stx_nlink", 20: "stx_uid", 24: "stx_gid", 28: "stx_mode",
              32: "stx_ino", 40: "stx_size", 128: "stx_rdev_major", 132: "stx_rdev_minor", 136: "stx_dev_major",
              140: "stx_dev_minor", 144: "stx_mnt_id"},
    "wait4": {0: "status"},
    "waitid": {8: "si_code", 24: "si_status"},
}  # fmt: skip
OCTAL_FIELDS = frozenset(("stx_mode",))

_AT_FDCWD = -100
_SIGNAL_BITS = 0xFF  # of clone(2)'s flags: the signal at the child's end


def integer(word: str, value: int) -> str:
    """An immediate as its signature word says."""
    if word in _FLAGS:
        return _flags(word, value)
    if word in _WORDS:
        return _word(word, value)
    shown = _INTEGERS.get(word)
    return shown(value) if shown else _plain(value)


def prctl_argument(option: int) -> str:
    """The word for the second argument: it depends on the first."""
    if option == constants.PR_CAPBSET_DROP:
        return "capability_drop"
    if option == constants.PR_CAP_AMBIENT:
        return "prctl_ambient"
    return "signal" if option == constants.PR_SET_PDEATHSIG else "int"


def _plain(value: int) -> str:
    return str(value) if -0x10000 < value < 0x10000 else hex(value)


def _or_null(value: int) -> str:
    return "NULL" if value == 0 else _plain(value)


def _device(value: int) -> str:
    """dev_t as the system call has it: new_encode_dev() in linux/kdev_t.h."""
    return f"{value >> 8 & 0xFFF}:{(value & 0xFF) | (value >> 12 & 0xFFF00)}"


def _socket(value: int) -> str:
    """socket(2): a type, and flags in the bits above it."""
    flags = [name for name in ("SOCK_CLOEXEC", "SOCK_NONBLOCK") if value & vars(constants)[name]]
    return "|".join([*flags, _word("socket_type", value & 0xF)])


_INTEGERS: dict[str, Callable[[int], str]] = {
    "int": str,
    "hex": _plain,
    "oct": lambda value: f"0{value:o}" if value > 0 else str(value),
    "fd": lambda value: "AT_FDCWD" if value == _AT_FDCWD else str(value),
    "text": _or_null,
    "bytes": _or_null,
    "content": _or_null,
    "buffer": _or_null,
    "strings": _or_null,
    "environment": _or_null,
    "device": _device,
    "socket": _socket,
}


def _constants(words: str) -> dict[str, int]:
    """The constants of a table's entry, as far as constants.py has them."""
    known = {name: value for name, value in vars(constants).items() if isinstance(value, int) and "__" not in name}
    chosen: dict[str, int] = {}
    for word in words.split():
        prefix = word.rstrip("*")
        chosen.update((n, v) for n, v in known.items() if n == word or (prefix != word and n.startswith(prefix)))
    return chosen


def _flags(word: str, value: int) -> str:
    if value == 0:
        return "O_RDONLY" if word == "open" else "0"
    signal = value & _SIGNAL_BITS if word == "clone" else 0
    left = value ^ signal
    names = []
    for name, bits in sorted(_constants(_FLAGS[word]).items(), key=lambda item: -item[1].bit_count()):
        if bits and left & bits == bits:
            names.append(name)
            left &= ~bits
    rest = [hex(left)] if left else []
    return "|".join([*sorted(names), *rest, *([f"signal {signal}"] if signal else [])])


def _word(word: str, value: int) -> str:
    for name, known in _constants(_WORDS[word]).items():
        if known == value:
            return name
    return _plain(value)
