"""Words that mean nothing here but nearly something: `validate` asks whether they were meant.

A mount option that nobody knows goes to the file system, a system call that nobody knows is left out, and so is a
capability: none is an error, all are likely to be a slip of the pen.
"""

from __future__ import annotations

from ocispec.reader import shown
from ocispec.spelling import closest
from ocispec.words import CAPABILITIES
from pyrunc.rootfs.options import known_words
from pyrunc.security.syscalls import columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocispec.config import Config

    Found = tuple[str, str]

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def odd_words(config: Config) -> list[Found]:
    """(place, question) pairs.  Pure."""
    return [*_options(config), *_system_calls(config), *_capabilities(config)]


def _options(config: Config) -> Iterator[Found]:
    known = known_words()
    for index, mount in enumerate(config.mounts):
        for number, word in enumerate(mount.options):
            # With a value it is the file system's, and of the short ones all are close to each other.
            if word not in known and "=" not in word and len(word) > 3:
                yield from _question(
                    f"mounts[{index}].options[{number}]", word, known, "goes to the file system as it is"
                )


def _system_calls(config: Config) -> Iterator[Found]:
    known = columns()
    for index, rule in enumerate(config.linux.seccomp.syscalls if config.linux.seccomp is not None else ()):
        for number, name in enumerate(rule.names):
            if name not in known:
                place = f"linux.seccomp.syscalls[{index}].names[{number}]"
                yield from _question(place, name, known, "is no system call that this build knows, ignoring")


def _capabilities(config: Config) -> Iterator[Found]:
    """The config's reader has said that they are unknown (config.md#linux-process)."""
    sets = config.process.capabilities if config.process is not None else None
    for key in _SETS if sets is not None else ():
        for number, name in enumerate(getattr(sets, key)):
            if name not in CAPABILITIES:
                yield from _question(f"process.capabilities.{key}[{number}]", name, CAPABILITIES, "is unknown")


def _question(place: str, word: str, known: Iterable[str], what: str) -> Iterator[Found]:
    meant = closest(word, known)
    if meant:
        yield place, f"{shown(word)} {what} (did you mean {meant}?)"
