"""csrc/libc_start.c: libc is as it always is, but for what it knows of the processor."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
FLAGS = ["-std=gnu11", "-O1", "-fPIC", "-fstack-protector-strong", "-static-pie"]
# It tells what it finds, a line each; the sizes are around the thresholds in libc_start.c.
PROGRAM = r"""
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static int constructed;
__attribute__((constructor)) static void construct(int count) { constructed = count; }

static uintptr_t at(int offset)
{
	uintptr_t value;

	if (offset == 0x28)
		__asm__("movq %%fs:0x28, %0" : "=r"(value));
	else
		__asm__("movq %%fs:0x30, %0" : "=r"(value));
	return value;
}

static int same(const unsigned char *bytes, size_t size, unsigned add)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (unsigned char)((i + add) * 7))
			return 0;
	return 1;
}

static int copies(size_t size)
{
	unsigned char *from = malloc(size + 64), *to = malloc(size + 64);

	for (size_t i = 0; i < size + 64; i++)
		from[i] = (unsigned char)(i * 7);
	memcpy(to + 3, from + 5, size);
	int good = same(to + 3, size, 5);
	memmove(from + 1, from + 9, size);
	good &= same(from + 1, size, 9);
	memset(to, 9, size);
	for (size_t i = 0; i < size; i++)
		good &= to[i] == 9;
	good &= memcmp(to, to + 1, size - 1) == 0 && memchr(to, 9, size) == to;
	return good;
}

int main(int count, char **arguments)
{
	const uintptr_t *random = (const uintptr_t *)getauxval(AT_RANDOM);
	static const size_t sizes[] = {1, 100, 4096, 200000, 800000, 5000000, 40000000};

	printf("%d %d %s %s\n", count, constructed, arguments[count - 1], getenv("GIVEN"));
	printf("guards %d %d\n", at(0x28) == (random[0] & ~(uintptr_t)0xff), at(0x30) == random[1]);
	const int missing = access("/there/is/no/such", F_OK);

	printf("errno %d %d\n", missing, errno == ENOENT);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		printf("%zu %d\n", sizes[i], copies(sizes[i]));
	printf("%s %zu %d\n", strchr("a/b/c", '/'), strlen("12345"), strcasecmp("ABC", "abc"));
	printf("minimal stack %d\n", sysconf(_SC_MINSIGSTKSZ) == (long)getauxval(AT_MINSIGSTKSZ));
	fflush(stdout);
	return 7;
}
"""
SAID = """3 3 last given
guards 1 1
errno -1 1
1 1
100 1
4096 1
200000 1
800000 1
5000000 1
40000000 1
/b/c 5 0
minimal stack 1
"""


def is_for_this_libc() -> bool:
    libc = ctypes.CDLL(None)
    libc.gnu_get_libc_version.restype = ctypes.c_char_p
    return platform.machine() == "x86_64" and libc.gnu_get_libc_version() == b"2.36"


def build(directory: Path, *sources: Path) -> Path:
    program = directory / "program"
    (directory / "program.c").write_text(PROGRAM)
    paths = [directory / "program.c", *sources]
    subprocess.run(["gcc", *FLAGS, "-o", program, *paths], check=True)
    return program


def questions(program: Path) -> int:
    """How many CPUID instructions there are."""
    shown = subprocess.run(["objdump", "-d", program], capture_output=True, text=True, check=True).stdout
    return sum("\tcpuid" in line for line in shown.splitlines())


@pytest.mark.skipif(
    not is_for_this_libc(), reason="libc_start.c is for glibc 2.36 on x86_64; elsewhere libc's is linked"
)
def test_libc_works_and_does_not_ask_the_processor(tmp_path: Path) -> None:
    program = build(tmp_path, CSRC / "libc_start.c")
    ran = subprocess.run(
        [program, "first", "last"], env={"GIVEN": "given"}, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.returncode) == (SAID, 7)
    assert questions(program) == 0


def test_libc_alone_asks(tmp_path: Path) -> None:
    """What the test above would see without the file; and what it says of libc holds for libc's own start."""
    program = build(tmp_path)
    ran = subprocess.run(
        [program, "first", "last"], env={"GIVEN": "given"}, capture_output=True, text=True, check=False
    )
    assert ran.stdout == SAID
    if platform.machine() == "x86_64":
        assert questions(program) >= 10


def test_the_stack_guard_is_another_one_each_time(tmp_path: Path) -> None:
    source = tmp_path / "guard.c"
    source.write_text(
        '#include <stdio.h>\nint main(void)\n{\n\tunsigned long v;\n\t__asm__("movq %%fs:0x28, %0" : "=r"(v));\n'
        '\tprintf("%lx\\n", v);\n\tfflush(stdout);\n\treturn 0;\n}\n'
    )
    if not is_for_this_libc():
        pytest.skip("libc's own start is linked there")
    program = tmp_path / "guard"
    subprocess.run(["gcc", *FLAGS, "-o", program, source, CSRC / "libc_start.c"], check=True)
    guards = {subprocess.run([program], capture_output=True, check=True).stdout for _ in range(20)}
    assert len(guards) == 20
