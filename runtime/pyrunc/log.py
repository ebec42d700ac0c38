"""Log lines in the shape of runc's (logrus), because engines read them, and everything that is written to stdout.

    text      time="2026-11-23T18:00:37Z" level=error msg="container does not exist"
    json      {"level":"error","msg":"container does not exist","time":"2026-11-23T18:00:37Z"}
    terminal  ERRO[0000] container does not exist          (the word in colour)

containerd decodes the whole --log file and takes the last error; podman decodes it as one object.  So: one line an
error, one write(2) a line, and what --log takes away from stderr comes back there bare.
"""

from __future__ import annotations

import posix
from time import gmtime, monotonic

from pyrunc.errors import during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ERROR: Final = "error"
WARNING: Final = "warning"
DEBUG: Final = "debug"

COLOURS = {ERROR: "31", WARNING: "33", DEBUG: "37"}  # ANSI: red, yellow, grey
SHORT = {ERROR: "ERRO", WARNING: "WARN", DEBUG: "DEBU"}
NO_QUOTES_NEEDED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
JSON_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
STDOUT = 1
STDERR = 2


class Log:
    """Where lines go.  `file` is None while they go to stderr."""

    __slots__ = ("debug", "file", "json", "started")

    def __init__(self) -> None:
        self.debug = False
        self.file: int | None = None
        self.json = False
        self.started = 0.0


LOG = Log()


def set_up(*, path: str, json: bool, debug: bool) -> None:
    """Raise OSError when the log file cannot be opened."""
    LOG.started = monotonic()  # not when this module is imported: that may have been long ago (csrc/image.c)
    LOG.debug = debug
    LOG.json = json
    if path:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC
        LOG.file = posix.open(path, flags, 0o644)


def error(message: str) -> None:
    """The reason for a failure: to the log, and bare to stderr when the log is a file.  Only the cli calls this."""
    _write(ERROR, message)
    if LOG.file is not None:
        _deliver(STDERR, printable(message))


def warning(message: str) -> None:
    """Something that is ignored; ends in `, ignoring`."""
    _write(WARNING, message)


def is_debug() -> bool:
    """Whether debug lines are written: for what is costly to say."""
    return LOG.debug


def debug(message: str) -> None:
    if LOG.debug:
        _write(DEBUG, message)


def say(text: str) -> None:
    """What a command was asked for, to stdout."""
    with during("write to standard output"):
        write_all(STDOUT, encode(text))


def _write(level: str, message: str) -> None:
    if LOG.json:
        line = json_line(level, message, timestamp())
    elif LOG.file is None and posix.isatty(STDERR):
        line = terminal_line(level, message, int(monotonic() - LOG.started))
    else:
        line = text_line(level, message, timestamp())
    _deliver(STDERR if LOG.file is None else LOG.file, line)


def _deliver(number: int, line: str) -> None:
    try:
        write_all(number, encode(line + "\n"))
    except OSError as failure:  # a full disk, a stderr that is closed or only to be read: the result matters more
        if failure.errno is None:
            raise


def text_line(level: str, message: str, time: str) -> str:
    return f'time="{time}" level={level} msg={quote_when_needed(message)}'


def json_line(level: str, message: str, time: str) -> str:
    return f'{{"level":"{level}","msg":{json_string(message)},"time":"{time}"}}'


def terminal_line(level: str, message: str, seconds: int) -> str:
    return f"\x1b[{COLOURS[level]}m{SHORT[level]}\x1b[0m[{seconds:04}] {printable(message):<44} "


def timestamp() -> str:
    """Now, as RFC 3339 in UTC.  Not by strftime(3): that reads /etc/localtime."""
    year, month, day, hour, minute, second = gmtime()[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def quote_when_needed(text: str) -> str:
    return text if NO_QUOTES_NEEDED.issuperset(text) else quote(text)


def quote(text: str) -> str:
    r"""As Go's %q: "a\nb"; what cannot be printed as \x07, \u200b or \U000e0001, stray bytes as \xff."""
    plain = text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else '"' + "".join([_escape(character) for character in text]) + '"'


def printable(text: str) -> str:
    """The text with what would act on a terminal escaped; quotes and backslashes stay."""
    return "".join([character if character in '"\\' else _escape(character) for character in text])


def _escape(character: str) -> str:
    code = ord(character)
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_string(text: str) -> str:
    return '"' + "".join([_json_escape(character) for character in text]) + '"'


def _json_escape(character: str) -> str:
    if character in JSON_ESCAPES:
        return JSON_ESCAPES[character]
    if character < " ":
        return f"\\u{ord(character):04x}"
    return "\ufffd" if 0xD800 <= ord(character) <= 0xDFFF else character


def encode(text: str) -> bytes:
    """UTF-8; bytes that came in through argv or a file name go out as they were."""
    return text.encode("utf-8", "surrogateescape")


def write_all(number: int, content: bytes) -> None:
    """Raise OSError."""
    while content:
        content = content[posix.write(number, content) :]
