"""The connection, against a peer that says what a test has it say, over a real socket."""

from __future__ import annotations

import socket
import threading
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from jeepney import DBusAddress, MessageType, new_error, new_method_return, new_signal
from jeepney.low_level import Parser

import pyrunc.cgroups.dbus as dbus
from pyrunc.cgroups import systemd
from pyrunc.cgroups.dbus import Manager, addresses, open_manager
from pyrunc.cgroups.dbus_message import SIGNAL, body_of
from pyrunc.cgroups.place import ContainerCgroup
from pyrunc.errors import BusError, ProtocolError, Unsupported
from pyrunc.kernel.files import Fd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYSTEMD = DBusAddress(dbus.MANAGER_PATH, interface=dbus.MANAGER)


class Peer:
    """The other end: authenticates as sd-bus does, and answers each call with what `answers` gives, or goes."""

    def __init__(self, answers: Callable[..., list[bytes] | None], greeting: bytes = b"DATA\r\nOK 0123\r\n") -> None:
        ours, self.socket = socket.socketpair()
        self.number = ours.detach()
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.thread = threading.Thread(target=self._serve, args=(answers, greeting), daemon=True)
        self.thread.start()

    def _serve(self, answers: Callable[..., list[bytes] | None], greeting: bytes) -> None:
        with self.socket:
            head = b""
            while not head.endswith(b"BEGIN\r\n"):
                head += self.socket.recv(1)
            assert head == b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
            self.socket.sendall(greeting)
            parser = Parser()
            while chunk := self.socket.recv(4096):
                for call in parser.feed(chunk):
                    self.calls.append((next(v for f, v in call.header.fields.items() if f.name == "member"), call.body))
                    said = answers(call)
                    if said is None:
                        return
                    self.socket.sendall(b"".join(said))


def job_done(call, result: str = "done", job: str = "/job/1") -> list[bytes]:
    """An answer and the signal, with another's signal between."""
    other = new_signal(SYSTEMD, "JobRemoved", "uoss", (2, "/job/2", "other.scope", "failed")).serialise(serial=50)
    removed = new_signal(SYSTEMD, "JobRemoved", "uoss", (1, job, "x.scope", result)).serialise(serial=51)
    return [other, new_method_return(call, "o", (job,)).serialise(serial=52), removed]


@pytest.fixture
def talk() -> Iterator[Callable[..., tuple[Manager, Peer]]]:
    peers: list[Peer] = []
    managers: list[Manager] = []

    def start(
        answers: Callable[..., list[bytes] | None], *, has_bus: bool = False, **more: bytes
    ) -> tuple[Manager, Peer]:
        peers.append(Peer(answers, **more))
        managers.append(Manager(Fd(peers[-1].number), has_bus=has_bus))
        return managers[-1], peers[-1]

    yield start
    for manager in managers:
        manager.__exit__()
    for peer in peers:
        peer.thread.join(5)
        assert not peer.thread.is_alive()


def test_a_call_and_its_job(talk) -> None:
    manager, peer = talk(job_done)
    answer = manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop the unit")
    assert body_of(answer, "o") == ("/job/1",)
    assert manager.wait_for_job("/job/1", "stop the unit") == "done"
    assert peer.calls == [("StopUnit", ("x.scope", "replace"))]


def test_a_job_that_ends_before_the_answer_comes(talk) -> None:
    manager, _peer = talk(lambda call: list(reversed(job_done(call, "canceled"))))
    manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop the unit")
    assert manager.wait_for_job("/job/1", "stop the unit") == "canceled"


def test_on_a_bus_we_say_hello_first(talk) -> None:
    manager, peer = talk(lambda call: [] if call.header.fields and call.body == () else job_done(call), has_bus=True)
    manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop the unit")
    assert [member for member, _body in peer.calls] == ["Hello", "AddMatch", "StopUnit"]
    assert "member='JobRemoved'" in peer.calls[1][1][0]


def test_the_version_is_asked_once(talk) -> None:
    manager, peer = talk(lambda call: [new_method_return(call, "v", (("s", "252.38-1"),)).serialise(serial=9)])
    assert [manager.version(), manager.version()] == ["252.38-1"] * 2
    assert peer.calls == [("Get", (dbus.MANAGER, "Version"))]


def test_a_version_of_another_type(talk) -> None:
    manager, _peer = talk(lambda call: [new_method_return(call, "v", (("u", 252),)).serialise(serial=9)])
    with pytest.raises(ProtocolError, match="systemd's version is of type 'u'"):
        manager.version()


class Systemd:
    """A manager of some version that starts every unit, of no time-out."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.told: dict[str, tuple[str, object]] = {}

    def answer(self, call) -> list[bytes]:
        member = next(v for f, v in call.header.fields.items() if f.name == "member")
        if member == "Get":
            return [new_method_return(call, "v", (("s", self.version),)).serialise(serial=9)]
        if member == "SetUnitProperties":
            self.told = dict(call.body[2])
        return [new_method_return(call).serialise(serial=9)]


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("241", {"MemoryMax"}),
        ("v243", {"MemoryMax", "CPUQuotaPeriodUSec"}),
        ("252.1", {"MemoryMax", "CPUQuotaPeriodUSec", "AllowedCPUs", "CPUWeight"}),
        ("253", {"MemoryMax", "CPUQuotaPeriodUSec", "AllowedCPUs", "CPUWeight", "OOMPolicy"}),
    ],
)
def test_a_systemd_is_told_what_it_knows(talk, monkeypatch: pytest.MonkeyPatch, version: str, known: set[str]) -> None:
    peer = Systemd(version)
    manager, heard = talk(peer.answer)
    monkeypatch.setattr(systemd, "open_manager", lambda *, of_user: nullcontext(manager))
    properties = [
        ("MemoryMax", ("t", 1)),
        ("CPUQuotaPeriodUSec", ("t", 1)),
        ("AllowedCPUs", ("ay", b"\1")),
        ("CPUWeight", ("t", 0)),
        ("OOMPolicy", ("s", "continue")),
    ]
    cgroup = ContainerCgroup(hierarchies=(), unit="x.scope")
    systemd.set_properties(cgroup, properties)
    assert set(peer.told) == known
    systemd.set_properties(cgroup, properties[:1])
    assert [member for member, _body in heard.calls].count("Get") == 1


def test_an_error_keeps_its_name(talk) -> None:
    def refuse(call) -> list[bytes]:
        name = "org.freedesktop.systemd1.UnitExists"
        return [new_error(call, name, "s", ("Unit x.scope already exists.",)).serialise(serial=9)]

    manager, _peer = talk(refuse)
    with pytest.raises(BusError, match=r"Unit x\.scope already exists\.") as caught:
        manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop the unit")
    assert caught.value.name == "org.freedesktop.systemd1.UnitExists"


def test_a_job_that_does_not_end(talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words name the unit and the job.  Of the 30 s all but the last hundredth have gone."""
    manager, _peer = talk(lambda call: job_done(call)[:2])
    manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop the unit x.scope")
    monkeypatch.setattr(dbus, "monotonic", lambda: monotonic() + dbus.TIMEOUT_SECONDS - 0.01)
    with pytest.raises(ProtocolError, match=r"did not stop the unit x\.scope \(job /job/1\) in 30 s"):
        manager.wait_for_job("/job/1", "stop the unit x.scope")


@pytest.mark.parametrize(
    "greeting", [b"REJECTED EXTERNAL\r\n", b"ERROR\r\n", b"x" * 2000, b"DATA\r\nNO\r\n"], ids=lambda g: g[:6].decode()
)
def test_who_does_not_accept_us(talk, greeting: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"does not accept us|without an end"):
        talk(lambda _call: [], greeting=greeting)


def test_a_peer_that_goes_away(talk) -> None:
    manager, _peer = talk(lambda _call: None)
    with pytest.raises(ProtocolError, match="closed the connection and did not stop it"):
        manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop it")


def test_a_peer_that_speaks_something_else(talk) -> None:
    manager, _peer = talk(lambda _call: [b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    with pytest.raises(ProtocolError, match="little-endian"):
        manager.call("StopUnit", "ss", ("x.scope", "replace"), "stop it")


USER = {b"XDG_RUNTIME_DIR": b"/run/user/7"}
SESSION = {b"DBUS_SESSION_BUS_ADDRESS": b"tcp:host=x,port=1;unix:guid=1,path=/run/my%20bus"}


@pytest.mark.parametrize(
    ("environment", "of_user", "expected"),
    [
        ({}, False, [("private", "/run/systemd/private"), ("bus", "/run/dbus/system_bus_socket")]),
        (
            {b"DBUS_SYSTEM_BUS_ADDRESS": b"unix:path=/other"},
            False,
            [("private", "/run/systemd/private"), ("bus", "/other")],
        ),
        (USER, True, [("private", "/run/user/7/systemd/private"), ("bus", "/run/user/7/bus")]),
        (SESSION, True, [("bus", "/run/my bus")]),
        ({**USER, **SESSION}, True, [("private", "/run/user/7/systemd/private"), ("bus", "/run/my bus")]),
        ({b"DBUS_SESSION_BUS_ADDRESS": b"unix:abstract=/tmp/x"}, True, []),
        ({b"DBUS_SESSION_BUS_ADDRESS": b"unix:path=%zz"}, True, []),
    ],
)
def test_addresses(environment: dict[bytes, bytes], of_user: bool, expected: list[tuple[str, str]]) -> None:
    assert addresses(environment, of_user=of_user) == expected


def test_nobody_there(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus.posix, "environ", {b"XDG_RUNTIME_DIR": bytes(tmp_path)})
    with pytest.raises(Unsupported, match=r"cannot reach this user's systemd: .*/systemd/private: No such file"):
        open_manager(of_user=True)


def test_the_peers_library_has_what_is_used_here() -> None:
    assert MessageType.signal.value == SIGNAL
