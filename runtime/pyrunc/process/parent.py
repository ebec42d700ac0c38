"""The parent's side of a birth: open what the stage gets, start it, do our part at each sync point.

Nothing is decided here.  What is made is given back on any error: the stage is killed and waited for; the cgroup, the
state directory and the hooks' consequences belong to the caller (container/create.py).
"""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.errors import ProtocolError, StageFailed, during
from pyrunc.kernel.constants import O_DIRECTORY, O_PATH, O_RDONLY
from pyrunc.kernel.files import Fd, open_file, read_file
from pyrunc.kernel.mounts import clone_tree, map_ids
from pyrunc.kernel.processes import open_pidfd, set_limits
from pyrunc.namespaces.users import write_id_maps
from pyrunc.process import sync
from pyrunc.process.descriptors import CONSOLE, EXEC_FIFO, FIRST, PROC, ROOTFS, namespace, preserved, source
from pyrunc.process.hooks import STDERR, STDOUT, describe_status, open_output, run_hooks, tail
from pyrunc.process.limits import limits_of
from pyrunc.process.passwd import home_of
from pyrunc.process.passwd_file import read_passwd
from pyrunc.process.plan import HOOK_ERRORS, HOOK_OUTPUT
from pyrunc.process.spawn import Stage, name_exhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.namespaces.devices import MovedDevices
    from pyrunc.process.plan import Birth, Plan
    from pyrunc.program.operations import Operation


class Callbacks(Record):
    """What the caller does at the two points where the container becomes somebody."""

    hook_state: Callable[[int, str], bytes]  # (pid, status) -> the state's JSON
    ready: Callable[[int], None]  # pid of a container that is complete but for `start`
    attach: Callable[[int], None] | None = None  # moves a pid into the cgroup when we may not do so ourselves


class Opened:
    """The descriptors that go to the stage, by name (process/descriptors.py); closed together."""

    def __init__(self) -> None:
        self._files: dict[str, Fd] = {}
        self.numbers: dict[str, int] = {}

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in self._files.values():
            file.close()

    def own(self, name: str, file: Fd) -> None:
        """One that had this name is closed."""
        before = self._files.get(name)
        if before is not None and before is not file:
            before.close()
        self._files[name] = file
        self.numbers[name] = file.number

    def borrow(self, name: str, number: int) -> None:
        self.numbers[name] = number

    def __getitem__(self, name: str) -> Fd:
        return self._files[name]


def open_for_stage(opened: Opened, plan: Plan, wanted: Birth, fifo: Fd, console: Fd | None) -> None:
    """Everything the program refers to by descriptor."""
    opened.own(EXEC_FIFO, fifo)
    if console is not None and CONSOLE in plan.descriptors.names:
        opened.borrow(CONSOLE, console.number)
    for one in plan.sources:
        with during(f"mounts[{one.index}] {wanted.config.mounts[one.index].destination}: open the source {one.path}"):
            opened.own(source(one.index), clone_tree(one.path, recursive=one.recursive, follow=one.follow))
    if any(one.id_map is not None for one in plan.sources):
        _map_ids(opened, plan, wanted)
    names = plan.descriptors.names
    if ROOTFS in names:
        with during(f"root.path {wanted.rootfs}: clone the mount"):
            opened.own(ROOTFS, clone_tree(wanted.rootfs, recursive=True))
    if PROC in names:
        with during("open /proc"):
            opened.own(PROC, open_file("/proc", O_PATH | O_DIRECTORY))
    if HOOK_OUTPUT in names and HOOK_OUTPUT not in opened.numbers:
        opened.own(HOOK_OUTPUT, open_output(wanted.config.annotations, STDOUT))
    if HOOK_ERRORS in names and HOOK_ERRORS not in opened.numbers:
        opened.own(HOOK_ERRORS, open_output(wanted.config.annotations, STDERR))
    for index in range(wanted.preserve_fds):
        opened.borrow(preserved(index), FIRST + index)


def _map_ids(opened: Opened, plan: Plan, wanted: Birth) -> None:
    from pyrunc.process.idmaps import IdMapNamespaces  # few containers need it

    joined = opened[namespace("user")] if namespace("user") in plan.descriptors.names else None
    with IdMapNamespaces(wanted.host.machine, joined) as namespaces:
        for one in plan.sources:
            if one.id_map is None:
                continue
            maps = namespaces.of(one.id_map)
            with during(f"{one.id_map.place} {wanted.config.mounts[one.index].destination}: map the ids of {one.path}"):
                map_ids(opened[source(one.index)], maps, recursive=one.id_map.recursive)


class Parent:
    """Drives one stage from its start to READY."""

    def __init__(self, plan: Plan, wanted: Birth, opened: Opened, callbacks: Callbacks) -> None:
        self.plan = plan
        self.wanted = wanted
        self.opened = opened
        self.callbacks = callbacks
        self.moved: MovedDevices | None = None
        self.listener = -1  # the stage's number of its seccomp listener
        self.stage = Stage(plan.program, wanted.host.machine, plan.descriptors)
        self.stage.is_among_strangers = not plan.namespaces.is_new("pid")
        self._cgroup_directory = -1

    def run(self, cgroup_directory: int) -> Stage:
        """Until the stage waits for `start`.  On an error the stage is gone."""
        self._cgroup_directory = cgroup_directory
        try:
            with during("start the stage"):
                self.stage.start(self.opened.numbers, self.plan.clone_flags, cgroup_directory, self.callbacks.attach)
            while True:
                operation, value = self._next()
                _ANSWERS[operation.number](self, value)
                if operation.number == sync.READY:
                    if self.moved is not None:
                        self.moved.close()
                    return self.stage
        except BaseException as error:
            self.stage.kill()
            if self.moved is not None:
                self.moved.give_back()
            if isinstance(error, StageFailed) and HOOK_OUTPUT in self.opened.numbers:
                self._add_hook_output(error)
            name_exhausted(error, self.wanted.cgroup)
            raise

    def _next(self, expected: int | None = None) -> tuple[Operation, int]:
        message = self.stage.receive()
        if message is None:
            raise ProtocolError(f"the container's init ended before it was ready{self._death()}")
        if expected is not None and message[0].number != expected:
            raise ProtocolError("internal error: the stage spoke out of turn")
        return message

    def _map_ids(self, _value: int) -> None:
        write_id_maps(self.stage.pid, self.plan.namespaces, self.wanted.host)
        self.stage.answer()

    def _init_pid(self, value: int) -> None:
        pidfd = open_pidfd(value)
        if pidfd is None:
            raise ProtocolError("the container's init ended before it was ready")
        self.stage.answer()
        self.stage.adopt(value, pidfd)

    def _move_devices(self) -> None:
        """Before the hooks, which may want to see them there."""
        from pyrunc.namespaces.devices import MovedDevices  # few containers are given one

        with open_file(f"/proc/{self.stage.pid}/ns/net", O_RDONLY) as namespace:
            self.moved = MovedDevices(namespace)
        self.moved.move(self.wanted.config.linux.net_devices)

    def _runtime_hooks(self, _value: int) -> None:
        if self.wanted.config.linux.net_devices:
            self._move_devices()
        hooks = self.wanted.config.hooks
        state = self.callbacks.hook_state(self.stage.pid, "created")
        annotations = self.wanted.config.annotations
        run_hooks("prestart", hooks.prestart, state, self.wanted.bundle, annotations)
        run_hooks("createRuntime", hooks.create_runtime, state, self.wanted.bundle, annotations)
        if self.plan.hook_state is None:
            self.stage.answer()
            return
        inside = self.callbacks.hook_state(_pid_inside(self.stage.pid), "created")
        self.stage.answer(inside.ljust(self.plan.hook_state.size))  # JSON may end in spaces

    def _hand_over(self, index: int) -> None:
        from pyrunc.process.copyup import USERS, CopyUp, HandedOver, IdMaps  # few containers need it

        wanted = self.wanted
        copying = CopyUp(
            place=f"mounts[{index}]",
            destination=wanted.config.mounts[index].destination,
            process=wanted.process,
            host=wanted.host,
            cgroup=wanted.cgroup,
            cgroup_directory=self._cgroup_directory,
            has_user_namespace=self.plan.namespaces.has_user_namespace,
        )
        self.stage.answer()
        with HandedOver(self.stage.socket) as handed:
            self._next(sync.COPY_UP)
            copying.run(handed, IdMaps(self.stage.pid, handed.files[USERS]))
        self.stage.answer()

    def _listener(self, value: int) -> None:
        """First the number that it will have, then that it is there."""
        if self.listener < 0:
            self.listener = value
        else:
            from pyrunc.process.listener import hand_over_listener  # few profiles ask an agent

            state = self.callbacks.hook_state(self.stage.pid, "creating")
            hand_over_listener(self.stage, self.listener, self.wanted.config.linux.seccomp, state)
        self.stage.answer()

    def _ready(self, _value: int) -> None:
        if self.plan.namespaces.has_user_namespace:
            # In one the stage cannot raise a hard limit.  Without, it has set them itself: it has our capabilities,
            # while we would need CAP_SYS_RESOURCE to change the limits of another uid (prlimit(2)).
            for place, resource, soft, hard in limits_of(self.wanted.process):
                with during(f"{place}: set the limit"):
                    set_limits(self.stage.pid, resource, soft, hard)
        home = b""
        if self.plan.home is not None:
            home = f"HOME={self._home()}".encode("utf-8", "surrogateescape") + b"\0"
        self.callbacks.ready(self.stage.pid)
        self.stage.answer(home)

    def _home(self) -> str:
        """What the container's own passwd says, read through its root with a limit (containerd's CVE-2026-47262)."""
        content = read_passwd(f"/proc/{self.stage.pid}/root", self.wanted.rootfs)
        return home_of(self.wanted.process.user.uid, content)

    def _death(self) -> str:
        status = self.stage.kill()
        words = describe_status(status) if status is not None else ""
        return f": {words}" if words else ""

    def _add_hook_output(self, error: StageFailed) -> None:
        if "hook #" in error.text:
            path = self.wanted.config.annotations.get(STDOUT)
            error.text += f", output: {path or tail(self.opened[HOOK_OUTPUT])}"


_ANSWERS: dict[int, Callable[[Parent, int], None]] = {
    sync.MAP_IDS: Parent._map_ids,
    sync.INIT_PID: Parent._init_pid,
    sync.RUNTIME_HOOKS: Parent._runtime_hooks,
    sync.READY: Parent._ready,
    sync.HAND_OVER: Parent._hand_over,
    sync.LISTENER: Parent._listener,
}


def _pid_inside(pid: int) -> int:
    """The pid as the container sees it: the last of NSpid in /proc/PID/status (proc_pid_status(5))."""
    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return pid
