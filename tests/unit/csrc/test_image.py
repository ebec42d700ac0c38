"""csrc/image.py: which words of two processes' memory are addresses, and what refuses an image."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "csrc"))
import image

sys.path.pop(0)

PAGE = image.PAGE
BASES = (0x5555_0000_0000, 0x7FFF_1234_5000)
START = 0x20_0000  # from the base to what is saved


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def saved(base: int, content: bytes) -> image.Saved:
    return image.Saved(base, base + START, content + bytes(-len(content) % PAGE))


def pair(make: object) -> tuple[image.Saved, image.Saved]:
    """The memory that `make(base)` says, of two processes."""
    return tuple(saved(base, make(base)) for base in BASES)  # type: ignore[operator, return-value]


def restored(made: image.Image, base: int) -> bytes:
    """What image.c makes of it, in Python."""
    memory = bytearray(made.pages * PAGE)
    contents, bitmaps = made.contents, made.bitmaps
    for first, count in made.runs:
        memory[first * PAGE : (first + count) * PAGE] = contents[: count * PAGE]
        for word in range(count * PAGE // 8):
            if bitmaps[word // 8] >> word % 8 & 1:
                add(memory, first * PAGE + word * 8, base)
        contents, bitmaps = contents[count * PAGE :], bitmaps[count * image.BITMAP :]
    for at in made.unaligned:
        add(memory, at, base)
    return bytes(memory)


def add(memory: bytearray, at: int, base: int) -> None:
    (value,) = struct.unpack_from("<Q", memory, at)
    struct.pack_into("<Q", memory, at, (value + base) % (1 << 64))


def test_what_moves_with_the_base_is_an_address() -> None:
    one, other = pair(lambda base: words(7, base + START + 16, 0, base - 8, 2**64 - 1))
    made = image.make_image(one, other, ["create"])
    assert made.bitmaps[0] == 0b01010
    for here in (one, other, saved(0x1000_0000, words(7, 0x1000_0000 + START + 16, 0, 0x1000_0000 - 8, 2**64 - 1))):
        assert restored(made, here.base) == here.memory


def test_addresses_across_two_words_at_even_offsets() -> None:
    """As CPython 3.11 has them in its inline caches."""

    def memory(base: int) -> bytes:
        content = bytearray(words(1, 2, 3, 4, 5, 6))
        struct.pack_into("<Q", content, 10, base + START + 24)
        struct.pack_into("<Q", content, 30, base + START + 40)
        return bytes(content)

    one, other = pair(memory)
    made = image.make_image(one, other, ["run"])
    assert made.unaligned == [10, 30]
    assert restored(made, other.base) == other.memory


@pytest.mark.parametrize(
    "second",
    [words(1, 3), words(1, BASES[1]), words(1, 2 + BASES[1] - BASES[0] + 8)],
    ids=["a time", "an address of the other mapping", "off by eight"],
)
def test_anything_else_that_differs_refuses(second: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(image.Refused, match="1 words differ"):
        image.make_image(saved(BASES[0], words(1, 2)), saved(BASES[1], second), ["run"])
    assert "+0x200008 differs" in capsys.readouterr().err


def test_what_cannot_be_compared() -> None:
    one = saved(BASES[0], words(1))
    with pytest.raises(image.Refused, match="randomisation"):
        image.compare(one, one)
    with pytest.raises(image.Refused, match="differ in size"):
        image.compare(one, saved(BASES[1], words(1) * 600))


def test_zero_pages_are_left_out_unless_they_are_few() -> None:
    filled, zero = b"\x01" * PAGE, bytes(PAGE)
    assert image.runs_of(filled + zero * 2 + filled + zero * 20 + filled * 2) == [(0, 4), (24, 2)]
    assert image.runs_of(zero * 3) == []


def test_random_memory_comes_back() -> None:
    random = Random(20)
    for _ in range(5):
        kinds = [random.choice((0, 0, 1, 2)) for _ in range(PAGE // 8 * 3)]
        values = [random.randrange(1 << 40) for _ in kinds]

        def memory(base: int, kinds: list[int] = kinds, values: list[int] = values) -> bytes:
            found = [
                base + value % (1 << 21) if kind == 1 else value * (kind == 2)
                for kind, value in zip(kinds, values, strict=True)
            ]
            return words(*found)

        one, other = pair(memory)
        made = image.make_image(one, other, [])
        assert restored(made, one.base) == one.memory
        assert restored(made, other.base) == other.memory


def test_a_saved_file(tmp_path: Path) -> None:
    path = tmp_path / "small.1"
    path.write_bytes(image.BOUNDS.pack(BASES[0], BASES[0] + START, BASES[0] + START + 16) + words(1, 2))
    assert image.read_saved(path) == saved(BASES[0], words(1, 2))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(image.Refused, match="not complete"):
        image.read_saved(path)
