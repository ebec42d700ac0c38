"""No file and no variable of a caller changes which code runs, for every kind of launcher.

What the dynamic linker does before main cannot be refused by a program that needs it: LD_PRELOAD reaches the launchers
of the kinds shared and script, LD_LIBRARY_PATH the latter's interpreter.  A static one has no dynamic linker.  Whoever
sets these variables for root is root (sudo and every engine take them out), so this is about accidents.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cli.runtime import TIMEOUT_SECONDS, Result, Runtime
from elf import Elf
from launchers import KINDS, PYTHON
from security.traps import Traps, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.bundle import Bundle

WAYS = ("itself", "link", "copy")
COLD = {
    "help": ("--help",),
    "command help": ("create", "--help"),
    "version": ("--version",),
    "features": ("features",),
    "list": ("list",),
    "list as json": ("list", "--format", "json"),
    "explain": ("explain", "--bundle", "."),
    "validate": ("validate", "config.json"),
    "usage": ("create", "--no-such-flag"),
}


class Trapped(Runtime):
    """Runs a launcher inside the bundle, with the traps around it."""

    def __init__(self, tmp_path: Path, traps: Traps, launcher: Path, bundle: Bundle) -> None:
        super().__init__(tmp_path)
        self.traps = traps
        self.launcher = launcher
        self.directory = bundle.path
        self.environment = environment(traps.python_variables, traps.libc_variables)

    def raw(self, argv: list[str], **options: Any) -> Result:
        return super().raw([str(self.launcher), *argv[1:]], cwd=self.directory, env=self.environment, **options)


@pytest.fixture
def traps(tmp_path: Path) -> Traps:
    return Traps(tmp_path / "traps")


@pytest.fixture
def trapped(
    request: pytest.FixtureRequest, launchers: dict[str, Path], tmp_path: Path, traps: Traps, bundle: Bundle
) -> Iterator[Trapped]:
    """The parameter is a kind and the way that leads to the launcher: a pyvenv.cfg lies beside link and copy."""
    kind, way = request.param
    launcher = launchers[kind]
    if way != "itself":
        place = traps.top / "bin/pyrunc"
        place.symlink_to(launcher) if way == "link" else shutil.copy2(launcher, place)
        launcher = place
    traps.plant(bundle.path)
    traps.plant_in_rootfs(bundle.rootfs)
    bundle.save()
    trapped = Trapped(tmp_path, traps, launcher, bundle)
    yield trapped
    trapped.clean_up()
    assert traps.caught() == []


PLACES = [pytest.param((kind, way), id=f"{kind}-{way}") for kind in KINDS for way in WAYS]
every_way = pytest.mark.parametrize("trapped", PLACES, indirect=True)
itself = pytest.mark.parametrize("trapped", PLACES[:: len(WAYS)], indirect=True)


def silent(result: Result) -> str:
    """stdout of a command that succeeded and had nothing to complain about."""
    assert (result.status, result.err) == (0, ""), result
    return result.out


@every_way
def test_a_container_is_made_and_removed(trapped: Trapped, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = trapped.create(bundle)
    assert json.loads(silent(trapped("state", container_id)))["status"] == "created"
    silent(trapped("start", container_id))
    silent(trapped("exec", container_id, "true"))
    silent(trapped("kill", container_id, "KILL"))
    silent(trapped("delete", "--force", container_id))
    bundle.args("echo", "done")
    bundle.process["user"]["username"] = "user"
    assert trapped.run(bundle).ok().out == "done\n"
    assert trapped.traps.caught() == []


@every_way
@pytest.mark.parametrize("command", COLD)
def test_cold_command(trapped: Trapped, command: str) -> None:
    """What it says without any trap, it says among them."""
    trapped.state_root.mkdir()
    found = trapped(*COLD[command])
    assert trapped.traps.caught() == []
    trapped.environment = environment()
    for name in ("json.py", "encodings"):
        (trapped.directory / name).rename(trapped.directory / f"no {name}")
    expected = trapped(*COLD[command])
    assert (found.status, found.out, untimed(found.err)) == (expected.status, expected.out, untimed(expected.err))
    assert found.status == (1 if command == "usage" else 0), found


def untimed(log: str) -> list[str]:
    return [line.partition(" ")[2] if line.startswith("time=") else line for line in log.splitlines()]


@every_way
def test_internal_error(trapped: Trapped, bundle: Bundle) -> None:
    """It is told by code that nothing else needs."""
    container_id = trapped.create(bundle)
    state = trapped.state_root / container_id / "state.json"
    good = state.read_text()
    document = json.loads(good)
    document["hookOutput"] = "no number"
    state.write_text(json.dumps(document))
    result = trapped("start", container_id, before=("--debug",))
    state.write_text(good)  # or it could not be deleted
    assert result.status == 1
    assert "internal error: TypeError" in result.err
    assert "container/start.py" in result.err
    assert trapped.traps.caught() == []


@itself
@pytest.mark.parametrize("variable", ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"])
def test_a_variable_that_says_where_python_is(trapped: Trapped, variable: str) -> None:
    """CPython 3.11 believes it in spite of -I, and takes its standard library from where a pyvenv.cfg there says."""
    trapped.environment = environment({variable: trapped.traps.executable_variables[variable]})
    for words in (("features",), ("--version",), ("validate", "config.json")):
        silent(trapped(*words))
        assert trapped.traps.caught() == []


@itself
def test_a_library_path(trapped: Trapped, request: pytest.FixtureRequest) -> None:
    """The script's interpreter is dynamic, and Debian's has no run path: ld.so(8) asks LD_LIBRARY_PATH first."""
    for directory in (trapped.traps.top, trapped.traps.library.parent):
        trapped.environment = environment({"LD_LIBRARY_PATH": f"{directory}:/nonexistent"})
        result = trapped("features")
        reached = result.status != 0 or bool(trapped.traps.caught())
        named = is_script(trapped.launcher) and directory == trapped.traps.top  # the other one has no libc.so.6
        assert reached == named, result


@itself
@pytest.mark.parametrize("variable", ["LD_PRELOAD", "LD_AUDIT"])
def test_a_library_before_all_others(trapped: Trapped, variable: str) -> None:
    trapped.environment = environment({variable: str(trapped.traps.library)})
    for words in (("features",), ("--version",), ("validate", "config.json")):
        result = trapped(*words)
        needs_linker = is_script(trapped.launcher) or bool(Elf(trapped.launcher).interpreter)
        assert (trapped.traps.caught() == ["library"]) == needs_linker, result
        if not needs_linker:
            silent(result)


def is_script(launcher: Path) -> bool:
    with launcher.open("rb") as file:
        return file.read(2) == b"#!"


# -- the traps themselves


def python(traps: Traps, *words: str, program: str = PYTHON, **variables: str) -> subprocess.CompletedProcess[str]:
    """An interpreter as everybody starts it, in the directory of the traps."""
    return subprocess.run(
        [program, *words], cwd=traps.top, env=environment(variables), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip


def test_a_plain_interpreter_is_caught(traps: Traps) -> None:
    (traps.top / "script.py").write_text("import json\n")
    python(traps, str(traps.top / "script.py"))
    assert traps.caught() == ["json.py"]
    python(traps, "-c", "import traceback")
    assert traps.caught() == ["traceback.py"]
    (traps.top / "bin/python3").symlink_to(PYTHON)
    python(traps, "-c", "0", program=f"{traps.top}/bin/python3")
    assert traps.caught() == ["encodings/__init__.py"]  # pyvenv.cfg has led there


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("PYTHONPATH", ["encodings/__init__.py"]),
        ("HOME", ["evil.pth"]),
        ("PYTHONUSERBASE", ["evil.pth"]),
        ("PYTHONEXECUTABLE", ["encodings/__init__.py"]),
        ("__PYVENV_LAUNCHER__", ["encodings/__init__.py"]),
        ("LD_PRELOAD", ["library"]),
        ("LD_AUDIT", ["library"]),
    ],
)
def test_a_plain_interpreter_is_caught_by(traps: Traps, variable: str, names: list[str]) -> None:
    values = traps.python_variables | traps.executable_variables | {
        "LD_PRELOAD": str(traps.library), "LD_AUDIT": str(traps.library),
        "PYTHONUSERBASE": f"{traps.top}/home/.local",
    }  # fmt: skip
    python(traps, "-c", "0", **{variable: values[variable]})
    assert traps.caught() == names


@pytest.mark.parametrize(
    "variable",
    [
        "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONTRACEMALLOC", "PYTHONINTMAXSTRDIGITS", "PYTHONMALLOC",
        "PYTHONVERBOSE", "PYTHONMALLOCSTATS", "PYTHONPROFILEIMPORTTIME",
    ],
)  # fmt: skip
def test_a_plain_interpreter_listens_to(traps: Traps, variable: str) -> None:
    """It fails, or says something."""
    result = python(traps, "-c", "0", **{variable: traps.python_variables[variable]})
    assert result.returncode != 0 or result.stderr
