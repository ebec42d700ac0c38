"""What the linker and the compiler were asked for is in what they made: PIE, full RELRO, canaries; ASLR stays on.

The stage is another kind of program: static, at one address, and without data that could be written, so there is
nothing for RELRO to protect (csrc/build_stage.sh).  A position independent one would have to relocate itself.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import elf
from elf import Elf
from launchers import KINDS, LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE = ("static", "shared")
OWN_LIBRARIES = ("_pyrunc_helper.abi3.so", "_pyrunc_json.*.so", "_pyrunc_assembler.*.so")
# Of csrc/*.c those with functions that have arrays on their stack: what -fstack-protector-strong is about.
GUARDED = ("helper.pyrunc.o", "interpreter.pyrunc.o")
# mov %fs:0x28,REG: the canary (x86-64 psABI, TLS layout of glibc).
CANARY = re.compile(rb"\x64[\x48\x4c]\x8b[\x04\x0c\x14\x1c\x24\x2c\x34\x3c]\x25\x28\x00\x00\x00")
X86_64, AARCH64 = 62, 183
# Relocations that make a pointer to code: R_X86_64_GLOB_DAT, JUMP_SLOT; R_AARCH64_GLOB_DAT, JUMP_SLOT.
CODE_POINTERS = {X86_64: (6, 7), AARCH64: (1025, 1026)}
PATIENCE = 10  # seconds


def is_lazily_bound(file: Elf) -> bool:
    """A static executable has no dynamic linker that could bind anything later, so nothing is left for it to bind."""
    now = file.value(elf.DT_FLAGS) & elf.DF_BIND_NOW or file.value(elf.DT_FLAGS_1) & elf.DF_1_NOW
    if any(tag == elf.DT_NEEDED for tag, _ in file.dynamic):
        return not (now or any(tag == elf.DT_BIND_NOW for tag, _ in file.dynamic))
    harmless = (elf.RELATIVE[file.machine], elf.IRELATIVE[file.machine])
    return any(kind not in harmless for _, kind in file.relocations())


def has_writable_code_pointers(file: Elf) -> bool:
    """Slots of the GOT, after relocation: all inside what RELRO makes read-only."""
    kinds = (*CODE_POINTERS[file.machine], elf.IRELATIVE[file.machine])
    protected = [range(s.address, s.address + s.memory_size) for s in file.of_type(elf.PT_GNU_RELRO)]
    slots = [address for address, kind in file.relocations() if kind in kinds]
    return any(not any(slot in part for part in protected) for slot in slots)


def has_executable_stack(file: Elf) -> bool:
    stack = file.of_type(elf.PT_GNU_STACK)
    return not stack or bool(stack[0].flags & elf.PF_X)


def has_writable_code(file: Elf) -> bool:
    both = elf.PF_X | elf.PF_W
    return any(segment.flags & both == both for segment in file.of_type(elf.PT_LOAD))


def has_text_relocations(file: Elf) -> bool:
    flagged = file.value(elf.DT_FLAGS) & elf.DF_TEXTREL
    return bool(flagged) or any(tag == elf.DT_TEXTREL for tag, _ in file.dynamic)


def has_no_canary(file: Elf) -> bool:
    if file.imported() & {"__stack_chk_fail", "__stack_chk_guard"}:
        return False
    return file.machine == X86_64 and not CANARY.search(file.content)


CHECKS: dict[str, Callable[[Elf], bool]] = {
    "fixed address": lambda file: file.type != elf.ET_DYN,
    "no RELRO": lambda file: not file.of_type(elf.PT_GNU_RELRO),
    "lazy binding": is_lazily_bound,
    "writable code pointers": has_writable_code_pointers,
    "executable stack": has_executable_stack,
    "writable code": has_writable_code,
    "text relocations": has_text_relocations,
    "run path": lambda file: bool(file.strings(elf.DT_RUNPATH) + file.strings(elf.DT_RPATH)),
    "no canary": has_no_canary,
}


def faults(path: Path) -> list[str]:
    file = Elf(path)
    return [name for name, has_fault in CHECKS.items() if has_fault(file)]


def test_static_launcher(launchers: dict[str, Path]) -> None:
    assert faults(launchers["static"]) == []


def test_static_launcher_has_no_dynamic_linker(launchers: dict[str, Path]) -> None:
    assert Elf(launchers["static"]).interpreter == ""


def test_shared_launcher(launchers: dict[str, Path]) -> None:
    """Its run path is what LD_LIBRARY_PATH comes after: an RPATH, of directories that only root can write to."""
    assert faults(launchers["shared"]) == ["run path"]
    file = Elf(launchers["shared"])
    assert file.strings(elf.DT_RUNPATH) == []
    directories = [Path(part) for text in file.strings(elf.DT_RPATH) for part in text.split(":")]
    assert directories
    for directory in directories:
        assert directory.is_absolute()
        for part in (directory, *directory.parents):
            assert (part.stat().st_uid, part.stat().st_mode & 0o022) == (0, 0), part


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("name", GUARDED)
def test_our_own_code_has_canaries(launchers: dict[str, Path], kind: str, name: str) -> None:
    """A canary somewhere in the executable could be CPython's or libc's."""
    path = launchers[kind].parents[1] / "work" / kind / name
    symbols = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout
    assert "__stack_chk_fail" in symbols


def test_the_static_launcher_does_not_ask_the_processor(launchers: dict[str, Path], tmp_path: Path) -> None:
    """CPUID is 0F A2; a few more may be parts of other instructions.  libc's own start has some thirty."""
    source = tmp_path / "nothing.c"
    source.write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-static-pie", "-o", tmp_path / "nothing", source], check=True)
    counts = [instructions(Elf(path), b"\x0f\xa2") for path in (launchers["static"], tmp_path / "nothing")]
    assert counts[0] < 5 or platform.libc_ver()[1] != "2.36"
    assert counts[1] >= 10


def instructions(file: Elf, code: bytes) -> int:
    code_segments = [segment for segment in file.of_type(elf.PT_LOAD) if segment.flags & elf.PF_X]
    return sum(file.content[s.offset : s.offset + s.file_size].count(code) for s in code_segments)


@pytest.mark.parametrize("pattern", OWN_LIBRARIES)
def test_library(pattern: str) -> None:
    (path,) = LIBRARY.glob(pattern)
    assert [fault for fault in faults(path) if fault != "no canary"] == []
    if "helper" in pattern:
        assert faults(path) == []  # the others have no array on their stack


def test_foreign_library() -> None:
    """cffi's, as pip has it: for the script launcher alone.  What the linker was not asked for we cannot add."""
    (path,) = LIBRARY.glob("_cffi_backend*.so")
    assert set(faults(path)) <= {"lazy binding", "writable code pointers", "no canary"}


def test_stage() -> None:
    """See above: nothing to write to, nothing to relocate."""
    file = Elf(LIBRARY / "_pyrunc_stage")
    assert (file.interpreter, file.dynamic) == ("", [])
    assert [segment for segment in file.of_type(elf.PT_LOAD) if segment.flags & elf.PF_W] == []
    assert not has_executable_stack(file)


BAD_C = """
int f(const char *s) { char b[64]; int i = 0; while ((b[i] = s[i])) i++; return b[0] + i; }
int puts(const char *);
int main(int n, char **v) { return puts(v[0]) + f(v[n - 1]); }
"""
WEAK = ["-fno-stack-protector", "-Wl,-z,norelro,-z,lazy,-z,execstack,-rpath,/tmp", "-fplt"]


def compiled(directory: Path, *options: str) -> Path:
    (directory / "bad.c").write_text(BAD_C)
    out = directory / "bad"
    command = ["gcc", "-w", "-O1", "-fcf-protection=none", "-o", str(out), str(directory / "bad.c"), *options]
    subprocess.run(command, check=True)
    return out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["-no-pie", "-nostartfiles", "-Wl,-e,main", *WEAK],
            {
                "fixed address", "no RELRO", "lazy binding", "writable code pointers", "executable stack", "run path",
                "no canary",
            },
        ),
        (
            ["-pie", "-fPIE", "-Wl,-z,relro,-z,lazy", "-fstack-protector-all"],
            {"lazy binding", "writable code pointers"},
        ),
        (["-pie", "-fPIE", "-Wl,-z,relro,-z,now", "-fstack-protector-all"], set()),
        (["-static-pie", "-fPIE", "-fstack-protector-all"], {"writable code pointers"}),
        (["-static-pie", "-fPIE", "-Wl,-z,now", "-fstack-protector-all"], set()),
        (["-static", "-fstack-protector-all"], {"fixed address"}),
    ],
)  # fmt: skip
def test_faults_are_seen(tmp_path: Path, options: list[str], expected: set[str]) -> None:
    assert set(faults(compiled(tmp_path, *options))) == expected


@pytest.mark.parametrize(
    ("option", "fault"), [("-N,-z,now", "writable code"), ("-z,notext,-z,now", "text relocations")]
)
def test_bad_text_is_seen(tmp_path: Path, option: str, fault: str) -> None:
    """-N puts text and data into one segment; without it an address in the text needs a relocation there."""
    source = tmp_path / "text.S"
    source.write_text('.text\n.globl f\nf: ret\n.quad f\n.section .note.GNU-stack,"",@progbits\n')
    out = tmp_path / "text.so"
    options = ["-shared", "-nostdlib", f"-Wl,{option},--no-warn-rwx-segments"]
    subprocess.run(["gcc", *options, "-o", out, source], check=True)
    assert fault in faults(out)
    assert ("writable code" in faults(out)) == (fault == "writable code")


# -- at run time


class Mapping(NamedTuple):
    start: int
    end: int
    access: str
    name: str


def mappings_of(pid: int) -> list[Mapping]:
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, access, _, _, _, *name = line.split(maxsplit=5)
        start, end = addresses.split("-")
        found.append(Mapping(int(start, 16), int(end, 16), access, "".join(name)))
    return found


def waiting(launcher: Path, directory: Path) -> list[Mapping]:
    """The memory of a launcher that has got as far as its log, a FIFO that nobody reads."""
    fifo = directory / "fifo"
    if not fifo.exists():
        os.mkfifo(fifo)
    command = [launcher, "--root", directory / "state", "--log", fifo, "list"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while "fifo_open" not in Path(f"/proc/{process.pid}/wchan").read_text() + kernel_stack(process.pid):
            assert process.poll() is None
            assert time.monotonic() < end, "it does not wait for a reader of its log"
            time.sleep(0.005)
        return mappings_of(process.pid)
    finally:
        process.kill()
        process.wait()


def kernel_stack(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stack").read_text()
    except OSError:
        return ""


def is_random(mapping: Mapping, kind: str) -> bool:
    """Whether ASLR decides where it lies: all but the kernel's [vsyscall], and Debian's python3, which is no PIE."""
    if kind == "script" and mapping.start < 1 << 32:
        return mapping.name == "[heap]"
    return mapping.name != "[vsyscall]"


@pytest.mark.parametrize("kind", KINDS)
def test_every_start_is_at_other_addresses(launchers: dict[str, Path], tmp_path: Path, kind: str) -> None:
    starts = [{m.start for m in waiting(launchers[kind], tmp_path) if is_random(m, kind)} for _ in range(3)]
    assert all(len(found) > 4 for found in starts)
    assert [starts[i] & starts[j] for i, j in ((0, 1), (0, 2), (1, 2))] == [set(), set(), set()]


@pytest.mark.parametrize("kind", NATIVE)
def test_memory_at_run_time(launchers: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """No page both writable and executable, and what RELRO names is read-only, image or no image."""
    mappings = waiting(launchers[kind], tmp_path)
    assert [mapping for mapping in mappings if "w" in mapping.access and "x" in mapping.access] == []
    base = min(mapping.start for mapping in mappings if mapping.name == str(launchers[kind]))
    page = os.sysconf("SC_PAGE_SIZE")
    for segment in Elf(launchers[kind]).of_type(elf.PT_GNU_RELRO):
        start = (base + segment.address) // page * page
        end = (base + segment.address + segment.memory_size) // page * page
        assert end > start
        over = [mapping for mapping in mappings if mapping.start < end and mapping.end > start]
        assert over
        assert [mapping for mapping in over if "w" in mapping.access] == []
