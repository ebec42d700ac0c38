"""Small grammars inside the strings of config.json: version numbers, number lists, sysctl keys, page sizes."""

from __future__ import annotations

MAX_PIECE_DIGITS = 10


def major_version(text: str) -> int | None:
    """The major number of a SemVer 2.0.0 version ("1.0.2-dev" -> 1), None when it is no such version."""
    numbers, _, build = text.partition("+")
    numbers, dash, prerelease = numbers.partition("-")
    pieces = numbers.split(".")
    if len(pieces) != 3 or not all(is_number(piece) for piece in pieces):
        return None
    if ("+" in text and not _are_identifiers(build)) or (dash and not _are_identifiers(prerelease)):
        return None
    return int(pieces[0])


def _are_identifiers(text: str) -> bool:
    return all(piece and piece.isascii() and piece.replace("-", "a").isalnum() for piece in text.split("."))


def is_number(text: str) -> bool:
    """Decimal digits without a sign or leading zeros, few enough for int()."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_PIECE_DIGITS and (text[0] != "0" or text == "0")


def parse_number_list(text: str) -> tuple[tuple[int, int], ...] | None:
    """ "0-3, 7" -> ((0, 3), (7, 7)); () for ""; None when it is no such list (cpuset(7), "List format")."""
    if not text.strip():
        return ()
    ranges: list[tuple[int, int]] = []
    for piece in text.split(","):
        low, dash, high = piece.strip().partition("-")
        if not is_number(low) or (dash and not is_number(high)):
            return None
        last = int(high) if dash else int(low)
        if last < int(low):
            return None
        ranges.append((int(low), last))
    return tuple(ranges)


def dotted_sysctl_key(key: str) -> str:
    """sysctl.d(5): when the first separator is a slash, slashes separate and dots are part of the names.
    The answer always separates by dots, and "/" stands for a dot inside a name."""
    slash, dot = key.find("/"), key.find(".")
    if slash < 0 or 0 <= dot < slash:
        return key
    return key.translate({ord("/"): ".", ord("."): "/"})


def is_sysctl_key(dotted: str) -> bool:
    """No piece may be empty, "." or "..": the key becomes a path below /proc/sys."""
    pieces = dotted.split(".")
    return len(pieces) > 1 and all(piece.strip("/ ") and "\n" not in piece for piece in pieces)


def is_page_size(text: str) -> bool:
    """2MB, 1GB, 64KB: as the kernel's hugetlb files are named, so never a way out of the cgroup's directory."""
    return len(text) > 2 and text[-2:] in ("KB", "MB", "GB") and is_number(text[:-2]) and text[0] != "0"


def is_interface_name(name: str) -> bool:
    """dev_valid_name() of the kernel: below IFNAMSIZ (16) bytes, not "." or "..", no slash, colon or white space."""
    return (
        0 < len(name.encode()) < 16
        and name not in (".", "..")
        and not any(character in "/:" or character.isspace() for character in name)
    )
