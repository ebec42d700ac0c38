"""One call of a runtime's command line, as a mutant sees it.

A mutant starts an interpreter for each call: what it does not need is not imported.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WITH_VALUE = frozenset(("--root", "--log", "--log-format", "--bundle", "-b", "--pid-file", "--console-socket",
                        "--preserve-fds", "--resources", "-r"))  # fmt: skip


class Call:
    """`words` after the command, without options; `options` with their values."""

    def __init__(self, real: str, argv: list[str]) -> None:
        self.real = real
        self.argv = argv
        self.command = ""
        self.words: list[str] = []
        self.options: dict[str, str] = {}
        rest = iter(argv)
        for word in rest:
            if word in WITH_VALUE:
                self.options[word] = next(rest, "")
            elif word.startswith("-") and not self.command:
                continue
            elif not self.command:
                self.command = word
            elif not word.startswith("-"):
                self.words.append(word)

    @property
    def bundle(self) -> str:
        return os.path.abspath(self.options.get("--bundle") or self.options.get("-b") or ".")

    @property
    def id(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def state_directory(self) -> str:
        return f"{self.options['--root']}/{self.id}"

    @property
    def config_path(self) -> str:
        return f"{self.bundle}/config.json"

    def read_config(self) -> dict[str, Any]:
        import json

        with open(self.config_path) as file:
            document: dict[str, Any] = json.load(file)
        return document

    def go(self, argv: list[str] | None = None) -> int:
        """The real runtime, with this process's descriptors; its exit status."""
        words = [self.real, *(self.argv if argv is None else argv)]
        pid = os.posix_spawn(self.real, words, os.environ)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def other(self, command: str, *words: str) -> int:
        """Another command on the same container, silently."""
        return self.quiet(["--root", self.options["--root"], command, *words])[0]

    def quiet(self, argv: list[str] | None = None) -> tuple[int, str, str]:
        """The real runtime; (status, stdout, stderr)."""
        import subprocess

        words = [self.real, *(self.argv if argv is None else argv)]
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    def go_with(self, config: dict[str, Any]) -> int:
        """create with another config.json in the place of the bundle's, which comes back."""
        import json

        kept = f"{self.config_path}.kept"
        os.rename(self.config_path, kept)
        with open(self.config_path, "w") as file:
            json.dump(config, file)
        try:
            return self.go()
        finally:
            os.replace(kept, self.config_path)

    def state(self) -> dict[str, Any]:
        import json

        document: dict[str, Any] = json.loads(self.quiet(["--root", self.options["--root"], "state", self.id])[1])
        return document
