"""Mount option words, all of them."""

import pytest

from pyrunc.kernel import constants as k
from pyrunc.rootfs.options import known_words, parse_mount_options, split_data, words_without_effect

A = k.MOUNT_ATTR__ATIME
# word -> (sets, clears)
ATTRIBUTES = {
    "ro": (k.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, k.MOUNT_ATTR_RDONLY),
    "nosuid": (k.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, k.MOUNT_ATTR_NOSUID),
    "nodev": (k.MOUNT_ATTR_NODEV, 0),
    "dev": (0, k.MOUNT_ATTR_NODEV),
    "noexec": (k.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, k.MOUNT_ATTR_NOEXEC),
    "nodiratime": (k.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, k.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (k.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, k.MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (k.MOUNT_ATTR_NOATIME, A),
    "relatime": (k.MOUNT_ATTR_RELATIME, A),
    "strictatime": (k.MOUNT_ATTR_STRICTATIME, A),
    "atime": (k.MOUNT_ATTR_RELATIME, A),
    "norelatime": (k.MOUNT_ATTR_RELATIME, A),
    "nostrictatime": (k.MOUNT_ATTR_RELATIME, A),
}
PROPAGATIONS = {
    "private": (k.MS_PRIVATE, False),
    "rprivate": (k.MS_PRIVATE, True),
    "slave": (k.MS_SLAVE, False),
    "rslave": (k.MS_SLAVE, True),
    "shared": (k.MS_SHARED, False),
    "rshared": (k.MS_SHARED, True),
    "unbindable": (k.MS_UNBINDABLE, False),
    "runbindable": (k.MS_UNBINDABLE, True),
}
SUPER_FLAGS = {
    "sync": {"sync": True},
    "async": {"sync": False},
    "dirsync": {"dirsync": True},
    "lazytime": {"lazytime": True},
    "nolazytime": {"lazytime": False},
    "iversion": {"iversion": True},
    "noiversion": {"iversion": False},
    "rsync": {"sync": True},
    "rasync": {"sync": False},
    "rdirsync": {"dirsync": True},
}


@pytest.mark.parametrize("word", ATTRIBUTES)
def test_attribute(word: str) -> None:
    options = parse_mount_options((word,))
    assert (options.attributes.sets, options.attributes.clears) == ATTRIBUTES[word]
    assert not options.recursive_attributes
    assert options.data == []


@pytest.mark.parametrize("word", ATTRIBUTES)
def test_recursive_attribute(word: str) -> None:
    options = parse_mount_options(("r" + word,))
    assert (options.recursive_attributes.sets, options.recursive_attributes.clears) == ATTRIBUTES[word]
    assert not options.attributes
    assert options.data == []


@pytest.mark.parametrize("word", [*ATTRIBUTES, *("r" + word for word in ATTRIBUTES)])
def test_an_access_time_always_clears_the_field(word: str) -> None:
    """mount_setattr(2) refuses a choice of access times that does not (runc 1.3.5)."""
    options = parse_mount_options((word,))
    for attributes in (options.attributes, options.recursive_attributes):
        if attributes.sets & A or ("atime" in word.replace("diratime", "") and attributes):
            assert attributes.clears & A == A


@pytest.mark.parametrize("word", PROPAGATIONS)
def test_propagation(word: str) -> None:
    options = parse_mount_options((word,))
    assert options.propagations == [PROPAGATIONS[word]]
    assert options.data == []


@pytest.mark.parametrize("word", SUPER_FLAGS)
def test_flag_of_the_file_system(word: str) -> None:
    options = parse_mount_options((word,))
    assert options.super_flags == SUPER_FLAGS[word]
    assert options.data == []


@pytest.mark.parametrize("word", ["defaults", "mand", "nomand", "rmand", "rnomand", "silent", "loud"])
def test_word_without_effect(word: str) -> None:
    options = parse_mount_options((word,))
    assert not options.attributes
    assert (options.super_flags, options.data, options.propagations) == ({}, [], [])


@pytest.mark.parametrize(("words", "bind", "recursive"), [
    (["bind"], True, False), (["rbind"], True, True), (["rbind", "bind"], True, True), (["ro"], False, False),
])  # fmt: skip
def test_bind(words: list[str], bind: bool, recursive: bool) -> None:
    options = parse_mount_options(tuple(words))
    assert (options.is_bind, options.is_recursive) == (bind, recursive)


def test_extensions_are_not_data() -> None:
    options = parse_mount_options(("remount", "tmpcopyup", "ridmap"))
    assert options.is_remount
    assert options.copies_up
    assert options.idmap == "ridmap"
    assert options.data == []


@pytest.mark.parametrize(("word", "attribute"), [
    ("src-nofollow", "binds_link"), ("dest-nofollow", "covers_link"), ("copy-symlink", "copies_link"),
])  # fmt: skip
def test_links(word: str, attribute: str) -> None:
    options = parse_mount_options(("bind", word))
    names = ("binds_link", "covers_link", "copies_link")
    assert [name for name in names if getattr(options, name)] == [attribute]
    assert options.data == []


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_ranges_of_an_id_map(word: str) -> None:
    """crun's form; it holds no commas, and is no data."""
    options = parse_mount_options(("rbind", f"{word}=uids=0-1-2;gids=0-1-2"))
    assert (options.idmap, options.id_ranges, options.data) == (word, "uids=0-1-2;gids=0-1-2", [])


@pytest.mark.parametrize(("words", "sets", "clears"), [
    (["ro", "rw"], 0, k.MOUNT_ATTR_RDONLY),
    (["rw", "ro"], k.MOUNT_ATTR_RDONLY, 0),
    (["nosuid", "suid", "nosuid"], k.MOUNT_ATTR_NOSUID, 0),
    (["noatime", "atime"], k.MOUNT_ATTR_RELATIME, A),
    (["strictatime", "atime"], k.MOUNT_ATTR_STRICTATIME, A),  # it speaks against noatime only
    (["noatime", "strictatime"], k.MOUNT_ATTR_STRICTATIME, A),
    (["strictatime", "nostrictatime", "noatime"], k.MOUNT_ATTR_NOATIME, A),
    (["noatime", "norelatime"], k.MOUNT_ATTR_NOATIME, A),
    (["ro", "noexec", "dev"], k.MOUNT_ATTR_RDONLY | k.MOUNT_ATTR_NOEXEC, k.MOUNT_ATTR_NODEV),
])  # fmt: skip
def test_the_last_word_on_a_subject_wins(words: list[str], sets: int, clears: int) -> None:
    attributes = parse_mount_options(tuple(words)).attributes
    assert (attributes.sets, attributes.clears) == (sets, clears)


def test_silence_is_not_rw() -> None:
    assert not parse_mount_options(()).says_writable
    assert parse_mount_options(("rw",)).says_writable
    assert not parse_mount_options(("rw", "ro")).says_writable


@pytest.mark.parametrize(("text", "pairs"), [
    ("mode=755", [("mode", "755")]),
    ("mode=755,size=64k", [("mode", "755"), ("size", "64k")]),
    ("newinstance", [("newinstance", None)]),
    ("a,,b,", [("a", None), ("b", None)]),
    ("", []),
    ("key=", [("key", "")]),
    ("a=b=c", [("a", "b=c")]),
    ('context="system_u:object_r:x:s0:c1,c2",size=1', [("context", "system_u:object_r:x:s0:c1,c2"), ("size", "1")]),
    ('context="', [("context", '"')]),
    ("acl", [("acl", None)]),
    ("RO", [("RO", None)]),  # words are exact
    ("lowerdir=/a:/b", [("lowerdir", "/a:/b")]),
])  # fmt: skip
def test_data(text: str, pairs: list[tuple[str, str | None]]) -> None:
    assert parse_mount_options((text,)).data == pairs
    assert split_data(text) == pairs


def test_words_without_effect_on_a_bind() -> None:
    words = ("bind", "ro", "size=1", "sync", "rsync", "nosuid", "lazytime", "mand", "silent", "x", "rprivate", "idmap")
    assert words_without_effect(words) == ["size=1", "sync", "rsync", "lazytime", "mand", "x"]
    assert words_without_effect(("bind", "rmand")) == ["rmand"]
    assert words_without_effect(("bind", "ro", "nosuid", "rprivate", "idmap")) == []


def test_known_words_are_known() -> None:
    assert len(known_words()) == len(ATTRIBUTES) * 2 + len(PROPAGATIONS) + len(SUPER_FLAGS) + 7 + 6 + 3
    for word in known_words():
        assert parse_mount_options((word,)).data == [], word
    assert "rro" in known_words()  # containerd looks for it in `features`
