"""Record: a class whose annotations are its fields.

A dataclass costs 15 ms to import and about 1 ms a class (measured: DESIGN.md, "What that taught"); a
Record costs what a class with `__slots__` costs.  Type checkers see it as a frozen, keyword-only
dataclass, so a field assigned outside `replace` is an error before the program runs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    R = TypeVar("R", bound="Record")
else:

    def dataclass_transform(**_options):
        return lambda target: target


class _RecordType(type):
    """Turns annotations into slots and class values into defaults."""

    def __new__(mcls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _RecordType:
        own = tuple(body.get("__annotations__", ()))
        fields: tuple[str, ...] = ()
        defaults: dict[str, object] = {}
        for base in bases:
            fields += getattr(base, "_fields", ())
            defaults.update(getattr(base, "_defaults", {}))
        defaults.update({field: body.pop(field) for field in own if field in body})
        body["__slots__"] = own
        record = super().__new__(mcls, name, bases, body)
        record._fields = fields + own  # type: ignore[attr-defined]
        record._defaults = defaults  # type: ignore[attr-defined]
        record._names = frozenset(record._fields)  # type: ignore[attr-defined]
        record._size = len(record._names)  # type: ignore[attr-defined]
        return record


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record(metaclass=_RecordType):
    """Base of all records: keyword-only construction, equality by value, a readable repr."""

    def __init__(self, **values: Any) -> None:
        # One dictionary operation and one loop: a create makes 80 records (0.05 ms; field by field 0.15).
        kind: Any = type(self)
        complete = {**kind._defaults, **values}
        if len(complete) != kind._size or not complete.keys() <= kind._names:
            raise TypeError(kind._complaint(complete))
        for field, value in complete.items():
            setattr(self, field, value)

    @classmethod
    def _complaint(cls, values: dict[str, Any]) -> str:
        fields = fields_of(cls)
        for field in fields:
            if field not in values:
                return f"{cls.__name__}: {field} is missing"
        return f"{cls.__name__}: unknown field {next(field for field in values if field not in fields)}"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, field) == getattr(other, field) for field in fields_of(self)
        )

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field) for field in fields_of(self))))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in fields_of(self))
        return f"{type(self).__name__}({shown})"


def fields_of(record: Record | type[Record]) -> tuple[str, ...]:
    """The field names of a record (or record class), in order of declaration."""
    return record._fields  # type: ignore[union-attr, no-any-return]


def replace(record: R, **changes: Any) -> R:
    """A copy of the record with some fields changed."""
    values = {field: getattr(record, field) for field in fields_of(record)}
    values.update(changes)
    return type(record)(**values)
