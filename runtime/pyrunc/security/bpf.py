"""Classic BPF for seccomp: an assembler that works from the last instruction to the first.

All jumps of a filter go forward, so by the time a jump is emitted its targets stand already and every offset is known:
one pass, no fix-ups.  A place is a position counted from the end of the filter.  Conditional jumps reach 255
instructions (their offsets have 8 bits); a target farther away gets a stepping stone.

An instruction is an int, its struct sock_filter (linux/filter.h) read as a little-endian u64:
code u16, offset if true u8, offset if false u8, operand u32.
"""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # argument index, test (EQUAL, AT_LEAST, GREATER), negated, mask, datum
    Condition = tuple[int, int, bool, int, int]
    # all of the conditions -> the value to return
    Alternative = tuple[tuple[Condition, ...], int]

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS, linux/bpf_common.h

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: A = the word of struct seccomp_data at `operand`
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

# struct seccomp_data (linux/seccomp.h)
NUMBER = 0
ARCHITECTURE = 4
ARGUMENTS = 16

_WORD = 0xFFFFFFFF
_REACH = 253  # of 255: `jump` may put two stepping stones between itself and its targets


class Assembler:
    """Instructions in reverse order.  Every method returns the place of what it emitted."""

    __slots__ = ("_returns", "code")

    def __init__(self) -> None:
        self.code: list[int] = []
        self._returns: dict[int, int] = {}

    def answer(self, value: int) -> int:
        """`return value`; an equal one within reach is used again."""
        code = self.code
        place = self._returns.get(value, -1)
        if place < 0 or len(code) - place > _REACH:
            place = self._returns[value] = len(code)
            code.append(RETURN | value << 32)
        return place

    def _stepping_stone(self, place: int) -> int:
        """A place next to here that does the same: a copy of a return, else a long jump."""
        code = self.code
        there = code[place]
        code.append(there if there & 0xFFFF == RETURN else JUMP | len(code) - place - 1 << 32)
        return len(code) - 1

    def jump(self, test: int, operand: int, yes: int, no: int) -> int:
        """Go to `yes` if `A test operand`, else to `no`."""
        code = self.code
        if len(code) - yes > _REACH:
            yes = self._stepping_stone(yes)
        if len(code) - no > _REACH:
            no = self._stepping_stone(no)
        here = len(code)
        code.append(test | here - yes - 1 << 16 | here - no - 1 << 24 | operand << 32)
        return here

    def load(self, offset: int, then: int) -> int:
        """A = the word at `offset`, and go to `then`."""
        code = self.code
        if then != len(code) - 1:
            self._stepping_stone(then)
        code.append(LOAD | offset << 32)
        return len(code) - 1

    def search(self, starts: Sequence[int], leaves: Sequence[int], low: int, high: int) -> int:
        """A binary search: A in starts[i]..starts[i + 1] - 1 goes to leaves[i], for i from low to high - 1.

        A leaf is a value to return, or ~place.
        """
        if high - low == 1:
            return self._leaf(leaves[low])
        if high - low == 3 and leaves[low] == leaves[low + 2] and starts[low + 2] - starts[low + 1] == 1:
            return self.jump(EQUAL, starts[low + 1], self._leaf(leaves[low + 1]), self._leaf(leaves[low]))
        middle = (low + high) // 2
        above = self.search(starts, leaves, middle, high)
        below = self.search(starts, leaves, low, middle)
        return self.jump(AT_LEAST, starts[middle], above, below)

    def _leaf(self, leaf: int) -> int:
        return self.answer(leaf) if leaf >= 0 else ~leaf

    def alternatives(self, alternatives: Sequence[Alternative], bits: int, default: int) -> int:
        """The first alternative whose conditions all hold decides, else `default`."""
        otherwise = self.answer(default)
        for conditions, action in reversed(alternatives):
            yes = self.answer(action)
            for condition in reversed(conditions):
                yes = self._compare(condition, bits, yes, otherwise)
            otherwise = yes
        return otherwise

    def _compare(self, condition: Condition, bits: int, yes: int, no: int) -> int:
        """One condition.  Little-endian only: an argument's lower word comes first."""
        argument, test, negated, mask, datum = condition
        if negated:
            yes, no = no, yes
        lower = ARGUMENTS + 8 * argument
        place = self._compare_word(lower, test, mask & _WORD, datum & _WORD, yes, no)
        if bits == 32:
            return place
        upper_mask, upper_datum = mask >> 32, datum >> 32
        if test == EQUAL:
            return self._compare_word(lower + 4, EQUAL, upper_mask, upper_datum, place, no)
        place = self.jump(EQUAL, upper_datum, place, no)
        return self.load(lower + 4, self.jump(GREATER, upper_datum, yes, place))

    def _compare_word(self, offset: int, test: int, mask: int, datum: int, yes: int, no: int) -> int:
        if mask == 0:
            return yes  # nothing is compared
        place = self.jump(test, datum, yes, no)
        if mask != _WORD:
            self.code.append(AND | mask << 32)
            place += 1
        return self.load(offset, place)

    def instructions(self) -> bytes:
        """struct sock_filter[], first instruction first."""
        count = len(self.code)
        return Struct(f"<{count}Q").pack(*reversed(self.code))
