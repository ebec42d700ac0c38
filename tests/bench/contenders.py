"""Who is measured, and what each step of a life is on their command line."""

from __future__ import annotations

import subprocess
from typing import NamedTuple

STEPS = ("create", "state", "start", "exec", "kill", "init", "delete", "run")
CROWDED = ("create", "state", "start", "kill", "init", "delete")
WAITING = ("create", "kill", "init", "delete")
REAP = "init"


class Contender(NamedTuple):
    """name: one word, for ids; path: of the executable, `{kind}` in it stands for the bundle's kind; root: --root."""

    name: str
    path: str
    root: str

    def command(self, step: str, top: str, kind: str, name: str) -> list[str]:
        """argv of one step on the container `name`, or on `name`r for run."""
        bundle = f"{top}/{kind}"
        arguments = {
            "create": ["-b", f"{bundle}/long", "--pid-file", f"{self.root}.pid", name],
            "exec": ["--process", f"{top}/process.json", name],
            "kill": [name, "KILL"],
            "run": ["-b", f"{bundle}/short", f"{name}r"],
            "list": [],
        }
        return [self.path.format(kind=kind), "--root", self.root, step, *arguments.get(step, [name])]


def script(contenders: list[Contender], steps: tuple[str, ...], top: str, kind: str, prefix: str) -> str:
    """What rounds.c reads: every contender's steps."""
    lines = []
    for contender in contenders:
        lines.append(f"contender\t{contender.name}")
        for step in steps:
            if step == REAP:
                lines.append(f"reap\t{step}")
            else:
                lines.append("\t".join(["step", step, *contender.command(step, top, kind, f"{prefix}-#")]))
    return "\n".join(lines) + "\n"


def version(contender: Contender) -> str:
    """What --version says first, with the commit."""
    if contender.name == "bare":
        return "tests/bench/bare.c"
    result = subprocess.run([contender.path, "--version"], capture_output=True, text=True, check=True)
    lines = result.stdout.splitlines()
    commit = next((line.partition(": ")[2] for line in lines if line.startswith("commit: ")), "unknown")
    return f"{lines[0].rpartition(' ')[2]}, commit {commit[:12]}{'-dirty' * commit.endswith('-dirty')}"
