"""D-Bus messages, by value: against jeepney, an implementation of others, and against the specification's limits."""

from __future__ import annotations

import pytest
from jeepney import DBusAddress, new_method_call, new_method_return, new_signal
from jeepney.low_level import Parser

from pyrunc.cgroups.dbus_message import (
    CALL,
    FIXED_HEADER,
    MOST_BYTES,
    RETURN,
    SIGNAL,
    Reader,
    body_of,
    decode,
    encode_call,
    size_of,
    split_signature,
    write,
)
from pyrunc.errors import ProtocolError

ADDRESS = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
THEIRS = DBusAddress(ADDRESS[1], bus_name=ADDRESS[0], interface=ADDRESS[2])
START = "ssa(sv)a(sa(sv))"
PROPERTIES = [
    ("Slice", ("s", "system.slice")),
    ("Delegate", ("b", True)),
    ("TasksMax", ("t", (1 << 64) - 1)),
    ("PIDs", ("au", [1, 1 << 31])),
    ("AllowedCPUs", ("ay", b"\x0f\x01")),
    ("DeviceAllow", ("a(ss)", [("char-*", "m"), ("/dev/char/1:3", "rwm")])),
    ("Empty", ("a(ss)", [])),
]


def parsed(content: bytes):
    """What jeepney makes of it."""
    (message,) = Parser().feed(content)
    return message


def test_a_call_as_another_implementation_reads_it() -> None:
    content = encode_call(7, ADDRESS, "StartTransientUnit", START, ("x.scope", "replace", PROPERTIES, []))
    message = parsed(content)
    assert (message.header.serial, message.header.message_type.value) == (7, CALL)
    assert {field.name: value for field, value in message.header.fields.items()} == {
        "path": ADDRESS[1],
        "interface": ADDRESS[2],
        "member": "StartTransientUnit",
        "destination": ADDRESS[0],
        "signature": START,
    }
    assert message.body == ("x.scope", "replace", PROPERTIES, [])


def test_it_is_the_same_to_the_byte() -> None:
    body = ("x.scope", "replace", PROPERTIES, [])
    ours = encode_call(7, ADDRESS, "StartTransientUnit", START, body)
    theirs = new_method_call(THEIRS, "StartTransientUnit", START, body).serialise(serial=7)
    assert (len(ours), parsed(ours).body) == (len(theirs), parsed(theirs).body)


def test_without_a_bus_there_is_no_destination() -> None:
    fields = parsed(encode_call(1, ("", *ADDRESS[1:]), "Reload")).header.fields
    assert [field.name for field in fields] == ["path", "interface", "member"]


def test_a_signal_of_another_implementation() -> None:
    content = new_signal(THEIRS, "JobRemoved", "uoss", (9, "/job/9", "x.scope", "done")).serialise(serial=3)
    assert size_of(content[:FIXED_HEADER]) == len(content)
    message = decode(content)
    assert (message.kind, message.serial, message.member, message.path) == (SIGNAL, 3, "JobRemoved", ADDRESS[1])
    assert body_of(message, "uoss") == (9, "/job/9", "x.scope", "done")


def test_an_answer_of_another_implementation() -> None:
    call = parsed(encode_call(7, ADDRESS, "GetUnit", "s", ("x",)))
    call.header.fields[next(f for f in type(next(iter(call.header.fields))) if f.name == "sender")] = ":1.5"
    content = new_method_return(call, "o", ("/unit/x",)).serialise(serial=4)
    message = decode(content)
    assert (message.kind, message.reply_serial, message.destination) == (RETURN, 7, ":1.5")
    assert body_of(message, "o") == ("/unit/x",)


def test_what_is_written_is_read_again() -> None:
    out = bytearray()
    write(out, "a(sv)", PROPERTIES)
    reader = Reader(bytes(out), 0)
    assert reader.read("a(sv)") == PROPERTIES
    assert reader.at == len(out)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("b", b"\2\0\0\0"),
        ("s", b"\2\0\0\0a"),
        ("s", b"\1\0\0\0ab"),
        ("s", b"\3\0\0\0a\0b\0"),
        ("s", b"\1\0\0\0\xff\0"),
        ("s", b"\xff\xff\xff\xff"),
        ("au", b"\6\0\0\0\1\0\0\0\1\0\0\0"),
        ("au", b"\xff\xff\xff\xff"),
        ("(yu)", b"\1\1\0\0\1\0\0\0"),
        ("v", b"\2uu\0\1\0\0\0"),
        ("v", b"\1z\0"),
        ("v", b"\0\0"),
        ("v", b"\1v\0" * 40),
        ("u", b"\1\0\0"),
    ],
)
def test_values_that_are_none(kind: str, content: bytes) -> None:
    with pytest.raises(ProtocolError, match="D-Bus"):
        Reader(content, 0).read(kind)


@pytest.mark.parametrize("head", [b"B\1\0\1", b"l\1\0\2", b""])
def test_heads_that_are_none(head: bytes) -> None:
    with pytest.raises(ProtocolError, match="little-endian"):
        size_of(head.ljust(FIXED_HEADER, b"\0"))


def test_a_message_that_is_too_long() -> None:
    with pytest.raises(ProtocolError, match="longer than any"):
        size_of(b"l\1\0\1" + MOST_BYTES.to_bytes(4, "little") + bytes(8))


def test_arguments_of_another_signature() -> None:
    message = decode(new_signal(THEIRS, "JobRemoved", "us", (9, "x")).serialise(serial=3))
    with pytest.raises(ProtocolError, match="JobRemoved holds 'us', not 'uoss'"):
        body_of(message, "uoss")


@pytest.mark.parametrize("signature", ["a", "(", "()", "(s", "s)", "z", "a{sv}", "a" * 40 + "s", "(" * 40])
def test_signatures_that_are_none(signature: str) -> None:
    with pytest.raises(ProtocolError):
        split_signature(signature)


def test_signatures() -> None:
    assert split_signature(START) == ["s", "s", "a(sv)", "a(sa(sv))"]
    assert split_signature("") == []
