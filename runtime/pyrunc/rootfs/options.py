"""Mount options as words -> what the kernel is asked for.  Pure.

Options count in the order they are listed, as for mount(8): the last word on a subject wins.  What no table knows goes
to the file system as data (config.md#linux-mount-options).

Access times are one choice of three (mount_setattr(2), MOUNT_ATTR__ATIME), not three flags: whoever sets one must
clear the field, or the kernel says EINVAL.
"""

from __future__ import annotations

from pyrunc.kernel.constants import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)

# word -> (attributes it sets, attributes it clears)
_FLAGS = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
}
_ACCESS_TIMES = {
    "noatime": MOUNT_ATTR_NOATIME,
    "relatime": MOUNT_ATTR_RELATIME,
    "strictatime": MOUNT_ATTR_STRICTATIME,
}
# A word against one choice leaves the kernel's default, which is relatime (mount(2), since Linux 2.6.30).
_AGAINST_ACCESS_TIMES = {
    "atime": MOUNT_ATTR_NOATIME,
    "norelatime": MOUNT_ATTR_RELATIME,
    "nostrictatime": MOUNT_ATTR_STRICTATIME,
}
PROPAGATIONS = {
    "private": (MS_PRIVATE, False),
    "rprivate": (MS_PRIVATE, True),
    "slave": (MS_SLAVE, False),
    "rslave": (MS_SLAVE, True),
    "shared": (MS_SHARED, False),
    "rshared": (MS_SHARED, True),
    "unbindable": (MS_UNBINDABLE, False),
    "runbindable": (MS_UNBINDABLE, True),
}
# Flags of the file system itself: word -> (subject, on).  A bind mount has none of its own: they are ignored there.
_SUPER_FLAGS = {
    "sync": ("sync", True),
    "async": ("sync", False),
    "dirsync": ("dirsync", True),
    "lazytime": ("lazytime", True),
    "nolazytime": ("lazytime", False),
    "iversion": ("iversion", True),
    "noiversion": ("iversion", False),
    # crun's.  A new file system has nothing mounted below it yet.
    "rsync": ("sync", True),
    "rasync": ("sync", False),
    "rdirsync": ("dirsync", True),
}
# mandatory locking is gone since Linux 5.15, our baseline; silent only ever silenced the kernel's log
_WITHOUT_EFFECT = ("defaults", "mand", "nomand", "rmand", "rnomand", "silent", "loud")

_RECURSIVE_FLAGS = {"r" + word: bits for word, bits in _FLAGS.items()}
_RECURSIVE_ACCESS_TIMES = {"r" + word: choice for word, choice in _ACCESS_TIMES.items()}
_RECURSIVE_AGAINST = {"r" + word: choice for word, choice in _AGAINST_ACCESS_TIMES.items()}

_TABLES = (
    _FLAGS,
    _ACCESS_TIMES,
    _AGAINST_ACCESS_TIMES,
    PROPAGATIONS,
    _SUPER_FLAGS,
    _RECURSIVE_FLAGS,
    _RECURSIVE_ACCESS_TIMES,
    _RECURSIVE_AGAINST,
)
# crun's: word -> the attribute of MountOptions that it sets
_LINKS = {"src-nofollow": "binds_link", "dest-nofollow": "covers_link", "copy-symlink": "copies_link"}
OTHER_WORDS = ("bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", *_LINKS, *_WITHOUT_EFFECT)


class Attributes:
    """What mount_setattr(2) sets and clears.  `clears` holds what was asked to be off, and the access-time field."""

    __slots__ = ("clears", "sets")

    def __init__(self, sets: int = 0, clears: int = 0) -> None:
        self.sets = sets
        self.clears = clears

    def __bool__(self) -> bool:
        return bool(self.sets or self.clears)

    def flag(self, sets: int, clears: int) -> None:
        self.sets = (self.sets & ~clears) | sets
        self.clears = (self.clears & ~sets) | clears

    def access_time(self, choice: int) -> None:
        self.sets = (self.sets & ~MOUNT_ATTR__ATIME) | choice
        self.clears |= MOUNT_ATTR__ATIME

    def not_access_time(self, choice: int) -> None:
        if not self.clears & MOUNT_ATTR__ATIME or self.sets & MOUNT_ATTR__ATIME == choice:
            self.access_time(MOUNT_ATTR_RELATIME)


class MountOptions:
    """The words of one mount, understood."""

    __slots__ = (
        "attributes",
        "binds_link",
        "copies_link",
        "copies_up",
        "covers_link",
        "data",
        "id_ranges",
        "idmap",
        "is_bind",
        "is_recursive",
        "is_remount",
        "propagations",
        "recursive_attributes",
        "super_flags",
    )

    def __init__(self) -> None:
        self.attributes = Attributes()  # of the mount
        self.recursive_attributes = Attributes()  # of the mount and all mounts below it
        self.propagations: list[tuple[int, bool]] = []  # (MS_ flag, recursive), applied in this order
        self.super_flags: dict[str, bool] = {}  # of the file system: sync, dirsync, lazytime, iversion
        self.data: list[tuple[str, str | None]] = []  # for the file system: (key, value), None for a bare word
        self.is_bind = False
        self.is_recursive = False  # rbind
        self.is_remount = False
        self.copies_up = False  # tmpcopyup
        self.binds_link = False  # src-nofollow: a link as the source is what is mounted, not what it leads to
        self.covers_link = False  # dest-nofollow: a link as the destination is covered, not what it leads to
        self.copies_link = False  # copy-symlink: a link as the source is made again, and nothing is mounted
        self.idmap = ""  # "", "idmap" or "ridmap"
        self.id_ranges = ""  # crun's `idmap=…`: the maps, as text (rootfs/idmaps.py)

    @property
    def is_read_only(self) -> bool:
        return bool(self.attributes.sets & MOUNT_ATTR_RDONLY)

    @property
    def says_writable(self) -> bool:
        """Whether the last word on it is rw: not the same as silence when something is remounted."""
        return bool(self.attributes.clears & MOUNT_ATTR_RDONLY)

    def has_data(self, key: str) -> bool:
        return any(known == key for known, _value in self.data)


_parsed: dict[tuple[str, ...], MountOptions] = {}


def parse_mount_options(words: tuple[str, ...]) -> MountOptions:
    """Never fails: what is unknown is data, and the file system judges it.

    The same object for the same words: several readers ask, and the mounts of one container are much alike (a create
    with 50 of them asked 200 times).  Nobody changes it.
    """
    known = _parsed.get(words)
    if known is None:
        known = _parsed[words] = _parse(words)
    return known


def _parse(words: tuple[str, ...]) -> MountOptions:
    options = MountOptions()
    for word in words:
        if "=" in word:  # no word of ours has it, but for crun's maps
            _parse_data(options, word)
        elif not (_parse_flag(options, word) or _parse_other(options, word)):
            options.data.extend(split_data(word))
    return options


def _parse_data(options: MountOptions, word: str) -> None:
    if word.startswith(("idmap=", "ridmap=")):
        options.idmap, _equals, options.id_ranges = word.partition("=")
    else:
        options.data.extend(split_data(word))


def _parse_flag(options: MountOptions, word: str) -> bool:
    if word in _FLAGS:
        options.attributes.flag(*_FLAGS[word])
    elif word in _ACCESS_TIMES:
        options.attributes.access_time(_ACCESS_TIMES[word])
    elif word in _AGAINST_ACCESS_TIMES:
        options.attributes.not_access_time(_AGAINST_ACCESS_TIMES[word])
    elif word in _RECURSIVE_FLAGS:
        options.recursive_attributes.flag(*_RECURSIVE_FLAGS[word])
    elif word in _RECURSIVE_ACCESS_TIMES:
        options.recursive_attributes.access_time(_RECURSIVE_ACCESS_TIMES[word])
    elif word in _RECURSIVE_AGAINST:
        options.recursive_attributes.not_access_time(_RECURSIVE_AGAINST[word])
    else:
        return False
    return True


def _parse_other(options: MountOptions, word: str) -> bool:
    if word in PROPAGATIONS:
        options.propagations.append(PROPAGATIONS[word])
    elif word in _SUPER_FLAGS:
        subject, on = _SUPER_FLAGS[word]
        options.super_flags[subject] = on
    elif word in ("bind", "rbind"):
        options.is_bind = True
        options.is_recursive = options.is_recursive or word == "rbind"
    elif word == "remount":
        options.is_remount = True
    elif word == "tmpcopyup":
        options.copies_up = True
    elif word in _LINKS:
        setattr(options, _LINKS[word], True)
    elif word in ("idmap", "ridmap"):
        options.idmap = word
    else:
        return word in _WITHOUT_EFFECT
    return True


def split_data(text: str) -> list[tuple[str, str | None]]:
    """`mode=755,size=64k` -> [("mode", "755"), ("size", "64k")]; commas in double quotes separate nothing.

    Quotes around a whole value are for mount(2), which sees one string; fsconfig(2) wants the value bare.
    """
    parts: list[str] = []
    begin = 0
    is_quoted = False
    for position, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            parts.append(text[begin:position])
            begin = position + 1
    parts.append(text[begin:])
    return [_split_pair(part) for part in parts if part]


def _split_pair(part: str) -> tuple[str, str | None]:
    key, equals, value = part.partition("=")
    if not equals:
        return key, None
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return key, value


def words_without_effect(words: tuple[str, ...]) -> list[str]:
    """What a bind mount has no use for: flags of a file system, and options that only a file system understands.

    runc 1.1 and crun hand them to the kernel, which ignores them (mount(2), MS_BIND).
    """
    whole = parse_mount_options(words)
    if not (whole.super_flags or whole.data or "mand" in words or "rmand" in words):
        return []
    ignored = []
    for word in words:
        options = parse_mount_options((word,))
        if options.super_flags or options.data or word in ("mand", "rmand"):
            ignored.append(word)
    return ignored


def known_words() -> tuple[str, ...]:
    """Every option that is not data: what `pyrunc features` lists as mountOptions."""
    return tuple(sorted({word for table in _TABLES for word in table} | set(OTHER_WORDS)))
