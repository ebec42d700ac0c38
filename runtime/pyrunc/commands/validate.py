"""`validate`: every problem of a config.json at once, by our reader and its checks, by the JSON Schemas, and then by
what this machine has.

A cold command: it may import what it likes.  jsonschema comes from the venv or from the directory site-packages
that the launcher has at the end of sys.path.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ocispec
from ocispec.config import Config, read_config, read_process
from ocispec.partial import further_problems, related
from ocispec.reader import SpecError, plain, shown
from ocispec.resources import read_resources
from ocispec.sections import section_of, split_place
from pyrunc import log
from pyrunc.container.host_checks import host_problems, refusal
from pyrunc.container.host_facts import read_facts
from pyrunc.container.odd_words import odd_words
from pyrunc.errors import ConfigError, Unsupported, UsageError, during
from pyrunc.jsonio import MAX_SIZE, JsonError, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

    from pyrunc.cli.parse import Arguments

SCHEMAS = Path(ocispec.__file__).parent / "schemas"
STDIN = "-"
INVALID = 1
NOT_HERE = 2
# Objects whose keys are names of the user's, not of the spec's.
MAPS = frozenset(("annotations", "sysctl", "unified", "rdma", "netDevices", "timeOffsets"))


def run(arguments: Arguments) -> int:
    """0: valid, and it would run here; INVALID; NOT_HERE: valid, but it would not run on this machine."""
    if arguments.format not in ("text", "json"):
        raise UsageError("invalid format option")
    name, content = read_input(arguments)
    report = examine(name, content, bundle_of(arguments), host=not arguments.no_host)
    log.say(report.as_json() if arguments.format == "json" else report.as_text())
    if report.problems:
        count = len(report.problems)
        log.error(f"{name}: {count} {'problem' if count == 1 else 'problems'} found")
        return INVALID
    if report.here:
        log.error(f"{name}: valid, but it would not run here")
        return NOT_HERE
    return 0


class Finding(NamedTuple):
    """`place` is "" for the whole document."""

    place: str
    problem: str

    @property
    def section(self) -> str:
        return section_of(self.place)

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem


class Report(NamedTuple):
    """problems: what is wrong anywhere; here: what this machine lacks, None when nobody asked it."""

    name: str
    problems: list[Finding]
    warnings: list[Finding]
    here: list[Finding] | None

    def as_text(self) -> str:
        """One line each; the section of the spec stands at the end of what it has rules for."""
        lines = [f"{found} ({found.section})" for found in self.problems]
        lines += [f"warning: {found}" for found in self.warnings]
        lines += [f"not here: {found}" for found in self.here or ()]
        if not self.problems and not self.here:
            lines.append("valid" if self.here is None else "valid, and would run here")
        return "".join([f"{self.name}: {line}\n" for line in lines])

    def as_json(self) -> str:
        document = {
            "file": self.name,
            "valid": not self.problems,
            "wouldRunHere": None if self.here is None or self.problems else not self.here,
            "problems": [found._asdict() | {"section": found.section} for found in self.problems],
            "warnings": [found._asdict() for found in self.warnings],
            "notHere": [found._asdict() | {"section": found.section} for found in self.here or ()],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def bundle_of(arguments: Arguments) -> str:
    """The bundle's directory, "" where only a file is given: its rootfs may be anywhere."""
    return "" if arguments.positional else str(Path(arguments.bundle or ".").resolve())


def read_input(arguments: Arguments) -> tuple[str, bytes]:
    """(how to call it, the bytes): the file named, `-` for stdin, else config.json of the bundle."""
    name = arguments.positional[0] if arguments.positional else str(Path(arguments.bundle or ".") / "config.json")
    if name == STDIN:
        return "stdin", sys.stdin.buffer.read(MAX_SIZE + 1)
    if not Path(name).exists():
        raise ConfigError(f"JSON specification file {name} not found")
    with during(f"read {name}"), Path(name).open("rb") as file:
        return name, file.read(MAX_SIZE + 1)


def examine(name: str, content: bytes, bundle: str, *, host: bool) -> Report:
    """One problem when it is not JSON; else what `problems_of` finds, and of a valid one what this machine lacks."""
    try:
        document = loads(content)
    except JsonError as error:
        return Report(name, [Finding("", str(error))], [], None)
    wrong, odd = problems_of(document)
    problems = [Finding(*split_place(line)) for line in wrong]
    warnings = [Finding(*split_place(line, may_be_unknown=True)) for line in odd]
    if problems:
        return Report(name, problems, warnings, None)
    warnings += [Finding(*pair) for pair in odd_words(read_config(document))]
    if not host:
        return Report(name, problems, warnings, None)
    return Report(name, problems, warnings, lacking_here(document, bundle))


def lacking_here(document: Any, bundle: str) -> list[Finding]:
    """What keeps a valid config from running on this machine."""
    config = read_config(document)
    found = [Finding(*pair) for pair in host_problems(config, read_facts(config, bundle))]
    refused = refusal(config, document, bundle)
    # create stops at the first: what the checks have said of that place is said in better words
    if refused is not None and not any(related(known.place, refused[0]) for known in found if known.place):
        found.append(Finding(*refused))
    return found


def problems_of(document: object, kind: str = "config") -> tuple[list[str], list[str]]:
    """(problems, warnings), each a line that starts with its place.

    The schema speaks only of places of which the reader has said nothing: it has fewer words.
    """
    found: list[SpecError] = []
    warnings: list[str] = []
    reader = READERS.get(kind)
    if reader is not None:
        try:
            record = reader(document, warnings, problems=found)
        except SpecError as error:  # not even an object
            return [str(error)], []
        if found and isinstance(record, Config):
            found += further_problems(record, tuple(found))
    known = {error.path for error in found}
    said = [*found, *(e for e in schema_errors(document, kind) if not any(related(e.path, path) for path in known))]
    return [str(error) for error in said], warnings


READERS: dict[str, Callable[..., object]] = {
    "config": read_config,
    "process": read_process,
    "resources": read_resources,
}


# the schemas


def schema_errors(document: object, kind: str) -> list[SpecError]:
    validator = validator_of(kind)
    errors = sorted(validator.iter_errors(without_nulls(document)), key=lambda error: list(map(str, error.path)))
    return [SpecError(place_of(error), problem_of(error)) for error in errors]


def validator_of(kind: str) -> Draft202012Validator:
    """A validator by one of our schemas; nothing is fetched: all references lead into SCHEMAS."""
    try:
        from jsonschema import Draft202012Validator
        from referencing import Registry, Resource
    except ModuleNotFoundError as error:
        raise Unsupported("the Python package jsonschema is not installed beside this build") from error
    schemas: list[dict[str, Any]] = [json.loads(path.read_bytes()) for path in sorted(SCHEMAS.glob("*.schema.json"))]
    resources = [Resource.from_contents(schema) for schema in schemas]
    registry: Registry[Any] = resources @ Registry()
    return Draft202012Validator({"$ref": f"pyrunc:{kind}.schema.json"}, registry=registry)


def without_nulls(value: object) -> object:
    """A key whose value is null is absent, for Go as for our reader; the schemas do not repeat that everywhere."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def place_of(error: ValidationError) -> str:
    """The path as the reader writes it: `mounts[3].options`, `linux.sysctl["net.x"]`."""
    path: list[str | int] = list(error.absolute_path)
    if error.validator == "required":
        path += missing(error)
    return "".join(steps(path)).removeprefix(".")


def steps(path: Sequence[str | int]) -> Iterator[str]:
    for index, step in enumerate(path):
        if isinstance(step, int):
            yield f"[{step}]"
        elif index and path[index - 1] in MAPS:
            yield f"[{shown(step)}]"
        else:
            word = plain(step)
            yield word if word[0] == "[" else f".{word}"


def missing(error: ValidationError) -> list[str]:
    """The one key that this `required` error is about: jsonschema makes an error for each and names it in the text."""
    return [key for key in error.validator_value if error.message.startswith(f"{key!r} ")]


def problem_of(error: ValidationError) -> str:
    if error.validator == "required":
        return "is missing"
    if error.validator == "enum":
        return f"must be one of {', '.join(map(str, error.validator_value))}, not {shown(error.instance)}"
    description = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    hint = f" ({description})" if description else ""
    return f"does not fit the schema: {error.validator} is {json.dumps(error.validator_value)[:200]}{hint}"
