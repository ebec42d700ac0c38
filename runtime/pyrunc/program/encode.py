"""Program -> the bytes that csrc/stage.c reads from its socket (csrc/assembler.c writes them).

    header       32 bytes: magic "PYRUNC1\0", operations u32, relocations u32, data size u32, zeros
    operations   72 bytes each: kind, into, tolerated count, negated or tries, number u16, target u16, argument kinds,
                 4 tolerated errnos u16, 6 arguments u64
    relocations  u32 each: offsets into data of 8-byte words to which the stage adds the data's address
    data         constants, strings, room for what calls write, and the tables of operations that run for each row

All little-endian: both supported architectures are.  The stage checks every index and extent again.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.program.builder import Program

MAGIC = b"PYRUNC1\0"
HEADER_SIZE = 32
OPERATION_SIZE = 72
NO_REGISTER = 0xFF


def encode(program: Program, numbers: Mapping[str, int]) -> bytes:
    """The program for the architecture whose system call numbers are `numbers`."""
    return program.encode(numbers)
