"""libseccomp's opinion of a profile, through pyseccomp: what runc would load, but for its ENOSYS rule."""

from __future__ import annotations

import errno
import os
import pickle
import re
import select
import signal
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import pyseccomp  # type: ignore[import-untyped]

from ocispec.record import replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from ocispec.seccomp import Seccomp, SyscallRule

_ACTIONS = {
    "SCMP_ACT_KILL": pyseccomp.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": pyseccomp.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": pyseccomp.KILL_PROCESS,
    "SCMP_ACT_TRAP": pyseccomp.TRAP,
    "SCMP_ACT_ALLOW": pyseccomp.ALLOW,
    "SCMP_ACT_LOG": pyseccomp.LOG,
    "SCMP_ACT_NOTIFY": pyseccomp.NOTIFY,
}
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
DEADLINE = 2.0  # seconds; libseccomp needs milliseconds
_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE, seccomp.h: 2 is a binary tree


def token(architecture: str) -> int:
    return int(getattr(pyseccomp.Arch, architecture.removeprefix("SCMP_ARCH_")))


def resolved(architecture: str, name: str) -> int:
    """The number; below -1 a pretended one: multiplexed, or no call of this architecture; -1: unknown."""
    return int(pyseccomp.resolve_syscall(token(architecture), name))


def knows(name: str) -> bool:
    """libseccomp has a number, real or pretended, for every call it knows on any architecture."""
    return bool(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) != -1)


def _action(word: str, code: int | None) -> int:
    if word == "SCMP_ACT_ERRNO":
        return int(pyseccomp.ERRNO(errno.EPERM if code is None else code))
    if word == "SCMP_ACT_TRACE":
        return int(pyseccomp.TRACE(errno.EPERM if code is None else code))
    return int(_ACTIONS[word])


def _conditions(rule: SyscallRule) -> list[list[pyseccomp.Arg]]:
    arguments = [
        pyseccomp.Arg(a.index, getattr(pyseccomp, a.op.removeprefix("SCMP_CMP_")), a.value, a.value_two)
        for a in rule.args
    ]
    if len({a.index for a in rule.args}) < len(rule.args):
        return [[argument] for argument in arguments]  # as runc does: libseccomp refuses them together
    return [arguments]


def _add_rule(target: pyseccomp.SyscallFilter, rule: SyscallRule, action: int) -> bool:
    """False: libseccomp refuses it, because an earlier rule says something else for the same conditions."""
    for name in rule.names:
        if not knows(name):
            continue
        for arguments in _conditions(rule):
            try:
                target.add_rule(action, name, *arguments)
            except FileExistsError:
                return False
    return True


class Opinion(NamedTuple):
    """profile: as far as libseccomp takes it; bpf: its filter; tree: its rules, in the pseudo-code it prints."""

    profile: Seccomp
    bpf: bytes
    tree: Tree


def ask(profile: Seccomp, machine: str, *, optimize: bool = False) -> Opinion:
    """`optimize`: libseccomp's binary tree (runc turns it on for more than 8 rules), else its linear filter."""
    default = _action(profile.default_action, profile.default_errno_ret)
    target = pyseccomp.SyscallFilter(default)
    wanted = {token(name) for name in (_NATIVE[machine], *profile.architectures)}
    for architecture in wanted - {pyseccomp.system_arch()}:
        target.add_arch(architecture)
    for architecture in {pyseccomp.system_arch()} - wanted:
        target.remove_arch(architecture)
    for index, rule in enumerate(profile.syscalls):
        action = _action(rule.action, rule.errno_ret)
        if action != default and not _add_rule(target, rule, action):
            remaining = profile.syscalls[:index] + profile.syscalls[index + 1 :]
            return ask(replace(profile, syscalls=remaining), machine, optimize=optimize)
    tree = parse(_exported(target.export_pfc).decode())
    if optimize:
        target.set_attr(_OPTIMIZE, 2)
    return Opinion(profile, _exported(target.export_bpf), tree)


def ask_in_time(profile: Seccomp, machine: str, *, optimize: bool = False) -> Opinion | None:
    """`ask` in a forked child, because seccomp_rule_add(3) loops for ever on one profile in some thousand: None."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writer, "wb") as answers:
                pickle.dump(ask(profile, machine, optimize=optimize), answers)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answered, _, _ = select.select([answers], [], [], DEADLINE)
        if not answered:
            os.kill(child, signal.SIGKILL)
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    if not answered:
        return None
    assert status == 0, "libseccomp refused: the traceback stands above"
    opinion: Opinion = pickle.loads(answer)
    return opinion


def _exported(export: Callable[[IO[bytes]], None]) -> bytes:
    with tempfile.TemporaryFile() as exported:
        export(exported)
        exported.seek(0)
        return exported.read()


# -- the pseudo-code -----------------------------------------------------------------------------------------------

# A block is what stands at one indentation: ifs, tried in turn until one of them reaches an action.
Block = list["If | int"]
Tree = dict[str, tuple[dict[int, Block], int]]  # architecture in libseccomp's words -> (call -> block, default)


class If(NamedTuple):
    argument: int
    upper: bool
    mask: int
    op: str
    value: int
    yes: Block
    no: Block


_IF = re.compile(r"if \(\$a(\d)(?:\.(hi|lo)32)?(?: & (0x[0-9a-f]+))? (==|>=|>) (\d+)\)")
_ACTION = re.compile(r"action (\w+)(?:\((\d+)\))?;")
_PRINTED = {"KILL": "SCMP_ACT_KILL", "0x7fc00000": "SCMP_ACT_NOTIFY"}


def parse(text: str) -> Tree:
    """What seccomp_export_pfc(3) prints."""
    tree: Tree = {}
    calls: dict[int, Block] = {}
    blocks: list[Block] = []  # by indentation, from that of a call's rules on
    architecture = ""
    for line in text.splitlines():
        words = line.strip()
        depth = (len(line) - len(words)) // 2
        if words.startswith("# filter for arch"):
            architecture, calls = words.split()[4], {}
        elif words.startswith("if ($syscall == "):
            blocks = [calls.setdefault(int(words[16:-1]), [])]
        elif words.startswith("action") and depth == 1:
            tree[architecture] = calls, _printed_action(words)
        elif words.startswith("action") and depth >= 2:
            blocks[depth - 2].append(_printed_action(words))
        elif found := _IF.match(words):
            argument, half, mask, op, value = found.groups()
            test = If(int(argument), half == "hi", int(mask or "0xffffffff", 16), op, int(value), [], [])
            blocks[depth - 2].append(test)
            blocks[depth - 1 :] = [test.yes]
        elif words == "else":
            last = blocks[depth - 2][-1]
            assert isinstance(last, If)
            blocks[depth - 1 :] = [last.no]
    return tree


def _printed_action(words: str) -> int:
    found = _ACTION.match(words)
    assert found, words
    name = _PRINTED.get(found[1], f"SCMP_ACT_{found[1]}")
    return _action(name, int(found[2]) if found[2] else None)


def decide(tree: Tree, architecture: str, number: int, arguments: tuple[int, ...]) -> int:
    """What libseccomp's rules say, as opposed to what its filter does."""
    word = architecture.removeprefix("SCMP_ARCH_").lower()
    section = tree.get(word)
    if word in ("x86_64", "x32") and number >= 0x40000000:
        section = tree.get("x32")
        if section is None and number == 0xFFFFFFFF and "x86_64" in tree:
            return tree["x86_64"][1]  # cancelled by a tracer
    elif word == "x32":
        section = tree.get("x86_64")
    if section is None:
        return int(pyseccomp.KILL_THREAD)
    calls, default = section
    found = _walk(calls.get(number, []), arguments)
    return default if found is None else found


def _walk(block: Block, arguments: tuple[int, ...]) -> int | None:
    for step in block:
        if isinstance(step, int):
            return step
        value = arguments[step.argument] >> (32 if step.upper else 0) & step.mask
        holds = {"==": value == step.value, ">=": value >= step.value, ">": value > step.value}[step.op]
        found = _walk(step.yes if holds else step.no, arguments)
        if found is not None:
            return found
    return None
