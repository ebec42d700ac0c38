"""Whatever is read, a reader returns what its caller expects or raises what the command line tells: nothing else.

FUZZ_EXAMPLES: how many examples of each; `make fuzz` asks for many, and for others each time (`make test` has the same
every time: tests/conftest.py).  hypothesis prints an example that fails as the code that repeats it.
"""

from __future__ import annotations

import array
import copy
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocispec.config import Config, Process, read_config, read_process
from ocispec.reader import SpecError
from ocispec.resources import Resources, read_resources
from pyrunc.commands.exec import parse_id
from pyrunc.container.record import ContainerRecord, from_json, to_json
from pyrunc.errors import PyruncError, UsageError
from pyrunc.jsonio import JsonError, dumps, loads
from pyrunc.kernel.files import Fd
from pyrunc.kernel.sockets import receive_descriptor
from pyrunc.process.notify import Notifier
from pyrunc.process.passwd import MAX_HOME, home_of
from pyrunc.process.passwd_file import read_passwd
from pyrunc.rootfs.options import known_words, parse_mount_options, split_data
from unit.container.test_record import record
from unit.ocispec.full import FULL

if TYPE_CHECKING:
    import pytest

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 60))
RECORDED = Path(__file__).parents[1] / "unit/ocispec/recorded"

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD_NUMBERS = st.sampled_from(
    (
        0,
        -1,
        1,
        255,
        256,
        65535,
        65536,
        2**31 - 1,
        2**31,
        2**32 - 2,
        2**32 - 1,
        2**32,
        2**63 - 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63),
        -(2**63) - 1,
        10**40,
        0.0,
        -0.0,
        1.5,
        1e308,
    )
)
ODD_TEXTS = st.sampled_from(
    (
        "",
        "/",
        ".",
        "..",
        "/..",
        "//",
        "\0",
        "a\0b",
        "\n",
        "a=b",
        "=",
        ":",
        "%s",
        "{errno}",
        "\udcff",
        "💥",
        "a" * 5000,
        "-1",
        "+1",
        " 1",
        "1_0",
        "٣",
        "0x10",
        "CAP_",
        "CAP_SYS_ADMIN",
        "RLIMIT_NOFILE",
        "SCMP_ACT_ALLOW",
        "../../etc",
    )
)
LEAVES = st.none() | st.booleans() | ODD_NUMBERS | ODD_TEXTS | st.text(max_size=20) | st.integers()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def is_told(error: Exception) -> None:
    """The command line has something to say."""
    assert str(error)


def documents() -> list[dict[str, Any]]:
    return [FULL, *(json.loads(path.read_bytes()) for path in sorted(RECORDED.glob("*.json")))]


@st.composite
def changed(draw: st.DrawFn, originals: list[Any]) -> Any:
    """One of them with up to four places replaced, removed, doubled or renamed."""
    document = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        _change(draw, document)
    return document


def _change(draw: st.DrawFn, document: Any) -> None:
    at = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(at[key], (dict, list)) and draw(st.integers(0, 3)):
            at = at[key]
            continue
        break
    how = draw(st.integers(0, 4))
    if how == 0:
        del at[key]
    elif how == 1 and isinstance(at, dict):
        at[draw(ODD_TEXTS)] = at.pop(key)
    elif how == 2 and isinstance(at, list):
        at.extend([at[key]] * 3)
    else:
        at[key] = draw(VALUES)


@bounded
@given(changed(documents()))
def test_config(document: Any) -> None:
    warnings: list[str] = []
    problems: list[SpecError] = []
    try:
        config = read_config(document, warnings)
    except SpecError as error:
        is_told(error)
        read_config_with_all_problems(document, problems)
        return
    assert isinstance(config, Config)
    assert read_config(document) == config


def read_config_with_all_problems(document: Any, problems: list[SpecError]) -> None:
    """`validate` reads on after the first."""
    try:
        read_config(document, [], problems=problems)
    except SpecError as error:
        problems.append(error)
    assert problems


@bounded
@given(changed([document["process"] for document in documents()]))
def test_process(document: Any) -> None:
    try:
        assert isinstance(read_process(document), Process)
    except SpecError as error:
        is_told(error)


@bounded
@given(changed([document["linux"]["resources"] for document in documents() if "resources" in document["linux"]]))
def test_resources(document: Any) -> None:
    try:
        assert isinstance(read_resources(document), Resources)
    except SpecError as error:
        is_told(error)


@bounded
@given(VALUES)
def test_any_value_is_read_or_refused(document: Any) -> None:
    for read in (read_config, read_process, read_resources, from_json):
        try:
            read(document)
        except (SpecError, PyruncError) as error:
            is_told(error)


@bounded
@given(changed([to_json(record())]))
def test_state_json(document: Any) -> None:
    """What is accepted can be written again, and asked for all that later commands need."""
    try:
        read = from_json(document)
    except PyruncError as error:
        is_told(error)
        return
    assert isinstance(read, ContainerRecord)
    assert from_json(loads(dumps(to_json(read)).encode("utf-8", "surrogateescape"))) == read


@bounded
@given(st.data())
def test_bytes_of_state_json(data: st.DataObject) -> None:
    content = bytearray(dumps(to_json(record())).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        from_json(loads(bytes(content)))
    except (JsonError, PyruncError) as error:
        is_told(error)


@bounded
@given(st.text(max_size=14) | ODD_TEXTS | st.integers(-5, 2**33).map(str))
def test_user(text: str) -> None:
    """A number of plain digits in range, or refused: what is accepted is read as it is written."""
    try:
        value = parse_id(text, "user", "uid")
    except UsageError:
        assert not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= 2**32 - 2)
        return
    assert 0 <= value <= 2**32 - 2
    assert text.lstrip("0") == str(value).lstrip("0")


WORDS = st.lists(
    st.sampled_from(known_words()) | st.text(max_size=30) | ODD_TEXTS | st.from_regex(r'\A[a-z]+="?[^"]*"?,x\Z')
)


@bounded
@given(WORDS)
def test_mount_options(words: list[str]) -> None:
    """Every word is known or ends up as data; no attribute is both set and cleared."""
    options = parse_mount_options(tuple(words))
    for attributes in (options.attributes, options.recursive_attributes):
        assert not attributes.sets & attributes.clears & ~0x70  # MOUNT_ATTR__ATIME is a field, cleared before it is set
    for key, value in options.data:
        assert isinstance(key, str)
        assert value is None or isinstance(value, str)


@bounded
@given(st.text(max_size=60))
def test_data_of_mounts(text: str) -> None:
    """Without quotes nothing is lost."""
    if '"' not in text:
        parts = [key if value is None else f"{key}={value}" for key, value in split_data(text)]
        assert parts == [part for part in text.split(",") if part]


LINES = st.lists(
    st.binary(max_size=60)
    | st.just(b"root:x:0:0:root:/root:/bin/sh")
    | st.builds(b"u:x:%d:0::%b:/bin/sh".__mod__, st.tuples(st.integers(-1, 5), st.binary(max_size=30)))
    | st.just(b"u:x:1:1::/" + b"h" * 2000 + b":"),
    max_size=8,
)


@bounded
@given(LINES, st.integers(0, 5), st.booleans())
def test_passwd(tmp_path: Path, lines: list[bytes], uid: int, is_cut: bool) -> None:
    """What HOME becomes fits its place in the stage's data, and is one line without a NUL."""
    content = b"\n".join(lines)[: -1 if is_cut else None]
    home = home_of(uid, content).encode("utf-8", "surrogateescape")
    assert 0 < len(home) <= MAX_HOME
    assert b"\0" not in home
    assert b"\n" not in home
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/passwd").write_bytes(content)
    assert read_passwd(str(tmp_path)) == content


@bounded
@given(st.lists(st.binary(max_size=80) | st.just(b"READY=1") | st.just(b"A=b\nREADY=1\n"), max_size=20))
def test_notify(tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]) -> None:
    """Ready after a line READY=1 and only then, whatever else is said; the caller hears nothing of the rest."""
    directory = tmp_path_factory.mktemp("notify")
    with (
        Fd(os.open(directory, os.O_PATH)) as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container,
    ):
        notifier = Notifier(folder, b"/nonexistent/socket")
        with notifier.socket:
            container.connect(f"/proc/self/fd/{folder.number}/notify.sock")
            for message in messages[:10]:  # net.unix.max_dgram_qlen
                container.send(message)
            notifier.serve(1)
    assert notifier.is_ready == any(b"READY=1" in message.split(b"\n") for message in messages[:10])


@bounded
@given(st.binary(max_size=5000), st.integers(0, 5))
def test_console_message(content: bytes, count: int) -> None:
    """One descriptor is taken; with none or several, none is, and none stays open."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ancillary = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()] * count))] if count else []
        )
        theirs.sendmsg([content], ancillary)
        before = len(os.listdir("/proc/self/fd"))
        try:
            with receive_descriptor(Fd(ours.fileno())) as received:
                assert count == 1
                assert not os.get_inheritable(received.number)
        except OSError:
            assert count != 1
        assert len(os.listdir("/proc/self/fd")) == before
