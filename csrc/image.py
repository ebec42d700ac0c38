"""Make the image of an initialised interpreter from what two processes wrote, and put it into their executable.

usage: image.py EXECUTABLE LIBRARY [ONE OTHER VERB,VERB...]...      the last image serves every other verb, too

A file is three addresses (where the executable was loaded, the first saved byte, the end) and the memory from the one
to the other.  The two processes did the same at different addresses, so a word that differs by the difference of the
two addresses is an address in the executable.  Anything else that differs would be an address in another mapping, a
time, a process id, or a hash of an address: then there is no image.

The executable with an image needs neither what the linker put into that part of it nor its relocations: both go, and
the kernel maps plain zeroed memory there.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import NamedTuple

# image.h
PAGE = 4096
SPACE = 12 << 20
VERBS, VERB, LIBRARY = 24, 16, 1024
OPEN, CLOSED = b"pyrunc-0", b"pyrunc-1"
BOUNDS = struct.Struct("<3Q")
IMAGES = 3
IMAGE = struct.Struct(f"<{VERBS * VERB}s8I")
RUN = struct.Struct("<2I")
HEADER = struct.Struct(f"<8s{LIBRARY}s2I")

WORD = 8
BITMAP = PAGE // WORD // 8  # bytes a page
GAP = 8  # pages

# elf(5), for a little-endian ELF64
ELF_HEADER = struct.Struct("<16s2HI3QI6H")
PROGRAM_HEADER = struct.Struct("<2I6Q")
DYNAMIC = struct.Struct("<2Q")
RELA = struct.Struct("<3Q")
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_RELA, DT_RELASZ, DT_RELACOUNT = 0, 7, 8, 0x6FFFFFF9
RELATIVE = {62: 8, 183: 1027}  # e_machine: x86_64, aarch64


class Refused(Exception):
    """There can be no image."""


class Saved(NamedTuple):
    base: int
    start: int
    memory: bytes


class Image(NamedTuple):
    verbs: list[str]
    pages: int  # of which those in the runs are not zero
    runs: list[tuple[int, int]]  # first page, number of pages
    contents: bytes
    bitmaps: bytes
    unaligned: list[int]


def read_saved(path: Path) -> Saved:
    content = path.read_bytes()
    base, start, end = BOUNDS.unpack_from(content)
    memory = content[BOUNDS.size :]
    if len(memory) != end - start:
        raise Refused(f"{path} is not complete")
    return Saved(base, start, memory + bytes(-len(memory) % PAGE))


def compare(one: Saved, other: Saved) -> tuple[set[int], set[int]]:
    """The indexes of the words that are addresses, and those that differ in another way."""
    delta = (other.base - one.base) % (1 << 64)
    if delta == 0:
        raise Refused("both processes were loaded at the same address: is address space randomisation off?")
    if len(one.memory) != len(other.memory):
        raise Refused(f"the two differ in size: {len(one.memory)} and {len(other.memory)}")
    addresses, others = set(), set()
    second = memoryview(other.memory).cast("Q")
    for i, value in enumerate(memoryview(one.memory).cast("Q")):
        if value != second[i]:
            found = addresses if (second[i] - value) % (1 << 64) == delta else others
            found.add(i)
    return addresses, others


def unaligned_addresses(one: Saved, other: Saved, differing: set[int]) -> list[int]:
    """Byte offsets of addresses that lie across two words, and takes those words out of `differing`."""
    delta = other.base - one.base
    found: list[int] = []
    explained: set[int] = set()
    for i in sorted(differing):
        for at in range(i * WORD - 6, i * WORD + WORD, 2):
            (value,) = struct.unpack_from("<Q", one.memory, at)
            (second,) = struct.unpack_from("<Q", other.memory, at)
            inside = one.base <= value < one.start + len(one.memory)
            if inside and second - value == delta and at % WORD and at not in found[-4:]:
                found.append(at)
                explained |= {at // WORD, at // WORD + 1} & differing
    differing -= explained
    return found


def make_image(one: Saved, other: Saved, verbs: list[str]) -> Image:
    addresses, differing = compare(one, other)
    unaligned = unaligned_addresses(one, other, differing)
    if differing:
        for i in sorted(differing)[:20]:
            print(f"image: +{one.start - one.base + i * WORD:#x} differs and is no address of ours", file=sys.stderr)
        raise Refused(f"{len(differing)} words differ and are no addresses of ours")
    content = bytearray(one.memory)
    for at in [*(word * WORD for word in addresses), *unaligned]:
        (value,) = struct.unpack_from("<Q", content, at)
        struct.pack_into("<Q", content, at, (value - one.base) % (1 << 64))
    bitmaps = bytearray(len(content) // WORD // 8)
    for word in addresses:
        bitmaps[word // 8] |= 1 << word % 8
    runs = runs_of(content)
    return Image(
        verbs,
        len(content) // PAGE,
        runs,
        b"".join(content[first * PAGE : (first + count) * PAGE] for first, count in runs),
        b"".join(bitmaps[first * BITMAP : (first + count) * BITMAP] for first, count in runs),
        unaligned,
    )


def runs_of(content: bytes) -> list[tuple[int, int]]:
    """The pages that are not zero, as (first, how many); a few zeros between them cost less than a system call."""
    runs: list[tuple[int, int]] = []
    for page in range(len(content) // PAGE):
        if content.count(0, page * PAGE, (page + 1) * PAGE) == PAGE:
            continue
        if runs and page - sum(runs[-1]) <= GAP:
            runs[-1] = runs[-1][0], page + 1 - runs[-1][0]
        else:
            runs.append((page, 1))
    return runs


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
        unaligned_at = space.put(struct.pack(f"<{len(image.unaligned)}I", *image.unaligned), WORD)
        runs_at = space.put(b"".join(RUN.pack(*run) for run in image.runs), WORD)
        bitmaps_at = space.put(image.bitmaps, WORD)
        contents_at = space.put(image.contents, PAGE)
        IMAGE.pack_into(
            space.content, HEADER.size + number * IMAGE.size, verbs, image.pages, len(image.runs), runs_at, contents_at,
            bitmaps_at, len(image.unaligned), unaligned_at, 0,
        )  # fmt: skip
    return bytes(space.content)


class Executable:
    """An ELF file whose last segment is what the image replaces (image.ld)."""

    def __init__(self, content: bytearray) -> None:
        self.content = content
        header = ELF_HEADER.unpack_from(content)
        self.machine, self.headers_at, self.headers = header[2], header[5], header[10]

    def segments(self) -> list[tuple[int, ...]]:
        size = PROGRAM_HEADER.size
        return [PROGRAM_HEADER.unpack_from(self.content, self.headers_at + i * size) for i in range(self.headers)]

    def offset(self, address: int) -> int:
        for kind, _, offset, start, _, filled, _, _ in self.segments():
            if kind == PT_LOAD and start <= address < start + filled:
                return offset + address - start
        raise Refused(f"nothing is loaded at {address:#x}")

    def drop_last_segment(self) -> None:
        """Its relocations, its content in the file, and the section headers, which would no longer be true."""
        loads = [(i, segment) for i, segment in enumerate(self.segments()) if segment[0] == PT_LOAD]
        number, (kind, flags, offset, start, physical, _, size, alignment) = loads[-1]
        self._drop_relocations(start, start + size)
        at = self.headers_at + number * PROGRAM_HEADER.size
        PROGRAM_HEADER.pack_into(self.content, at, kind, flags, offset, start, physical, 0, size, alignment)
        header = list(ELF_HEADER.unpack_from(self.content))
        header[6] = header[11] = header[12] = header[13] = 0
        ELF_HEADER.pack_into(self.content, 0, *header)
        _, before = loads[-2]
        del self.content[before[2] + before[5] :]

    def _drop_relocations(self, start: int, end: int) -> None:
        entries = {}
        (dynamic,) = (segment for segment in self.segments() if segment[0] == PT_DYNAMIC)
        for at in range(dynamic[2], dynamic[2] + dynamic[5], DYNAMIC.size):
            tag, value = DYNAMIC.unpack_from(self.content, at)
            entries[tag] = at, value
            if tag == DT_NULL:
                break
        table = self.offset(entries[DT_RELA][1])
        size = entries[DT_RELASZ][1]
        kept = []
        for relocation in RELA.iter_unpack(self.content[table : table + size]):
            if not start <= relocation[0] < end:
                kept.append(relocation)
            elif relocation[1] != RELATIVE[self.machine]:
                # What the processor decides at start (IRELATIVE) would be this machine's decision for ever.
                raise Refused(f"a relocation of type {relocation[1] & 0xFFFFFFFF} at {relocation[0]:#x}")
        packed = b"".join(RELA.pack(*relocation) for relocation in kept)
        self.content[table : table + size] = packed.ljust(size, b"\0")
        relative = sum(relocation[1] == RELATIVE[self.machine] for relocation in kept)
        for tag, value in ((DT_RELASZ, len(packed)), (DT_RELACOUNT, relative)):
            DYNAMIC.pack_into(self.content, entries[tag][0], tag, value)


def main() -> None:
    name, library, *rest = sys.argv[1:]
    path = Path(name)
    content = bytearray(path.read_bytes())
    at = content.find(OPEN + bytes(4000))
    if at < 0 or content.find(OPEN + bytes(4000), at + 1) >= 0:
        raise SystemExit(f"image: {name} has no place for an image")
    images = []
    try:
        for one, other, verbs in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            image = make_image(read_saved(Path(one)), read_saved(Path(other)), verbs.split(","))
            addresses = sum(byte.bit_count() for byte in image.bitmaps)
            print(f"image: {len(image.contents) // PAGE} of {image.pages} pages, {addresses} addresses: {verbs}")
            images.append(image)
        content[at : at + SPACE] = fill(library, images)
        if images:
            Executable(content).drop_last_segment()
    except Refused as reason:
        raise SystemExit(f"image: {reason}") from None
    path.write_bytes(content)


if __name__ == "__main__":
    main()
