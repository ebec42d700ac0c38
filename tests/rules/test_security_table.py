"""SECURITY.md: every advisory once, its defence and test exist, its control and its peers are what is tested."""

from __future__ import annotations

import re
from pathlib import Path

from rules.source import TOP
from security import weakened
from security.matrix import HIT, HOLDS, ROWS

HEAD = ["advisory", "what happened", "here", "test", "control", "runc", "crun"]
AT_LEAST = 45
NOTHING = "cannot apply"
PLACES = ("runtime/pyrunc", "spec", "")
NAMED = re.compile(r"`([^`]+)`")
ATTACK = re.compile(r"attack `([^`]+)`")


def rows() -> list[dict[str, str]]:
    """The table under the head, a dictionary a row."""
    lines = [line for line in (TOP / "SECURITY.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    begin = cells.index(HEAD) + 2
    return [dict(zip(HEAD, row, strict=True)) for row in cells[begin:] if len(row) == len(HEAD)]


def exists(name: str) -> bool:
    return any((TOP / place / name).is_file() for place in PLACES)


def files(text: str) -> list[str]:
    return [name for name in NAMED.findall(text) if " " not in name and re.search(r"\.(py|c)$", name)]


def test_there_are_enough_and_none_twice() -> None:
    names = [row["advisory"] for row in rows()]
    assert len(names) == len(set(names)) >= AT_LEAST
    assert len(rows()) == int(re.search(r"(\d+) rows, up to", (TOP / "SECURITY.md").read_text())[1])  # type: ignore[index]


def test_every_defence_and_every_test_exists() -> None:
    missing = [name for row in rows() for name in files(row["here"]) + files(row["test"]) if not exists(name)]
    assert missing == []


def test_every_row_is_replayed_or_says_why_not() -> None:
    silent = [row["advisory"] for row in rows() if row["test"] == "-" and not row["here"].startswith(NOTHING)]
    assert silent == []


def test_every_attack_is_one_and_every_attack_is_named() -> None:
    text = (TOP / "SECURITY.md").read_text()
    assert set(ATTACK.findall(text)) == set(ROWS)


def test_the_matrix_is_whole() -> None:
    """S01 to S35, each somewhere; attacks in the row that matrix.py says; files that exist."""
    matrix = (TOP / "SECURITY.md").read_text().partition("## The test matrix")[2]
    assert re.findall(r"S\d\d", matrix) == [f"S{number:02}" for number in range(1, 36)]
    assert [name for name in files(matrix) if not exists(name)] == []
    lines = {name: line for line in matrix.splitlines() for name in ATTACK.findall(line)}
    assert [name for name, row in ROWS.items() if row.where not in lines[name]] == []


def test_advisories_of_attacks_are_in_the_table() -> None:
    named = {row["advisory"]: ATTACK.findall(row["test"]) for row in rows()}
    wanted = [(name, advisory) for name, row in ROWS.items() for advisory in re.findall(r"\S+-\S+", row.advisories)]
    in_races = [advisory for advisory, names in named.items() if not names]
    assert [pair for pair in wanted if pair[0] not in named[pair[1]] and pair[1] not in in_races] == []


def test_controls_and_peers_are_what_is_tested() -> None:
    wrong = []
    for row in rows():
        attacks = [ROWS[name] for name in ATTACK.findall(row["test"])]
        if attacks:
            without = {attack.without for attack in attacks if attack.without}
            if not set(NAMED.findall(row["control"])) - set(files(row["control"])) <= without:
                wrong.append(f"{row['advisory']}: control")
            for peer in ("runc", "crun"):
                found = HIT if HIT in {getattr(attack, peer) for attack in attacks} else HOLDS
                if row[peer] != found:
                    wrong.append(f"{row['advisory']}: {peer}")
    assert wrong == []


def test_a_defence_is_taken_away_for_an_attack() -> None:
    source = Path(weakened.__file__).read_text()
    defences = set(re.findall(r"^def (\w+)", source, re.MULTILINE)) - {"main"}
    used = {row.without for row in ROWS.values() if row.without}
    assert used <= defences
    others = "".join((TOP / f"tests/security/test_{name}.py").read_text() for name in ("exec_attacks", "hostile_proc"))
    assert [name for name in defences - used if f'"{name}"' not in others] == []
