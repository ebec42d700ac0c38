"""Slips of the pen that are no errors."""

from __future__ import annotations

from ocispec.config import read_config
from pyrunc.container.odd_words import odd_words
from unit.ocispec.minimal import minimal


def test_what_was_meant() -> None:
    document = minimal()
    document["mounts"] = [
        {"destination": "/x", "type": "tmpfs", "options": ["nosiud", "nosuid", "size=1m", "mode=755", "ab"]},
        {"destination": "/y", "type": "tmpfs", "options": ["rbnid", "inode64"]},
    ]
    document["process"]["capabilities"] = {"bounding": ["CAP_CHOWN", "CAP_CHWON", "CAP_NOTHING_LIKE_IT"]}
    rules = [{"names": ["mkdir", "mkdri", "nothing_like_it"], "action": "SCMP_ACT_ERRNO"}]
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    assert odd_words(read_config(document)) == [
        ("mounts[0].options[0]", '"nosiud" goes to the file system as it is (did you mean nosuid?)'),
        ("mounts[1].options[0]", '"rbnid" goes to the file system as it is (did you mean rbind?)'),
        ("linux.seccomp.syscalls[0].names[1]",
         '"mkdri" is no system call that this build knows, ignoring (did you mean mkdir?)'),
        ("process.capabilities.bounding[1]", '"CAP_CHWON" is unknown (did you mean CAP_CHOWN?)'),
    ]  # fmt: skip


def test_nothing_to_ask() -> None:
    assert odd_words(read_config(minimal())) == []
