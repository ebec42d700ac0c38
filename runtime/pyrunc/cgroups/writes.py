"""Write: one value for one cgroup file, as a value."""

from __future__ import annotations

from ocispec.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Write:
    """One write(2) to one file of the container's cgroup.

    `controller` says in which hierarchy ("" is version 2 itself), `place` which key of config.json asked for it.
    An errno in `tolerate` is no failure, for the reason in `because`.  With an errno in `postpone` it is tried again
    after the controller's other writes: of two values that bind each other, which goes first depends on the values
    before, and the kernel refuses the wrong order with EINVAL.  `otherwise` is written instead when the file is
    absent.
    """

    __slots__ = ("because", "controller", "file", "otherwise", "place", "postpone", "tolerate", "value")

    def __init__(
        self,
        controller: str,
        file: str,
        value: str,
        place: str,
        *,
        tolerate: Sequence[int] = (),
        because: str = "",
        postpone: Sequence[int] = (),
        otherwise: Write | None = None,
    ) -> None:
        self.controller = controller
        self.file = file
        self.value = value
        self.place = place
        self.tolerate = tuple(tolerate)
        self.because = because
        self.postpone = tuple(postpone)
        self.otherwise = otherwise

    def __repr__(self) -> str:
        return f"Write({self.controller}: {self.value} > {self.file}, {self.place})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Write) and all(getattr(self, n) == getattr(other, n) for n in Write.__slots__)

    def __hash__(self) -> int:
        return hash((self.controller, self.file, self.value, self.place))


class ResourcePlan(Record):
    """What linux.resources comes to on this host: writes in order, and what the user should be told.

    `device_program` is struct bpf_insn[] for version 2, b"" where everything is allowed; None: devices are version 1's
    business, or nobody's.  `owner` is the host's uid that version 2's directory is given to.  `late`: what is written
    when the container is complete, before it is let go.
    """

    writes: tuple[Write, ...]
    late: tuple[Write, ...] = ()
    warnings: tuple[str, ...] = ()
    device_program: bytes | None = None
    owner: int | None = None
