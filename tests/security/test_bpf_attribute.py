"""S33: kernels that write behind a short bpf_attr write into memory that is the helper's, and meant for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stage_process import TOP

HELPER = TOP / "csrc/helper.c"
CALL = "return result_of(syscall(SYS_bpf, command, &padded->attr, sizeof(*padded)));"
# As runc before 1.5.2: as much as its query needs.
SHORT = "char attr[48]; memcpy(attr, padded, 48); return result_of(syscall(SYS_bpf, command, attr, sizeof(attr)));"


def query(directory: Path, helper: Path) -> subprocess.CompletedProcess[bytes]:
    program = directory / "query"
    source = Path(__file__).with_name("bpf_kernel.c")
    flags = ["-fsanitize=address", "-g", "-Wno-unused", f"-I{HELPER.parent}", f'-DHELPER="{helper}"']
    subprocess.run(["gcc", *flags, "-o", str(program), str(source)], check=True)
    return subprocess.run([str(program)], capture_output=True, check=False)


def test_what_the_kernel_writes_is_our_own(tmp_path: Path) -> None:
    result = query(tmp_path, HELPER)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_short_attribute_is_noticed(tmp_path: Path) -> None:
    text = HELPER.read_text()
    assert text.count(CALL) == 1
    broken = tmp_path / "helper.c"
    broken.write_text(text.replace(CALL, SHORT))
    assert b"stack-buffer-overflow" in query(tmp_path, broken).stderr
