"""libFuzzer with ASan and UBSan on all that is C: builds the targets and runs each for a while.

usage: run.py DIRECTORY SECONDS [TARGET...]   each, or these, for so long, from the committed corpus and what DIRECTORY
                                              has got
       run.py DIRECTORY merge                 the committed corpus anew: few inputs that reach what all of them do

Prints a line a target, and exits with 1 when one crashed; what it crashed on is then in DIRECTORY/crashes.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
CSRC = TOP / "csrc"
CORPUS = HERE / "corpus"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]
FUZZER = ["-fsanitize=fuzzer"]
MODULE = [
    "fuzz_module.c",
    "../../csrc/json.c",
    *(f"../../csrc/{path.name}" for path in sorted(CSRC.glob("assembler*.c"))),
]
# name -> sources; a module's target has its function's name as well
TARGETS = {
    "stage": (["fuzz_stage.c"], ""),
    "helper": (["fuzz_helper.c", "../../csrc/helper.c"], ""),
    "json": (MODULE, "json_document"),
    "assembler": (MODULE, "assembler_calls"),
}
STATISTIC = re.compile(rb"stat::number_of_executed_units: +(\d+)")
LONGEST_INPUT = {"assembler": 1024}  # each byte may be a call of Python: more of them reach nothing else
LONGEST_OTHERWISE = 4096
MOST_BYTES = 24_000  # of each target's part of the committed corpus; the stage's has 22,000


def build(name: str, directory: Path, instead: dict[Path, Path] | None = None) -> Path:
    """The target's program, with other files `instead` of some; raises CalledProcessError."""
    sources, function = TARGETS[name]
    program = directory / f"fuzz_{name}"
    flags = [*SANITIZERS, *FUZZER, f"-I{CSRC}"]
    if function:
        flags += [f'-DTARGET="{function}"', f"-I{sysconfig.get_path('include')}"]
        flags += [f"-L{sysconfig.get_config_var('LIBDIR')}", f"-lpython{sysconfig.get_python_version()}"]
    paths = [(HERE / source).resolve() for source in sources]
    paths = [(instead or {}).get(path, path) for path in paths]
    subprocess.run(["clang", "-o", str(program), *map(str, paths), *flags], check=True)
    return program


def fuzz(program: Path, name: str, directory: Path, *limits: str, into: Path | None = None) -> tuple[int, int, bytes]:
    """(executions, exit status, what it said); what is new goes to DIRECTORY/corpus, or `into`."""
    found, crashes, work = directory / "corpus" / name, directory / "crashes", directory / "work"
    for made in (found, crashes, work):
        made.mkdir(parents=True, exist_ok=True)
    longest = LONGEST_INPUT.get(name, LONGEST_OTHERWISE)
    command = [str(program), *limits, "-print_final_stats=1", f"-max_len={longest}", "-timeout=20"]
    command += [
        f"-artifact_prefix={crashes}/{name}-",
        *map(str, [into] if into else []),
        str(found),
        str(CORPUS / name),
    ]
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": f"{HERE}:{TOP}/runtime:{TOP}/spec",
        "PYTHONMALLOC": "malloc",  # else ASan sees arenas, not objects
        "PYTHONDONTWRITEBYTECODE": "1",
        # CPython keeps what it has interned.  To note who called malloc, 30 callers up, takes a quarter of the time of
        # a target in Python: whoever looks at a crash runs the program on it without this.
        "ASAN_OPTIONS": "detect_leaks=0:malloc_context_size=1",
        "FUZZ_DIRECTORY": str(work),
    }
    result = subprocess.run(command, env=environment, capture_output=True, check=False)
    counted = STATISTIC.search(result.stderr)
    return int(counted[1]) if counted else 0, result.returncode, result.stderr


def merge(directory: Path) -> None:
    """Small inputs first: what does not fit MOST_BYTES is left to `make fuzz`."""
    for name in TARGETS:
        program, merged = build(name, directory), directory / "merged" / name
        shutil.rmtree(merged, ignore_errors=True)
        merged.mkdir(parents=True)
        fuzz(program, name, directory, "-merge=1", into=merged)
        shutil.rmtree(CORPUS / name, ignore_errors=True)
        (CORPUS / name).mkdir(parents=True)
        left = MOST_BYTES
        for file in sorted(merged.iterdir(), key=lambda file: file.stat().st_size):
            left -= file.stat().st_size
            if left >= 0:
                shutil.copy2(file, CORPUS / name / file.name[:16])


def _processor_seconds() -> float:
    """Of all our children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    directory = Path(sys.argv[1]).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    if sys.argv[2] == "merge":
        merge(directory)
        return 0
    seconds, status = int(sys.argv[2]), 0
    for name in sys.argv[3:] or TARGETS:
        program, before = build(name, directory), _processor_seconds()
        executions, code, said = fuzz(program, name, directory, f"-max_total_time={seconds}")
        used = _processor_seconds() - before
        print(
            f"fuzz: {name}: {executions} executions in {seconds} s, {used:.0f} s of them on a processor, "
            f"{'crashed' if code else 'no crash'}",
            flush=True,
        )
        if code:
            status = 1
            print(said.decode("utf-8", "replace")[-4000:])
    return status


if __name__ == "__main__":
    sys.exit(main())
