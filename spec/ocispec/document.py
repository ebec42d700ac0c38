"""From a decoded JSON document to a checked record: read it, then ask the checks between its keys."""

from __future__ import annotations

from ocispec.reader import Reader, SpecError, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn, TypeVar

    T = TypeVar("T")
    Checks = tuple[Callable[[T], Iterable[tuple[str, str]]], ...]


def read_document(
    document: object,
    parse: Callable[[Reader], T],
    checks: Checks[T],
    oddities: Checks[T],
    warnings: list[str] | None,
    problems: list[SpecError] | None,
) -> T:
    """The record.

    `warnings` receives what is odd but accepted, as `place: text`; None: nobody wants to know.
    `problems` receives every SpecError instead of the first being raised (`pyrunc validate`).
    """
    if type(document) is not dict:
        _refuse_document(document)
    reader = Reader(document, warnings=warnings, problems=problems)
    record = parse(reader)
    reader.finish()
    if problems:  # half a record: checks across it would only repeat what is known
        return record
    for check in checks:
        for place, problem in check(record):
            if problems is None:
                raise SpecError(place, problem)
            problems.append(SpecError(place, problem))
    if warnings is not None:
        for oddity in oddities:
            warnings.extend([f"{place}: {text}" for place, text in oddity(record)])
    return record


def _refuse_document(document: object) -> NoReturn:
    raise SpecError("", f"must be an object, not {shown(document)}")
