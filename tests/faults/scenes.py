"""For every verb: what is there before, the command that is disturbed, what must hold after, and how to go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Result
    from faults.injector import Injector

ID = "box"
CRASHES = {128 + number for number in (4, 6, 7, 8, 11, 31)}  # SIGILL, ABRT, BUS, FPE, SEGV, SYS


class Scene:
    """One verb."""

    name = ""
    prepared: tuple[tuple[str, ...], ...] = ()
    words: tuple[str, ...] = ()
    is_stage = False  # whose call is disturbed

    def __init__(self, injector: Injector, bundle: Bundle) -> None:
        self.injector = injector
        self.create = ("create", "--bundle", str(bundle.path), ID)

    def prepare(self) -> None:
        for words in (self.create, *self.prepared):
            self.injector.plain(*words).ok()

    def check(self, result: Result, *, killed: bool) -> None:
        """What must hold right after."""
        assert result.status not in CRASHES, result
        assert killed or result.status != 128 + 9, result
        assert "Traceback" not in result.err, result
        assert killed or result.status == 0 or result.err, result

    def status(self) -> str:
        document: dict[str, str] = json.loads(self.injector.plain("state", ID).ok().out)
        return document["status"]

    def go_on(self, *, killed: bool) -> None:
        """After the fault the same command works, or says why not: nothing hangs."""

    def finish(self) -> None:
        self.injector.plain("delete", "--force", ID).ok()


class Create(Scene):
    name = "create"

    def __init__(self, injector: Injector, bundle: Bundle) -> None:
        super().__init__(injector, bundle)
        self.words = self.create

    def prepare(self) -> None:
        pass

    def check(self, result: Result, *, killed: bool) -> None:
        super().check(result, killed=killed)
        if result.status == 0:
            # A stage that is disturbed after it said that it was ready has stopped: create may be gone by then.
            assert self.status() == "created" or (self.is_stage and self.status() == "stopped")
        elif not killed:
            assert not (self.injector.state_root / ID).exists(), "a create that failed left its directory"

    def go_on(self, *, killed: bool) -> None:
        if killed:
            self.finish()
            self.injector.plain(*self.create).ok()


class Run(Scene):
    """In the foreground: pyrunc is there as long as the container is, and takes it away."""

    name = "run"

    def __init__(self, injector: Injector, bundle: Bundle) -> None:
        super().__init__(injector, bundle)
        bundle.args("true")
        bundle.save()
        self.words = ("run", *self.create[1:])

    def prepare(self) -> None:
        pass

    def check(self, result: Result, *, killed: bool) -> None:
        super().check(result, killed=killed)
        if result.status == 0 and (self.injector.state_root / ID).exists():
            # The exit status is the container's; that something could not be removed is a warning.
            assert "level=warning" in result.err, "a run that ended left its directory"

    def go_on(self, *, killed: bool) -> None:
        if killed:
            self.finish()
        self.injector.plain("delete", "--force", ID).ok()
        self.injector.plain(*self.words).ok()


class Start(Scene):
    name = "start"
    words = ("start", ID)

    def check(self, result: Result, *, killed: bool) -> None:
        super().check(result, killed=killed)
        if result.status == 0:
            assert self.status() == "running"

    def go_on(self, *, killed: bool) -> None:
        """A start that was killed may have let the stage go, or not."""
        again = self.injector.plain("start", ID)
        if "does not exist" in again.err:  # a poststart hook that fails ends it: runtime.md#lifecycle
            assert not (self.injector.state_root / ID).exists()
            return
        assert again.status == 0 or "already running" in again.err or "stopped" in again.err, again
        assert self.status() in ("running", "stopped")


class Exec(Scene):
    name = "exec"
    prepared = (("start", ID),)
    words = ("exec", ID, "true")

    def go_on(self, *, killed: bool) -> None:
        assert self.status() == "running"
        self.injector.plain(*self.words).ok()


class Update(Scene):
    name = "update"
    prepared = (("start", ID),)
    words = ("update", "--memory", "64m", "--pids-limit", "50", "--cpu-share", "512", ID)

    def go_on(self, *, killed: bool) -> None:
        assert self.status() == "running"
        self.injector.plain(*self.words).ok()


class UpdateFromFile(Update):
    """What version 2 has without any controller."""

    def __init__(self, injector: Injector, bundle: Bundle) -> None:
        super().__init__(injector, bundle)
        resources = {
            "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "access": "r"}],
            "unified": {"cgroup.max.descendants": "30", "cgroup.max.depth": "3"},
        }
        file = bundle.path / "resources.json"
        file.write_text(json.dumps(resources))
        self.words = ("update", "--resources", str(file), ID)


class Kill(Scene):
    name = "kill"
    prepared = (("start", ID),)
    words = ("kill", ID, "KILL")


class Delete(Scene):
    name = "delete"
    prepared = (("start", ID),)
    words = ("delete", "--force", ID)


class Pause(Scene):
    name = "pause"
    prepared = (("start", ID),)
    words = ("pause", ID)

    def check(self, result: Result, *, killed: bool) -> None:
        super().check(result, killed=killed)
        if result.status == 0:
            assert self.status() == "paused"

    def go_on(self, *, killed: bool) -> None:
        """Whatever became of it, it can be resumed."""
        again = self.injector.plain("resume", ID)
        assert again.status == 0 or "container not paused" in again.err, again
        assert self.status() == "running"


class DeletePaused(Scene):
    """Who is frozen does not see SIGKILL on version 1."""

    name = "delete while paused"
    prepared = (("start", ID), ("pause", ID))
    words = ("delete", "--force", ID)


SCENES: tuple[type[Scene], ...] = (Create, Run, Start, Exec, Update, Pause, Kill, Delete, DeletePaused)
