"""From decoded JSON to checked records: the four documents a runtime is given.

`warnings`: a list that receives what is odd but accepted (`place: text`); None: nobody wants to know.
`problems`: a list that receives every SpecError instead of the first being raised (`pyrunc validate`).
"""

from __future__ import annotations

from ocispec.checks import CONFIG_CHECKS, CONFIG_WARNINGS
from ocispec.checks_of_process import PROCESS_CHECKS, PROCESS_WARNINGS
from ocispec.checks_of_resources import RESOURCES_CHECKS, RESOURCES_WARNINGS
from ocispec.config import Config, Process, parse_config, parse_process
from ocispec.reader import SpecError, read_object
from ocispec.resources import Resources, parse_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from ocispec.reader import Reader

    T = TypeVar("T")
    Check = Callable[[T], Iterable[tuple[str, str]]]


def read_config(
    document: object, warnings: list[str] | None = None, *, problems: list[SpecError] | None = None
) -> Config:
    """config.json."""
    return _read(document, parse_config, CONFIG_CHECKS, CONFIG_WARNINGS, warnings, problems)


def read_process(
    document: object, warnings: list[str] | None = None, *, problems: list[SpecError] | None = None
) -> Process:
    """A bare process object, as `exec --process` is given.  Places in errors start at the process."""
    return _read(document, parse_process, PROCESS_CHECKS, PROCESS_WARNINGS, warnings, problems)


def read_resources(
    document: object, warnings: list[str] | None = None, *, problems: list[SpecError] | None = None
) -> Resources:
    """A bare resources object, as `update --resources` is given."""
    return _read(document, parse_resources, RESOURCES_CHECKS, RESOURCES_WARNINGS, warnings, problems)


def _read(
    document: object,
    parse: Callable[[Reader], T],
    checks: tuple[Check[T], ...],
    oddities: tuple[Check[T], ...],
    warnings: list[str] | None,
    problems: list[SpecError] | None,
) -> T:
    record = read_object(document, parse, warnings=warnings, problems=problems)
    if problems:  # half a record: checks across it would only repeat what is known
        return record
    for check in checks:
        for place, problem in check(record):
            if problems is None:
                raise SpecError(place, problem)
            problems.append(SpecError(place, problem))
    if warnings is not None:
        for oddity in oddities:
            warnings.extend(f"{place}: {text}" for place, text in oddity(record))
    return record
