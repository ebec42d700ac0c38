"""The pure parts of tests/bench: from the loop's lines to tables, ratios, the plot, and the page around them."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import bare_tables, bundles, plot, report, samples, where
from bench.contenders import STEPS, Contender, script
from rules.source import TOP

SVG = "{http://www.w3.org/2000/svg}"
# wall and CPU in microseconds, peak in KB, page faults: two rounds of two contenders
LINES = """\
pyrunc create 0 3000.0 2000 1024 100
pyrunc state 0 500.0 400 512 50
pyrunc create 1 5000.0 3000 2048 110
pyrunc state 1 700.0 600 512 52
crun create 0 8000.0 4000 4096 300
crun state 0 1000.0 800 512 60
crun create 1 12000.0 9000 4096 300
crun state 1 1400.0 1200 512 60
"""


def summary() -> samples.Summary:
    return samples.summarise(samples.parse(LINES))


def result() -> dict[str, Any]:
    """All that __main__.py gathers, in its shape."""
    kinds = {kind: summary() for kind in ("plain", "seccomp", "mounts", "alone", "crowd", "list")}
    for kind in ("plain", "mounts"):
        for steps in kinds[kind].values():
            steps["init"] = steps["state"]
    profiled = {"ms": {"program": 1.5, "page faults": 0.25}, "system_calls": 1234}
    names = ("crun", "pyrunc")
    return {
        "machine": {"cpu": "a processor", "cores": 2, "memory_mb": 4096, "kernel": "6.1"},
        "rounds": 2,
        "crowd": 500,
        "list": 1000,
        "contenders": {"crun": "1.8", "pyrunc": "0.1 <&>"},
        "cgroups": {
            "v2": {
                "kinds": kinds,
                "bind_mounts": {
                    name: {clock: {"min": 20.0, "median": 25.0} for clock in ("cpu", "wall")} for name in names
                },
                "waiting_init": {name: {"rss_kb": 2000, "pss_kb": 900} for name in names},
                "where": {name: {"create": profiled, "state": profiled} for name in names},
            }
        },
    }


def test_least_median_peak_and_the_sum_of_a_life() -> None:
    assert summary()["pyrunc"]["create"] == {
        "wall": {"min": 3.0, "median": 4.0},
        "cpu": {"min": 2.0, "median": 2.5},
        "peak_kb": 2048,
        "page_faults": 105,
        "rounds": 2,
    }
    # the least of the sums, not the sum of the least: 2.0 + 0.4 and 3.0 + 0.6
    assert summary()["pyrunc"][samples.LIFE]["cpu"] == {"min": 2.4, "median": 3.0}


def test_a_single_step_is_no_life() -> None:
    assert list(samples.summarise(samples.parse("crun list 0 1.0 1 1 1\n"))["crun"]) == ["list"]


def test_a_line_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError):
        samples.parse("crun create 0 8000.0\n")


def test_a_ratio_says_how_many_times_of_ours() -> None:
    assert samples.ratio(summary(), "create", "cpu", "crun", "pyrunc") == {"min": 2.0, "median": 2.6}
    assert samples.ratio(summary(), "exec", "cpu", "crun", "pyrunc") is None
    assert samples.ratio(summary(), "create", "cpu", "runc", "pyrunc") is None


def test_a_table_of_times() -> None:
    assert report.times(summary(), "cpu").splitlines() == [
        "| CPU, ms: minimum / median | pyrunc | crun | crun : pyrunc |",
        "| --- | --: | --: | --: |",
        "| create | 2.00 / 2.50 | 4.00 / 6.50 | 2.00 / 2.60 |",
        "| state | 0.40 / 0.50 | 0.80 / 1.00 | 2.00 / 2.00 |",
        "| **life** | 2.40 / 3.00 | 4.80 / 7.50 | 2.00 / 2.50 |",
    ]


def test_the_wall_clock_has_no_row_for_init() -> None:
    found = {"pyrunc": {"init": summary()["pyrunc"]["state"]}}
    assert (samples.steps_of(found), samples.steps_of(found, "wall")) == (["init"], [])


def test_what_a_bind_mount_costs() -> None:
    """Two rounds: 2.5 and 3.5 ms of CPU more, 5 and 4 ms by the wall clock."""
    many = samples.parse(
        "x create 0 9000.0 3000 1 1\nx init 0 0.0 2500 1 1\nx create 1 9000.0 4000 1 1\nx init 1 0.0 3500 1 1\n"
    )["x"]
    none = samples.parse(
        "x create 0 4000.0 2000 1 1\nx init 0 0.0 1000 1 1\nx create 1 5000.0 3000 1 1\nx init 1 0.0 1000 1 1\n"
    )["x"]
    assert samples.bind_cost(many, none) == {
        "cpu": {"min": pytest.approx(50.0), "median": pytest.approx(60.0)},
        "wall": {"min": pytest.approx(100.0), "median": pytest.approx(90.0)},
    }


def test_the_tables_have_a_section_for_everything_measured() -> None:
    tables = report.tables(result())
    heads = [line[4:] for line in tables.splitlines() if line.startswith("### ")]
    assert heads == [
        "Plain, cgroup v2",
        "With Docker's seccomp profile on three architectures, cgroup v2",
        "With 50 bind mounts, cgroup v2",
        "What a bind mount costs",
        "With 500 containers of each runtime present",
        "List of 1,000 containers",
        "Memory",
        "Samples and system calls",
    ]
    assert "| create | 1.00 / 1.00 | 1.00 / 1.00 |" in tables  # the crowd of this result costs what alone does
    assert "| **sum** | 1.75 | 1.75 |" in tables
    assert "| system calls | 1,234 | 1,234 |" in tables


def test_what_was_not_measured_has_no_section() -> None:
    partial = result()
    partial["cgroups"]["v2"] = {"kinds": {"plain": summary()}, "waiting_init": {}}
    heads = [line[4:] for line in report.tables(partial).splitlines() if line.startswith("### ")]
    assert heads == ["Plain, cgroup v2", "Memory"]


def test_tables_go_between_the_markers_and_the_prose_stays() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.insert(page, "new\n") == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.insert(report.insert(page, "new"), "new") == report.insert(page, "new")


@pytest.mark.parametrize("page", ["", report.BEGIN, f"{report.END}{report.BEGIN}", f"{report.BEGIN * 2}{report.END}"])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="make bench: begin"):
        report.insert(page, "new")


def test_the_page_and_the_numbers_beside_it_are_what_make_bench_wrote() -> None:
    page = (TOP / "docs/performance.md").read_text()
    saved = json.loads((TOP / "docs/performance.json").read_text())
    assert report.insert(page, report.tables(saved)) == page
    assert (TOP / "docs/performance.svg").read_text() == plot.draw(saved)


def test_the_numbers_have_all_kinds_and_contenders() -> None:
    saved = json.loads((TOP / "docs/performance.json").read_text())
    assert list(saved["contenders"]) == ["runc", "crun", "pyrunc", "bare"]
    first = next(iter(saved["cgroups"].values()))
    assert list(first["kinds"]) == ["plain", "seccomp", "mounts", "alone", "crowd", "list"]
    for kind in bundles.KINDS:
        for steps in first["kinds"][kind].values():
            assert set(steps) == {*STEPS, samples.LIFE}
            assert all(amounts["cpu"]["min"] > 0 for amounts in steps.values())
    assert all(list(tree["bind_mounts"]) == list(saved["contenders"]) for tree in saved["cgroups"].values())


def test_the_plot_is_well_formed_and_has_a_bar_for_each_verb() -> None:
    tree = ElementTree.fromstring(plot.draw(result()))
    assert tree.tag == f"{SVG}svg"
    titles = [title.text for title in tree.iter(f"{SVG}title")][1:]
    # two kinds, by CPU and by wall clock, of two contenders and two verbs; init has a bar in plain by CPU
    assert (len(titles), titles[0]) == (18, "pyrunc create: 2.000 ms")
    assert "prefers-color-scheme:dark" in (tree.findtext(f"{SVG}style") or "")
    bars = [bar for bar in tree.iter(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
    assert all(0 < float(bar.attrib["height"]) <= plot.BARS for bar in bars)


@pytest.mark.parametrize(
    ("value", "marks"),
    [(2.4, [0, 0.5, 1, 1.5, 2, 2.5]), (30, [0, 5, 10, 15, 20, 25, 30]), (0.3, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3])],
)
def test_the_axis_has_round_marks(value: float, marks: list[float]) -> None:
    assert plot.ticks(value) == pytest.approx(marks)


def test_a_script_for_the_loop() -> None:
    contender = Contender("crun", "/usr/bin/crun", "/x/state/crun")
    assert script([contender], ("create", "init", "run"), "/x", "plain", "b1").splitlines() == [
        "contender\tcrun",
        "step\tcreate\t/usr/bin/crun\t--root\t/x/state/crun\tcreate\t-b\t/x/plain/long\t--pid-file\t/x/state/crun.pid\tb1-#",
        "reap\tinit",
        "step\trun\t/usr/bin/crun\t--root\t/x/state/crun\trun\t-b\t/x/plain/short\tb1-#r",
    ]


def test_rules_for_other_machines_and_capabilities_are_left_out() -> None:
    rules = [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arm_fadvise64_64"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
    ]
    source = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": rules}
    found = bundles.docker_profile(source)["syscalls"]
    assert found == [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW"},
    ]


@pytest.mark.parametrize(
    ("mount", "row"),
    [
        (
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=1k"]},
            '{"tmpfs", "dev", "tmpfs", MS_NOSUID, 0, "mode=755,size=1k"}',
        ),
        (
            {"destination": "/m", "type": "bind", "source": "/etc", "options": ["rbind", "ro"]},
            '{"/etc", "m", NULL, MS_BIND | MS_REC, MS_RDONLY, NULL}',
        ),
    ],
)
def test_a_mount_as_a_row_in_c(mount: dict[str, Any], row: str) -> None:
    assert bare_tables.mount_row(mount, 2) == row


def test_samples_go_to_what_the_program_entered_the_kernel_for() -> None:
    text = """\
crun
\tffffffff815ca514 kvfree_call_rcu
\tffffffff816c5ee4 __x64_sys_execve
\tffffffff821ed511 do_syscall_64
\tffffffff81000130 entry_SYSCALL_64_after_hwframe

crun
\tffffffff815ca514 clear_page_erms
\tffffffff815ca515 asm_exc_page_fault

crun

crun:[1:CHILD]
\tffffffff815ca514 asm_exc_page_fault
\tffffffff815ca515 ksys_read
\tffffffff81000130 entry_SYSCALL_64_after_hwframe

rounds
\tffffffff815ca514 __x64_sys_vfork

crun
\tffffffff815ca514 vm_mmap_pgoff
\tffffffff81000130 entry_SYSCALL_64_after_hwframe

crun
\tffffffff815ca514 asm_sysvec_apic_timer_interrupt
"""
    assert where.attribute(text) == {
        "program": 1,
        "page faults": 1,
        "execve": 1,
        "files": 1,
        "memory": 1,
        "other": 1,
    }


@pytest.mark.parametrize(
    "total", ["100.00    0.000123           1       264        13 total", "100.00 0.0 0 264 total"]
)
def test_the_total_of_strace(total: str) -> None:
    assert where.count_calls(f"% time seconds usecs/call calls errors syscall\n{total}\n") == 264
