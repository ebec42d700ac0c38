"""Every row of matrix.py on pyrunc, where nothing may come of it; and on those on whom it has its effect.

The others are the control: an attack that hurts nobody shows nothing.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from security import contenders
from security.attacks import abstract_sockets
from security.canaries import Canaries, private_mounts
from security.matrix import HIT, ROWS, UNCONTROLLED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.bundle import Bundle
    from security.contenders import Contender
    from security.matrix import Row


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    with private_mounts():
        yield Canaries(tmp_path / "host")


def effect(row: Row, contender: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """All that the attack did: what it saw, and what is not as it was."""
    try:
        found = row.attack(contender, bundle, canaries)
    finally:
        contender.clean_up()
    return found + canaries.damage()


@pytest.mark.parametrize("name", ROWS)
def test_pyrunc_holds(name: str, tmp_path: Path, bundle: Bundle, canaries: Canaries) -> None:
    assert effect(ROWS[name], contenders.pyrunc(tmp_path), bundle, canaries) == []


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.without])
def test_without_the_defence_it_succeeds(name: str, tmp_path: Path, bundle: Bundle, canaries: Canaries) -> None:
    row = ROWS[name]
    assert effect(row, contenders.weakened(tmp_path, row.without), bundle, canaries) != []


@pytest.mark.slow
@pytest.mark.parametrize("peer", contenders.PEERS)
@pytest.mark.parametrize("name", ROWS)
def test_peers_are_as_recorded(name: str, peer: str, tmp_path: Path, bundle: Bundle, canaries: Canaries) -> None:
    row = ROWS[name]
    found = effect(row, contenders.peer(tmp_path, peer), bundle, canaries)
    assert bool(found) == (getattr(row, peer) == HIT), found


def test_an_abstract_socket_would_be_seen() -> None:
    before = abstract_sockets()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0seen by test_attacks")
        assert len(abstract_sockets() - before) == 1


def test_every_row_has_a_control() -> None:
    """A peer that is hit, a defence that can be taken away, or the reason why there is neither."""
    without = [name for name, row in ROWS.items() if HIT not in (row.runc, row.crun) and not row.without]
    assert without == list(UNCONTROLLED)
