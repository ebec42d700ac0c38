"""csrc/assembler.c, as the type checker sees it; pyrunc/program/builder.py says what each method is for."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

class Register:
    index: int
    def __init__(self, index: int, /) -> None: ...

class Pointer:
    offset: int
    size: int
    def __init__(self, offset: int, size: int, /) -> None: ...
    def field(self, offset: int, size: int, /) -> Pointer: ...

class Target:
    index: int
    def __init__(self) -> None: ...

type _Argument = int | str | bytes | Pointer | Register
type _Label = tuple[str, str, str, str] | object
type _Operation = tuple[
    int, str, tuple[int | Pointer | Register, ...], _Label, Register | None, tuple[int, ...], Target | None, int, int
]

class Assembler:
    refusal: ClassVar[type[Exception]]
    data: bytes
    relocations: list[int]
    strings: list[Pointer]
    def __len__(self) -> int: ...
    def scope(self, place: str, subject: str, /) -> tuple[str, str]: ...
    def register(self) -> Register: ...
    def release(self, register: Register, /) -> None: ...
    def constant(self, content: bytes, /) -> Pointer: ...
    def string(self, text: str | bytes, /) -> Pointer: ...
    def scratch(self, size: int, /) -> Pointer: ...
    def fill(self, memory: Pointer, content: bytes, /) -> None: ...
    def point(self, word: int, pointed: Pointer, /) -> None: ...
    def call(
        self,
        name: str,
        /,
        *arguments: _Argument,
        doing: str = "",
        into: Register | None = None,
        tolerate: Sequence[int] = (),
        otherwise: Target | None = None,
        says: str = "",
        tries: int = 0,
    ) -> None: ...
    def result(
        self,
        name: str,
        /,
        *arguments: _Argument,
        doing: str = "",
        tolerate: Sequence[int] = (),
        otherwise: Target | None = None,
        says: str = "",
        tries: int = 0,
    ) -> Register: ...
    def close(self, descriptor: Register, /) -> None: ...
    def check(
        self,
        memory: Pointer,
        expected: int | Pointer | Register,
        /,
        *,
        doing: str,
        errno: int,
        mask: int = ...,
        differs: bool = False,
        otherwise: Target | None = None,
        says: str = "",
    ) -> None: ...
    def set(self, register: Register, value: int | Register, /) -> None: ...
    def target(self) -> Target: ...
    def here(self, target: Target, /) -> None: ...
    def jump(self, target: Target, /) -> None: ...
    def jump_if(
        self, register: Register | int, value: int | Register, target: Target, /, *, differs: bool = False
    ) -> None: ...
    def add_sync(
        self, number: int, name: str, doing: str, value: int | Register, answer: Pointer = ..., /
    ) -> None: ...
    def report(self, descriptor: int | Register, /) -> None: ...
    def relabel(self, label: object, /) -> None: ...
    def get(self, index: int, /) -> _Operation: ...
    def encode(self, numbers: Mapping[str, int], /) -> bytes: ...
