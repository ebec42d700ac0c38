"""Put the image of an initialised interpreter into the launcher: what csrc/image.c starts from.

usage: image.py EXECUTABLE LIBRARY [FILE FILE VERB,VERB...]...

FILE FILE are what two processes of EXECUTABLE wrote (--write-image), each loaded at an address of its own.  A word that
is the same in both is data.  One that differs by just the difference of the two addresses is an address in the
executable.  Anything else must be a word that the dynamic linker fills in, or there is no image: it would be an
address in libc, a time, a process id, or a hash of an address.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import NamedTuple

# image.h
PAGE = 4096
SPACE = 24 << 20
VERBS, VERB, LIBRARY, KEPT = 24, 16, 1024, 64
OPEN, CLOSED = b"pyrunc-0", b"pyrunc-1"
BOUNDS = struct.Struct("<4Q")
IMAGES = 2
IMAGE = struct.Struct(f"<{VERBS * VERB}s8I")
HEADER = struct.Struct(f"<8s{LIBRARY}s2I")

WORD = 8
ADDRESS_LIMIT = 1 << 47


class Refused(Exception):
    """There can be no image."""


class Saved(NamedTuple):
    base: int
    start: int
    before: bytes  # .data as the dynamic linker left it
    after: bytes


class Image(NamedTuple):
    verbs: list[str]
    indexes: list[int]
    bitmaps: bytes
    contents: bytes
    kept: list[int]
    unaligned: list[int]


def read_saved(path: Path) -> Saved:
    content = path.read_bytes()
    base, start, filled, _ = BOUNDS.unpack_from(content)
    size = filled - start
    before = content[BOUNDS.size : BOUNDS.size + size]
    at = BOUNDS.size + size
    _, _, _, end = BOUNDS.unpack_from(content, at)
    after = content[at + BOUNDS.size :]
    if len(after) != end - start:
        raise Refused(f"{path} is not complete")
    return Saved(base, start, before, after + bytes(-len(after) % PAGE))


def words(content: bytes) -> memoryview:
    return memoryview(content[: len(content) // WORD * WORD]).cast("Q")


def compare(one: Saved, other: Saved) -> tuple[set[int], set[int]]:
    """The indexes of the words that are addresses, and those that differ in another way."""
    delta = (other.base - one.base) % (1 << 64)
    if delta == 0:
        raise Refused("both processes were loaded at the same address: is address space randomisation off?")
    if len(one.after) != len(other.after):
        raise Refused(f"the two differ in size: {len(one.after)} and {len(other.after)}")
    addresses = set()
    others = set()
    second = words(other.after)
    for i, value in enumerate(words(one.after)):
        if value != second[i]:
            if (second[i] - value) % (1 << 64) == delta:
                addresses.add(i)
            else:
                others.add(i)
    return addresses, others


def unaligned_addresses(one: Saved, other: Saved, differing: set[int]) -> list[int]:
    """Byte offsets of addresses that lie across two words, and takes those words out of `differing`."""
    delta = other.base - one.base
    found = []
    explained: set[int] = set()
    for i in sorted(differing):
        for at in range(i * WORD - 6, i * WORD + WORD, 2):
            (value,) = struct.unpack_from("<Q", one.after, at)
            (second,) = struct.unpack_from("<Q", other.after, at)
            inside = one.base <= value < one.start + len(one.after)
            if inside and second - value == delta and at % WORD and at not in found[-4:]:
                found.append(at)
                explained |= {at // WORD, at // WORD + 1} & differing
    differing -= explained
    return found


def filled_by_linker(one: Saved, other: Saved, differing: set[int]) -> list[int]:
    """Those that hold what was there before anything ran: libc's addresses, which the next start finds there again."""
    kept = []
    before, before_other = words(one.before), words(other.before)
    after, after_other = words(one.after), words(other.after)
    strange = [i for i in differing if i >= len(before) or before[i] != after[i] or before_other[i] != after_other[i]]
    if strange:
        for i in sorted(strange)[:20]:
            where = one.start - one.base + i * WORD
            print(f"image: +{where:#x}: {after[i]:#x} and {after_other[i]:#x}", file=sys.stderr)
        raise Refused(f"{len(strange)} words differ and are no addresses of ours")
    kept = [i * WORD for i in sorted(differing)]
    if len(kept) > KEPT:
        raise Refused(f"the dynamic linker fills in {len(kept)} words: more than image.h has room for")
    return kept


def make_image(one: Saved, other: Saved, verbs: list[str]) -> Image:
    addresses, differing = compare(one, other)
    unaligned = unaligned_addresses(one, other, differing)
    kept = filled_by_linker(one, other, differing)
    content = bytearray(one.after)
    for at in [*(word * WORD for word in addresses), *unaligned]:
        (value,) = struct.unpack_from("<Q", content, at)
        struct.pack_into("<Q", content, at, (value - one.base) % (1 << 64))
    indexes, bitmaps, contents = [], [], []
    for index in range(len(content) // PAGE):
        at = index * PAGE
        if one.after[at : at + PAGE] == one.before[at : at + PAGE].ljust(PAGE, b"\0"):
            continue
        indexes.append(index)
        bitmaps.append(bitmap_of(range(at // WORD, (at + PAGE) // WORD), addresses))
        contents.append(bytes(content[at : at + PAGE]))
    return Image(verbs, indexes, b"".join(bitmaps), b"".join(contents), kept, unaligned)


def bitmap_of(page: range, addresses: set[int]) -> bytes:
    bits = sum(1 << number for number, word in enumerate(page) if word in addresses)
    return bits.to_bytes(PAGE // WORD // 8, "little")


class Space:
    """The section of the executable that is being filled."""

    def __init__(self) -> None:
        self.content = bytearray(SPACE)
        self.used = HEADER.size + IMAGES * IMAGE.size

    def put(self, content: bytes, alignment: int) -> int:
        at = -(-self.used // alignment) * alignment
        if at + len(content) > SPACE:
            raise Refused("the images are larger than image.h has room for")
        self.content[at : at + len(content)] = content
        self.used = at + len(content)
        return at


def fill(library: str, images: list[Image]) -> bytes:
    space = Space()
    HEADER.pack_into(space.content, 0, CLOSED, library.encode(errors="surrogateescape"), len(images), 0)
    for number, image in enumerate(images):
        verbs = b"".join(verb.encode().ljust(VERB, b"\0") for verb in image.verbs)
        indexes_at = space.put(struct.pack(f"<{len(image.indexes)}I", *image.indexes), WORD)
        kept_at = space.put(struct.pack(f"<{len(image.kept)}I", *image.kept), WORD)
        bitmaps_at = space.put(image.bitmaps, WORD)
        unaligned_at = space.put(struct.pack(f"<{len(image.unaligned)}I", *image.unaligned), WORD)
        contents_at = space.put(image.contents, PAGE)
        IMAGE.pack_into(
            space.content, HEADER.size + number * IMAGE.size, verbs, len(image.indexes), len(image.kept),
            len(image.unaligned), indexes_at, bitmaps_at, contents_at, kept_at, unaligned_at,
        )  # fmt: skip
    return bytes(space.content)


def main() -> None:
    executable, library, *rest = sys.argv[1:]
    path = Path(executable)
    content = bytearray(path.read_bytes())
    at = content.find(OPEN + bytes(4000))
    if at < 0 or content.find(OPEN + bytes(4000), at + 1) >= 0:
        raise SystemExit(f"image: {executable} has no place for an image")
    images = []
    try:
        for one, other, verbs in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            saved = read_saved(Path(one)), read_saved(Path(other))
            image = make_image(*saved, verbs.split(","))
            addresses = sum(byte.bit_count() for byte in image.bitmaps)
            print(f"image: {len(image.indexes)} pages, {addresses} + {len(image.unaligned)} addresses: {verbs}")
            images.append(image)
    except Refused as reason:
        raise SystemExit(f"image: {reason}") from None
    content[at : at + SPACE] = fill(library, images)
    path.write_bytes(content)


if __name__ == "__main__":
    main()
