"""process.args and process.env: which file is executed, and with what.

The lookup happens at create, in the container, as the process's user; execve(2) happens at start.  What cannot be
executed is said in runc's words, which engines turn into exit codes 126 and 127.
"""

from __future__ import annotations

from errno import EACCES, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import AT_EACCESS, AT_FDCWD, S_IFDIR, S_IFMT, S_IFREG, STATX_TYPE, X_OK
from pyrunc.process.passwd import MAX_HOME, NO_HOME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.config import Process
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer, Register

_STATX_SIZE = 256
_STX_MODE = 0x1C  # u16: statx(2)
_PATH_MAX = 4096  # with the NUL
_NAME_MAX = 255
_MAX_DIRECTORIES = 1024  # of $PATH: each one costs the waiting init some 300 bytes
_MISSING = (ENOENT, ENOTDIR, EACCES, ELOOP)
_NOT_EXECUTABLE = (EACCES, EPERM, ENOENT, ELOOP)


def quote(text: str) -> str:
    """Go's %q, as in runc's texts."""
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b"}
    named |= {"\f": "\\f", "\v": "\\v"}
    return '"' + "".join(named.get(c) or (c if c.isprintable() else _escape(ord(c))) for c in text) + '"'


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def variable(process: Process, name: str) -> str:
    """The last value of a variable in process.env, "" when it is unset."""
    prefix = f"{name}="
    return next((entry[len(prefix) :] for entry in reversed(process.env) if entry.startswith(prefix)), "")


def candidates(process: Process) -> list[str]:
    """The files that args[0] may mean, in the order in which they are tried.

    With a slash it is a path (relative to cwd); without, a name in one of $PATH's directories.  No $PATH, no match.
    """
    name = process.args[0]
    if "/" in name:
        return [name]
    found: list[str] = []
    path = variable(process, "PATH")
    for directory in path.split(":") if path else ():
        # POSIX: an empty directory is the current one.
        candidate = f"{directory or '.'}/{name}"
        if candidate not in found and _is_possible(candidate):
            found.append(candidate)
    if len(found) > _MAX_DIRECTORIES:
        raise ConfigError(f"process.env: PATH has more than {_MAX_DIRECTORIES} directories")
    return found


def _is_possible(path: str) -> bool:
    """Short enough to exist: what is not would be ENAMETOOLONG, and the search goes on."""
    content = path.encode("utf-8", "surrogateescape")
    return len(content) < _PATH_MAX and all(len(part) <= _NAME_MAX for part in content.split(b"/"))


def emit_lookup(p: Program, process: Process) -> Register:
    """Which of `candidates` it is: its number, from 1.  In the container, with the process's credentials and cwd."""
    found = p.register()
    status = p.scratch(_STATX_SIZE)
    with p.at("process.args", process.args[0]):
        if "/" in process.args[0]:
            _emit_check_path(p, process.args[0], status)
            p.set(found, 1)
        else:
            _emit_search(p, process.args[0], candidates(process), status, found)
    return found


def _emit_check_path(p: Program, path: str, status: Pointer) -> None:
    name = f"exec: {quote(path)}"
    mode = status.field(_STX_MODE, 2)
    says = f"{name}: stat {path}: {{errno}}"
    p.call("statx", AT_FDCWD, path, 0, STATX_TYPE, status, doing="stat", says=says)
    says = f"{name}: {{errno}}"
    p.check(mode, S_IFDIR, mask=S_IFMT, differs=True, doing="check its type", errno=EISDIR, says=says)
    p.check(mode, S_IFREG, mask=S_IFMT, doing="check its type", errno=EACCES, says=says)
    p.call("faccessat2", AT_FDCWD, path, X_OK, AT_EACCESS, doing="check that it may be executed", says=says)


def _emit_search(p: Program, name: str, paths: Sequence[str], status: Pointer, found: Register) -> None:
    done = p.target()
    mode = status.field(_STX_MODE, 2)
    for number, path in enumerate(paths, 1):
        other = p.target()
        p.call("statx", AT_FDCWD, path, 0, STATX_TYPE, status, doing=f"stat {path}", tolerate=_MISSING, otherwise=other)
        p.check(mode, S_IFREG, mask=S_IFMT, doing=f"check the type of {path}", errno=EACCES, otherwise=other)
        p.call(
            "faccessat2",
            AT_FDCWD,
            path,
            X_OK,
            AT_EACCESS,
            doing=f"check that {path} may be executed",
            tolerate=_NOT_EXECUTABLE,
            otherwise=other,
        )
        p.set(found, number)
        p.jump(done)
        p.here(other)
    says = f"exec: {quote(name)}: executable file not found in $PATH"
    p.check(p.scratch(1), 1, doing="find it in $PATH", errno=ENOENT, says=says)
    p.here(done)


def emit_execve(p: Program, process: Process, found: Register, environment: Pointer) -> None:
    """execve(2) of what `emit_lookup` found; the program ends here."""
    argv = p.pointers(process.args)
    with p.at("process.args", process.args[0]):
        for number, path in enumerate(candidates(process), 1):
            other = p.target()
            p.jump_if(found, number, other, differs=True)
            # The file was there at create: ENOENT now means the interpreter that its first line names, or a loader.
            says = f"exec {path}: {{errno}}"
            p.call("execve", path, argv, environment, doing="execute", says=says)
            p.here(other)


def build_environment(p: Program, process: Process) -> tuple[Pointer, Pointer | None]:
    """envp, and the slot to fill with `HOME=…\\0` when config.json does not say what HOME is.

    The last of equal names wins; an empty HOME counts as none, as in runc.
    """
    entries: list[str | Pointer] = []
    seen: set[str] = set()
    for entry in reversed(process.env):
        name, _equals, value = entry.partition("=")
        if name not in seen and not (name == "HOME" and not value):
            entries.append(entry)
        seen.add(name)
    entries.reverse()
    if variable(process, "HOME"):
        return p.pointers(entries), None
    slot = p.scratch(len("HOME=") + MAX_HOME + 1)
    default = f"HOME={NO_HOME}".encode()
    p.fill(slot, default)
    return p.pointers([*entries, slot]), slot
