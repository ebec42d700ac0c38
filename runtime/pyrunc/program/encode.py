"""Program -> the bytes that csrc/stage.c reads from its socket.

    header       32 bytes: magic "PYRUNC1\\0", operations u32, relocations u32, data size u32, zeros
    operations   72 bytes each, see _OPERATION
    relocations  u32 each: offsets into data of 8-byte words to which the stage adds the data's address
    data

All little-endian: both supported architectures are.  The stage checks every index and extent again.
"""

from __future__ import annotations

from _struct import Struct

from pyrunc.program.operations import (
    CALL,
    IMMEDIATE,
    MAX_ARGUMENTS,
    MAX_TOLERATED,
    NEXT,
    POINTER,
    REGISTER,
    Pointer,
    Register,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Operation

MAGIC = b"PYRUNC1\0"
_HEADER = Struct("<8sIII12x")
# kind, into, tolerated count, negated, number, target, argument kinds, pad, tolerated errnos, arguments
_OPERATION = Struct("<BBBBHH6s2x4H6Q")
HEADER_SIZE = _HEADER.size
OPERATION_SIZE = _OPERATION.size
NO_REGISTER = 0xFF
_MASK64 = (1 << 64) - 1
_PAD_TOLERATED = ((0, 0, 0, 0), (0, 0, 0), (0, 0), (0,), ())


def encode(program: Program, numbers: Mapping[str, int]) -> bytes:
    """The program for the architecture whose system call numbers are `numbers`."""
    count = len(program.operations)
    encoded = bytearray(HEADER_SIZE + OPERATION_SIZE * count)
    _HEADER.pack_into(encoded, 0, MAGIC, count, len(program.relocations), len(program.data))
    offset = HEADER_SIZE
    for index, operation in enumerate(program.operations):
        _encode_operation(encoded, offset, operation, index, count, numbers)
        offset += OPERATION_SIZE
    for word in program.relocations:
        encoded += word.to_bytes(4, "little")
    return bytes(encoded + program.data)


def _encode_operation(
    encoded: bytearray, offset: int, operation: Operation, index: int, count: int, numbers: Mapping[str, int]
) -> None:
    kinds = bytearray(MAX_ARGUMENTS)
    values = [0] * MAX_ARGUMENTS
    for i, argument in enumerate(operation.arguments):
        kind = type(argument)
        if kind is Pointer:
            kinds[i] = POINTER
            values[i] = argument.offset | argument.size << 32  # type: ignore[union-attr]
        elif kind is Register:
            kinds[i] = REGISTER
            values[i] = argument.index  # type: ignore[union-attr]
        else:
            kinds[i] = IMMEDIATE
            values[i] = argument & _MASK64  # type: ignore[operator]
    tolerated = operation.tolerated
    if len(tolerated) > MAX_TOLERATED:
        raise ValueError(f"{operation.name} tolerates more than {MAX_TOLERATED} errnos")
    _OPERATION.pack_into(
        encoded,
        offset,
        operation.kind,
        NO_REGISTER if operation.into is None else operation.into.index,
        len(tolerated),
        operation.negated,
        numbers[operation.name] if operation.kind == CALL else operation.number,
        _target_index(operation, index, count),
        bytes(kinds),
        *tolerated,
        *_PAD_TOLERATED[len(tolerated)],
        *values,
    )


def _target_index(operation: Operation, index: int, count: int) -> int:
    if operation.target is None:
        return NEXT
    target = operation.target.index
    if not index < target <= count:
        raise ValueError(f"{operation.name} jumps from {index} to {target}: jumps go forward")
    return target
