"""What an ELF file says of itself (elf(5)), read with struct: 64 bits, little endian, as all our machines are."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

HEADER = Struct("<16sHHIQQQIHHHHHH")
SEGMENT = Struct("<IIQQQQQQ")
DYNAMIC = Struct("<qQ")
RELOCATION = Struct("<QQq")
SYMBOL = Struct("<IBBHQQ")

ET_DYN = 3
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
PT_GNU_STACK, PT_GNU_RELRO = 0x6474E551, 0x6474E552
PF_X, PF_W = 1, 2
DT_NEEDED, DT_PLTRELSZ, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_STRSZ = 1, 2, 5, 6, 7, 8, 10
DT_RPATH, DT_TEXTREL, DT_JMPREL, DT_BIND_NOW, DT_RUNPATH, DT_FLAGS, DT_FLAGS_1 = 15, 22, 23, 24, 29, 30, 0x6FFFFFFB
DF_TEXTREL, DF_BIND_NOW, DF_1_NOW, DF_1_PIE = 4, 8, 1, 0x08000000
# Of x86_64 and aarch64: an address found by calling a function (indirect), which static-PIE does before main.
RELATIVE = {62: 8, 183: 1027}
IRELATIVE = {62: 37, 183: 1032}


class Segment(NamedTuple):
    type: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int


class Elf:
    """`segments` and the dynamic section; ValueError when it is no such file."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        if self.content[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no 64-bit little-endian ELF file")
        (_, self.type, self.machine, _, _, start, _, _, _, size, count, _, _, _) = HEADER.unpack_from(self.content)
        self.segments = [Segment(*SEGMENT.unpack_from(self.content, start + i * size)) for i in range(count)]
        self.dynamic = self._read_dynamic()

    def of_type(self, kind: int) -> list[Segment]:
        return [segment for segment in self.segments if segment.type == kind]

    def value(self, tag: int) -> int:
        """Of the first entry with this tag; 0 when there is none."""
        return next((value for found, value in self.dynamic if found == tag), 0)

    def strings(self, tag: int) -> list[str]:
        return [self._string(value) for found, value in self.dynamic if found == tag]

    @property
    def interpreter(self) -> str:
        """The dynamic linker that the kernel is to start; "" for a static executable."""
        found = self.of_type(PT_INTERP)
        return self._bytes(found[0]).rstrip(b"\0").decode() if found else ""

    def relocations(self) -> list[tuple[int, int]]:
        """(address, type) of all of them: .rela.dyn and .rela.plt."""
        found = []
        for table, size in ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)):
            at = self._offset(self.value(table)) if self.value(table) else 0
            for i in range(self.value(size) // RELOCATION.size):
                address, info, _ = RELOCATION.unpack_from(self.content, at + i * RELOCATION.size)
                found.append((address, info & 0xFFFFFFFF))
        return found

    def imported(self) -> set[str]:
        """Names of the dynamic symbols: they lie before the string table in everything that ld makes."""
        if not self.value(DT_SYMTAB):
            return set()
        start, end = self._offset(self.value(DT_SYMTAB)), self._offset(self.value(DT_STRTAB))
        names = (SYMBOL.unpack_from(self.content, at)[0] for at in range(start, end - SYMBOL.size + 1, SYMBOL.size))
        return {self._string(name) for name in names}

    def _read_dynamic(self) -> list[tuple[int, int]]:
        found = []
        for segment in self.of_type(PT_DYNAMIC):
            for tag, value in DYNAMIC.iter_unpack(self._bytes(segment)):
                if tag == 0:
                    break
                found.append((tag, value))
        return found

    def _bytes(self, segment: Segment) -> bytes:
        return self.content[segment.offset : segment.offset + segment.file_size]

    def _offset(self, address: int) -> int:
        for segment in self.of_type(PT_LOAD):
            if segment.address <= address < segment.address + segment.file_size:
                return segment.offset + address - segment.address
        raise ValueError(f"{address:#x} is in no segment")

    def _string(self, at: int) -> str:
        start = self._offset(self.value(DT_STRTAB)) + at
        return self.content[start : self.content.index(b"\0", start)].decode()
