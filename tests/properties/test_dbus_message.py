"""D-Bus messages at random: of any values, of any bytes, and with one byte changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, new_signal
from jeepney.low_level import Parser

from pyrunc.cgroups.dbus_message import FIXED_HEADER, Reader, body_of, decode, encode_call, size_of, write
from pyrunc.errors import ProtocolError

ADDRESS = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
THEIRS = DBusAddress(ADDRESS[1], bus_name=ADDRESS[0], interface=ADDRESS[2])

TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)
VALUES = st.one_of(
    st.tuples(st.just("y"), st.integers(0, 255)),
    st.tuples(st.just("b"), st.booleans()),
    st.tuples(st.just("u"), st.integers(0, (1 << 32) - 1)),
    st.tuples(st.just("i"), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.tuples(st.just("t"), st.integers(0, (1 << 64) - 1)),
    st.tuples(st.just("x"), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(st.just("s"), TEXTS),
    st.tuples(st.just("as"), st.lists(TEXTS, max_size=5)),
    st.tuples(st.just("au"), st.lists(st.integers(0, (1 << 32) - 1), max_size=5)),
    st.tuples(st.just("ay"), st.binary(max_size=9)),
    st.tuples(st.just("a(sb)"), st.lists(st.tuples(TEXTS, st.booleans()), max_size=3)),
)


def parsed(content: bytes):
    """What jeepney makes of it."""
    (message,) = Parser().feed(content)
    return message


@given(st.lists(VALUES, max_size=6))
def test_what_is_written_is_read_again(values: list[tuple[str, object]]) -> None:
    out = bytearray()
    write(out, "a(sv)", [("name", value) for value in values])
    reader = Reader(bytes(out), 0)
    assert reader.read("a(sv)") == [("name", value) for value in values]
    assert reader.at == len(out)
    assert parsed(encode_call(1, ADDRESS, "M", "a(sv)", ([("n", v) for v in values],))).body == (
        [("n", v) for v in values],
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(content: bytes) -> None:
    refused_or_read(content)


@given(st.data())
def test_a_message_with_a_flipped_byte_too(data: st.DataObject) -> None:
    whole = bytearray(new_signal(THEIRS, "JobRemoved", "uoss", (9, "/job/9", "x.scope", "done")).serialise(serial=3))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    refused_or_read(bytes(whole))


def refused_or_read(content: bytes) -> None:
    """Nothing but ProtocolError, and no value that reaches beyond the end."""
    try:
        size = size_of(content[:FIXED_HEADER].ljust(FIXED_HEADER, b"\0"))
        message = decode(content.ljust(size, b"\0")[:size])
        body_of(message, message.signature)
    except ProtocolError:
        return
    assert len(message.body) <= size
