"""A connection to systemd: its own socket where we may use it, else the message bus.

/run/systemd/private (a user's: $XDG_RUNTIME_DIR/systemd/private) is what systemctl speaks to: one peer, no daemon
between, no names, and it serves the same owner only.  The bus is for those who reach only that.

SASL is EXTERNAL without an initial response (D-Bus specification, authentication protocol; sd-bus does the same): the
peer takes our uid from SO_PEERCRED, which is right in a user namespace too, where ours would be another number.
"""

from __future__ import annotations

import posix
from errno import EACCES, ECONNREFUSED, ENOENT, EPERM
from select import POLLIN, poll
from time import monotonic

from pyrunc.cgroups.dbus_message import (
    ERROR,
    FIXED_HEADER,
    RETURN,
    SIGNAL,
    Message,
    body_of,
    decode,
    encode_call,
    size_of,
)
from pyrunc.errors import BusError, ProtocolError, Unsupported
from pyrunc.kernel.sockets import connect, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.kernel.files import Fd

TIMEOUT_SECONDS = 30.0  # runc's, for a job
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
SYSTEMD, MANAGER_PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
JOB_REMOVED = f"type='signal',sender='{SYSTEMD}',path='{MANAGER_PATH}',interface='{MANAGER}',member='JobRemoved'"
_AUTHENTICATION = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
_MOST_LINE = 1024
_NOT_HERE = (ENOENT, ECONNREFUSED, EACCES, EPERM)
_PRIVATE, _ON_BUS = "private", "bus"


def addresses(environment: dict[bytes, bytes], *, of_user: bool) -> list[tuple[str, str]]:
    """("private" or "bus", socket path) of the manager, the best first."""
    if not of_user:
        bus = _unix_path(environment.get(b"DBUS_SYSTEM_BUS_ADDRESS", b"")) or "/run/dbus/system_bus_socket"
        return [(_PRIVATE, "/run/systemd/private"), (_ON_BUS, bus)]
    found = []
    directory = environment.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if directory:
        found.append((_PRIVATE, f"{directory}/systemd/private"))
    bus = _unix_path(environment.get(b"DBUS_SESSION_BUS_ADDRESS", b"")) or (directory and f"{directory}/bus")
    if bus:
        found.append((_ON_BUS, bus))
    return found


def _unix_path(address: bytes) -> str:
    """The path of the first `unix:path=` of a list of addresses, "" without one (an abstract one is not for us)."""
    for one in address.decode("utf-8", "surrogateescape").split(";"):
        transport, _colon, rest = one.partition(":")
        for pair in rest.split(",") if transport == "unix" else ():
            key, _equals, value = pair.partition("=")
            if key == "path":
                return _unescape(value)
    return ""


def _unescape(text: str) -> str:
    """%2f in an address is a slash (D-Bus specification, server addresses)."""
    first, *rest = text.split("%")
    try:
        return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
    except ValueError:
        return ""


def open_manager(*, of_user: bool) -> Manager:
    """Raises Unsupported when nobody answers anywhere."""
    tried = []
    for kind, path in addresses(posix.environ, of_user=of_user):
        try:
            return Manager(connect(path), has_bus=kind == _ON_BUS)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            tried.append(f"{path}: {posix.strerror(error.errno)}")
    whose = "this user's systemd" if of_user else "systemd"
    places = "; ".join(tried) or "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS says where it is"
    raise Unsupported(f"cannot reach {whose}: {places}")


class Manager:
    """systemd's Manager object.  One command has one connection, and all it waits for ends after 30 s."""

    def __init__(self, socket: Fd, *, has_bus: bool) -> None:
        self._socket = socket
        self._destination = SYSTEMD if has_bus else ""
        self._serial = 0
        self._received = bytearray()
        self._removed: dict[str, str] = {}  # job -> result
        self._version: str | None = None
        self._end = monotonic() + TIMEOUT_SECONDS
        self._poll = poll()
        self._poll.register(socket.number, POLLIN)
        # sd-bus reads on into what follows BEGIN and then waits for more: the first message has to come after its OK.
        try:
            self._send(_AUTHENTICATION)
            self._authenticate()
        except BaseException:
            socket.close()
            raise
        if has_bus:
            # The bus knows nobody before Hello; what it answers to it is passed over as nobody waits for that serial.
            self._send(encode_call(self._next_serial(), BUS, "Hello"))
            self._send(encode_call(self._next_serial(), BUS, "AddMatch", "s", [JOB_REMOVED], wants_reply=False))

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def version(self) -> str:
        """As systemd has it; asked once."""
        if self._version is None:
            answer = self.call("Get", "ss", (MANAGER, "Version"), "tell its version", interface=PROPERTIES)
            signature, value = body_of(answer, "v")[0]
            if signature != "s":
                raise ProtocolError(f"D-Bus: systemd's version is of type {signature!r}")
            self._version = value
        return self._version

    def call(
        self, member: str, signature: str, arguments: Sequence[object], waiting_for: str, *, interface: str = MANAGER
    ) -> Message:
        """The answer.  Raises BusError with the error's name, ProtocolError after the time-out."""
        serial = self._next_serial()
        self._send(encode_call(serial, (self._destination, MANAGER_PATH, interface), member, signature, arguments))
        while True:
            message = self._receive(waiting_for)
            if message.reply_serial != serial:
                self._note(message)
            elif message.kind == ERROR:
                text = body_of(message, message.signature)[0] if message.signature[:1] == "s" else message.error_name
                raise BusError(text, message.error_name)
            elif message.kind == RETURN:
                return message

    def wait_for_job(self, job: str, waiting_for: str) -> str:
        """How the job ended: done, failed, canceled, timeout, dependency, skipped."""
        while job not in self._removed:
            self._note(self._receive(f"{waiting_for} (job {job})"))
        return self._removed.pop(job)

    def _note(self, message: Message) -> None:
        if message.kind == SIGNAL and (message.interface, message.member) == (MANAGER, "JobRemoved"):
            _number, job, _unit, result = body_of(message, "uoss")
            self._removed[job] = result

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _send(self, content: bytes) -> None:
        if not write_all(self._socket, content):
            raise ProtocolError("systemd has closed the connection")

    def _receive(self, waiting_for: str) -> Message:
        self._fill(FIXED_HEADER, waiting_for)
        size = size_of(bytes(self._received[:FIXED_HEADER]))
        self._fill(size, waiting_for)
        content = bytes(self._received[:size])
        del self._received[:size]
        return decode(content)

    def _authenticate(self) -> None:
        """All we have to say is on its way already: `DATA` asks for a response, `OK` says that we are somebody."""
        while True:
            line = self._line("say who we are")
            if line.startswith(b"OK "):
                break
            if line.strip() != b"DATA":
                raise ProtocolError(f"systemd does not accept us: {line.decode('utf-8', 'replace').strip()}")

    def _line(self, waiting_for: str) -> bytes:
        while b"\r\n" not in self._received:
            if len(self._received) > _MOST_LINE:
                raise ProtocolError("D-Bus: a line without an end")
            self._fill(len(self._received) + 1, waiting_for)
        line, _end, rest = bytes(self._received).partition(b"\r\n")
        self._received = bytearray(rest)
        return line

    def _fill(self, size: int, waiting_for: str) -> None:
        """Until there are `size` bytes."""
        while len(self._received) < size:
            left = self._end - monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise ProtocolError(f"systemd did not {waiting_for} in {TIMEOUT_SECONDS:.0f} s")
            try:
                chunk = posix.read(self._socket.number, 65536)
            except ConnectionResetError:  # ECONNRESET: it went away with our bytes unread
                chunk = b""
            if not chunk:
                raise ProtocolError(f"systemd has closed the connection and did not {waiting_for}")
            self._received += chunk
