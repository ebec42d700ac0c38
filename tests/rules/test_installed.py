"""What is installed works without the checkout, whoever installed it for which interpreter, among traps or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cli.bundle import Bundle, make_rootfs
from rules.source import TOP
from security.traps import Traps, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = ("csrc", "runtime", "spec", "setup.py", "pyproject.toml", "README.md")
SUPPORTED = ("3.11", "3.12", "3.13")
DEBIAN = "/usr/bin/python3"
FLAGS = ("isolated", "no_site", "ignore_environment", "no_user_site", "dont_write_bytecode", "utf8_mode", "safe_path")
HOME = os.environ.get("HOME", "/root")


class Way(NamedTuple):
    """How it is installed; `kind` "" takes the first that can be built."""

    name: str
    python: str = DEBIAN
    kind: str = ""

    @property
    def shown(self) -> str:
        version = "" if self.python == DEBIAN else Path(self.python).parts[-3]
        return "-".join(filter(None, (self.name.replace(" ", "-"), self.kind, version)))


class Installed(NamedTuple):
    way: Way
    top: Path
    launcher: Path
    sources: Path  # what it was installed from


def pyenv_builds() -> list[str]:
    """The newest of each version that the launcher embeds."""
    found = {}
    for path in sorted(Path(HOME, ".pyenv/versions").glob("3.*/bin/python3")):
        found[path.parts[-3].rpartition(".")[0]] = str(path)
    return [found[version] for version in SUPPORTED if version in found]


WAYS = [
    Way("make"),
    Way("make", kind="script"),
    Way("make with DESTDIR"),
    Way("pip"),
    Way("pip", kind="script"),
    Way("pip into Debian's own"),
    *(Way("pip", python) for python in pyenv_builds()),
]
QUICK = 6  # of them; the other builds take ten seconds each


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={"PATH": os.defpath, **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def install_by_make(way: Way, top: Path) -> Path:
    """With DESTDIR as a packager does it: what is made there is moved to its place."""
    settings = {"HOME": HOME} | ({"LAUNCHER": way.kind} if way.kind else {})
    place = [f"PREFIX={top}/prefix"] + ([f"DESTDIR={top}/package"] if "DESTDIR" in way.name else [])
    result = run("make", "install", *place, cwd=TOP, **settings)
    assert result.returncode == 0, result.stderr
    if "DESTDIR" in way.name:
        shutil.move(f"{top}/package{top}/prefix", top / "prefix")
    return top / "prefix/bin/pyrunc"


def install_by_pip(way: Way, top: Path, copy: Path) -> Path:
    """Into an empty environment, or as for the interpreter that belongs to Debian: in dist-packages, below `local`."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")} | {"HOME": HOME}
    if way.kind:
        settings["LAUNCHER"] = way.kind
    if way.name == "pip":
        assert run(way.python, "-m", "venv", top / "venv", cwd=top).returncode == 0
        command = [top / "venv/bin/pip", "install", "-q", copy]
    else:
        command = [way.python, "-m", "pip", "install", "-q", "--break-system-packages", "--ignore-installed"]
        command += ["--prefix", top / "prefix", copy]
    result = run(*command, cwd=top, **settings)
    assert result.returncode == 0, result.stderr
    return top / "venv/bin/pyrunc" if way.name == "pip" else top / "prefix/local/bin/pyrunc"


@pytest.fixture(
    scope="module",
    params=[pytest.param(way, id=way.shown, marks=[pytest.mark.slow] * (i > QUICK)) for i, way in enumerate(WAYS)],
)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    way = request.param
    top = tmp_path_factory.mktemp("installed")
    top.chmod(0o755)
    if way.name.startswith("make"):
        return Installed(way, top, install_by_make(way, top), TOP)
    copy = top / "copy"
    copy.mkdir()
    for name in SOURCES:
        assert run("cp", "-a", TOP / name, copy, cwd=TOP).returncode == 0
    launcher = install_by_pip(way, top, copy)
    shutil.rmtree(copy)
    return Installed(way, top, launcher, copy)


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    tmp_path.chmod(0o711)
    bundle = Bundle(tmp_path / "bundle")
    make_rootfs(bundle.rootfs)
    bundle.args("echo", "from inside")
    bundle.save()
    yield bundle
    shutil.rmtree(bundle.rootfs)


def test_it_says_what_it_is(installed: Installed, tmp_path: Path) -> None:
    """The kind that was asked for, or a native one: every interpreter that is tried here has a libpython."""
    result = run(installed.launcher, "--version", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["pyrunc", "commit:", "spec:", "launcher:"]
    kind = lines[3].split()[1]
    assert kind == installed.way.kind if installed.way.kind else kind in ("static", "shared")
    assert lines[3].endswith(", from an image") == (kind == "static")
    assert (installed.launcher.read_bytes()[:4] == b"\x7fELF") == (installed.way.kind != "script")
    if installed.way.name.startswith("make"):
        assert lines[1] != "commit: unknown"


def test_it_makes_a_container(installed: Installed, bundle: Bundle, tmp_path: Path) -> None:
    """From its own place and through a link, among traps, and without a look at what it was installed from."""
    traps = Traps(tmp_path / "traps")
    traps.plant(bundle.path)
    link = tmp_path / "traps/bin/pyrunc"
    link.symlink_to(installed.launcher)
    for program in (installed.launcher, link):
        log = tmp_path / "trace"
        words = ["--root", tmp_path / "state", "run", f"installed-{uuid.uuid4().hex[:12]}"]
        result = run(
            "strace", "-f", "-s", "4096", "-o", log, "-e", "trace=%file,openat2", program, *words,
            cwd=bundle.path, **environment(traps.python_variables),
        )  # fmt: skip
        assert (result.returncode, result.stdout, result.stderr) == (0, "from inside\n", "")
        trace = log.read_text().replace(str(link), "LINK")
        assert f'"{installed.sources}' not in trace
        assert f'"{traps.top}' not in trace
        assert traps.caught() == []


@pytest.mark.parametrize("words", [("features",), ("validate", "config.json"), ("spec", "--help"), ("list",)])
def test_cold_commands(installed: Installed, bundle: Bundle, tmp_path: Path, words: tuple[str, ...]) -> None:
    """validate reads the schemas, and jsonschema, wherever they were put."""
    log = tmp_path / "trace"
    (tmp_path / "state").mkdir()
    command = ["strace", "-f", "-s", "4096", "-o", log, "-e", "trace=%file", installed.launcher]
    result = run(*command, "--root", tmp_path / "state", *words, cwd=bundle.path)
    assert (result.returncode, result.stderr) == (0, "")
    assert f'"{installed.sources}' not in log.read_text()


def test_nobody_else_can_write_to_it(installed: Installed) -> None:
    top = installed.launcher.parents[1]
    files = [path for path in top.rglob("*") if path.is_file() and not path.is_symlink()]
    assert installed.launcher in files
    assert [path for path in files if path.stat().st_uid != os.geteuid() or path.stat().st_mode & 0o022] == []
    (stage,) = [path for path in files if path.name == "_pyrunc_stage"]
    assert stage.stat().st_mode & 0o111


def test_flags_of_the_script(installed: Installed, tmp_path: Path) -> None:
    """What its first line says; a native launcher has the same in C (csrc/launcher.c), and test_launcher_isolation."""
    if installed.way.kind != "script":
        assert installed.launcher.read_bytes()[:2] != b"#!"
        return
    inside = "import sys; print([int(getattr(sys.flags, name)) for name in sys.argv[1:]])"
    interpreter = installed.launcher.read_text().splitlines()[0].removeprefix("#!").split()
    assert run(*interpreter, "-c", inside, *FLAGS, cwd=tmp_path).stdout == f"{[1] * len(FLAGS)}\n"
    assert str(installed.sources) not in installed.launcher.read_text()


def test_what_make_installs_is_compiled(installed: Installed) -> None:
    """The script launcher never writes compiled files itself."""
    if not installed.way.name.startswith("make"):
        assert not (installed.top / "prefix/lib/pyrunc").exists()
        return
    library = installed.top / "prefix/lib/pyrunc"
    sources = [path for package in ("pyrunc", "ocispec") for path in (library / package).rglob("*.py")]
    tag = f"cpython-{sys.version_info[0]}{sys.version_info[1]}.pyc"
    assert len(sources) > 20
    assert [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{tag}").exists()] == []
