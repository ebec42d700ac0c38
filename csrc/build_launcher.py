"""Build the launcher, for the interpreter that runs this, and say which kind it became.

usage: build_launcher.py OUT LIBRARY [--kind static|shared|script] [--work DIRECTORY]

    OUT       the executable
    LIBRARY   the directory of the stage, of site-packages and of ocispec's schemas; `beside` when pip installs:
              then it is the lib/pythonX.Y directory next to OUT's own bin, wherever that is

static   libpython and libc linked in.  With CPython 3.11 it starts from an image of the initialised interpreter.
         The command that needs the standard library leaves for a script in LIBRARY/_pyrunc_cold.
shared   libpython3.X.so, at the place where it is now
script   `python3 -I -S` on the sources (make_launcher.py): where no libpython can be linked

Each is tried in this order.  The modules are frozen from runtime/ and spec/ beside this directory.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
KINDS = ("static", "shared", "script")
WITH_IMAGE = sys.version_info[:2] == (3, 11) and sys.platform == "linux"
SUPPORTED = ((3, 11), (3, 12), (3, 13))

CODE = ["-std=gnu11", "-O2", "-fPIC", "-g0", "-fvisibility=hidden", "-fno-plt"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wvla", "-Wno-missing-field-initializers"]
HARDENING = ["-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-fstack-clash-protection"]
# RELRO and BIND_NOW: what relocations fill in outside the image is read-only before main.
LINKING = ["-Wl,-z,relro,-z,now,-z,noexecstack", "-Wl,--build-id=none", "-s"]
# Not a RUNPATH: the dynamic linker asks an RPATH before LD_LIBRARY_PATH (ld.so(8)).
RPATH = ["-Wl,--disable-new-dtags"]
WRAPPED = ["-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free"]

PIECE = 64 << 10

# Which verbs start from which image; the last one serves all the rest.
VERBS = {"small": ("state", "start", "kill", "delete"), "create": ("create",), "large": ("run", "exec")}


class Unavailable(Exception):
    """This kind of launcher cannot be built here; the text says why."""


def run(command: list[str | Path]) -> None:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name}: {(result.stdout + result.stderr).strip()[-2000:]}")


def base_executable() -> str:
    """Of a virtual environment the interpreter that it was made from."""
    return os.path.realpath(sys.executable)


def static_library() -> Path:
    """libpython3.X.a, position independent."""
    directories = [sysconfig.get_config_var(name) for name in ("LIBPL", "LIBDIR")]
    for directory in filter(None, directories):
        for name in (f"libpython{VERSION}-pic.a", f"libpython{VERSION}.a"):
            if (Path(directory) / name).exists():
                return Path(directory) / name
    raise Unavailable(f"no libpython{VERSION}.a")


def shared_library() -> Path:
    name = sysconfig.get_config_var("LDLIBRARY") or ""
    for variable in ("LIBDIR", "LIBPL"):
        path = Path(sysconfig.get_config_var(variable) or "/nowhere") / name
        if ".so" in name and path.exists():
            return path.resolve()
    for path in sorted(Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib").glob(f"**/libpython{VERSION}.so.1.0")):
        return path
    raise Unavailable(f"no libpython{VERSION}.so")


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "gcc"))


def directory_of(library: str) -> str:
    """Where the dynamic linker will find a library of the system."""
    found = subprocess.run([*compiler(), f"-print-file-name={library}"], capture_output=True, text=True, check=True)
    return str(Path(found.stdout.strip()).resolve().parent)


def macros(kind: str) -> list[str]:
    wide = {
        "PYTHON_PREFIX": sys.base_prefix,
        "PYTHON_EXECUTABLE": base_executable(),
        "PYTHON_STDLIB": sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}),
    }
    found = [f'-D{name}=L"{value}"' for name, value in wide.items()]
    found += [f'-DLAUNCHER_KIND="{kind}"', f'-DPYTHON_VERSION="{VERSION}"', "-DHASH_SEED=20"]
    if kind == "static":
        found += ["-DSTATIC_LAUNCHER", *(["-DWITH_IMAGE"] if WITH_IMAGE else [])]
    return found


def freeze(work: Path, kind: str, library: str) -> Path:
    out = work / "tables.c"
    stdlib = Path(sysconfig.get_path("stdlib"))
    sources: list[str | Path] = [TOP / "runtime", TOP / "spec", f"_pyrunc_start={HERE / 'start.py'}"]
    sources.append(f"__future__={stdlib / '__future__.py'}")
    if kind == "static":
        sources.append(f"encodings={HERE / 'no_encodings.py'}")
    for directory in (Path(library), TOP / "build/lib"):  # with DESTDIR the library is not in its place yet
        if (commit := directory / "_pyrunc_build.py").exists():
            sources.append(f"_pyrunc_build={commit}")
            break
    run([sys.executable, "-I", "-X", "no_debug_ranges", HERE / "freeze.py", out, *sources])
    return out


def compile_all(work: Path, kind: str, library: str) -> list[Path]:
    helper = work / "helper_module.c"
    run([sys.executable, "-I", HERE / "binding.py", helper])
    names = ["launcher.c", "interpreter.c", "image.c", "frozen.c", "helper.c", "json.c"]
    names += sorted(path.name for path in HERE.glob("assembler*.c"))
    sources = [*(HERE / name for name in names), helper, freeze(work, kind, library)]
    if kind == "static" and WITH_IMAGE:
        sources += [HERE / name for name in ("memory.c", "rehearse.c", "libc_start.c")]
    include = sysconfig.get_path("include")
    objects = []
    for source in sources:
        target = work / f"{source.stem}.pyrunc.o"  # image.ld knows them by that
        options = [*CODE, *WARNINGS, *HARDENING, *macros(kind), f"-I{include}", f"-I{include}/internal", f"-I{HERE}"]
        run([*compiler(), *options, "-c", source, "-o", target])
        objects.append(target)
    return objects


def link(out: Path, kind: str, objects: list[Path]) -> None:
    command: list[str | Path] = [*compiler(), *LINKING, "-o", out, *objects]
    if kind == "shared":
        library = shared_library()
        command += ["-pie", *RPATH, f"-Wl,-rpath,{library.parent}:{directory_of('libc.so.6')}", library]
    else:
        command += [static_library(), "-lm"]
        command += ["-static-pie", *WRAPPED, f"-Wl,-T,{HERE / 'image.ld'}"] if WITH_IMAGE else ["-static-pie"]
    run(command)


def write_images(out: Path, work: Path, library: str) -> None:
    """Three processes for each image: one lists what outlasts the rehearsal (memory.c), two write it (image.py)."""
    images: list[str | Path] = []
    bundles = work / "bundles"
    run([sys.executable, "-I", HERE / "rehearsal.py", bundles])
    for name, verbs in VERBS.items():
        script = work / f"warm_{name}.py"
        text = (HERE / "warm.py").read_text()
        text = text.replace('"@SIZE@"', repr(name)).replace('"@LIBRARY@"', repr(library))
        script.write_text(text.replace('"@BUNDLES@"', repr(str(bundles))))
        allocations = work / f"{name}.allocations"
        run([out, "--make-image", script, allocations])
        for number in (1, 2):
            file = work / f"{name}.{number}"
            run([out, "--make-image", script, allocations, file])
            images.append(file)
        images.append(",".join(verbs))
    run([sys.executable, "-I", HERE / "image.py", out, library, *images])


def put(new: Path, out: Path) -> None:
    """In pieces of 64 KiB, because ext4 keeps it in its cache as it was written.

    In single pages it takes longer to map (`state` 0.70 instead of 0.46 ms); from pieces of 2 MiB more is mapped than
    is used, which counts in the RSS (`exec` 11.0 instead of 7.6 MB).
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(f"{out}.new")
    with new.open("rb") as source, unfinished.open("wb", buffering=PIECE) as target:
        shutil.copyfileobj(source, target, PIECE)
    unfinished.chmod(0o755)
    unfinished.replace(out)


def build_native(out: Path, kind: str, library: str, work: Path) -> str:
    if sys.version_info[:2] not in SUPPORTED:
        raise Unavailable(f"Python {VERSION} has not been looked at")
    work.mkdir(parents=True, exist_ok=True)
    new = work / "pyrunc"
    link(new, kind, compile_all(work, kind, library))
    said = f"{kind} libpython{VERSION}"
    if kind == "static" and WITH_IMAGE:
        try:
            write_images(new, work, library)
            said += ", from an image"
        except Unavailable as reason:
            print(f"build: no image: {reason}", file=sys.stderr)
            run([sys.executable, "-I", HERE / "image.py", new, library])
    else:
        run([sys.executable, "-I", HERE / "image.py", new, library])
    put(new, out)
    return said


def build_script(out: Path, library: str) -> str:
    rest = ["--installed-by-pip"] if library == "beside" else [library, str(TOP / "runtime"), str(TOP / "spec")]
    run([sys.executable, HERE / "make_launcher.py", out, *rest])
    return f"script for python{VERSION}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("library")
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--work", type=Path, default=TOP / "build/launcher")
    wanted = parser.parse_args()
    for kind in [wanted.kind] if wanted.kind else KINDS:
        try:
            if kind == "script":
                said = build_script(wanted.out, wanted.library)
            else:
                said = build_native(wanted.out, kind, wanted.library, wanted.work / kind)
        except Unavailable as reason:
            if wanted.kind:
                raise SystemExit(f"build: {kind}: {reason}") from None
            print(f"build: not {kind}: {reason}", file=sys.stderr)
            continue
        print(f"build: {wanted.out}: {said}")
        return
    raise SystemExit("build: no launcher")


if __name__ == "__main__":
    main()
