"""hostname.py, network.py, sysctl.py and users.py, as values and in the simulator."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ocispec.config import Config, Root
from ocispec.linux import IDMapping, Linux, Namespace
from pyrunc.errors import Unsupported
from pyrunc.kernel.constants import SIOCSIFFLAGS
from pyrunc.kernel.host import Host
from pyrunc.namespaces import users
from pyrunc.namespaces.hostname import emit_hostname
from pyrunc.namespaces.network import emit_loopback_up
from pyrunc.namespaces.plan import plan_namespaces
from pyrunc.namespaces.sysctl import emit_sysctls, sysctl_path
from pyrunc.namespaces.users import _run, can_write_alone, format_map, parse_map
from pyrunc.program.builder import Program
from pyrunc.program.simulator import simulate


def config(hostname: str = "", domainname: str = "", **sysctls: str) -> Config:
    linux = Linux(sysctl={key.replace("__", "."): value for key, value in sysctls.items()})
    return Config(oci_version="1.2.0", root=Root(path="r"), hostname=hostname, domainname=domainname, linux=linux)


def test_names_are_set_in_bytes() -> None:
    p = Program()
    emit_hostname(p, config("höst", "dom"))
    run = simulate(p)
    assert run.calls("sethostname") == [("höst", 5)]
    assert run.calls("setdomainname") == [("dom", 3)]


def test_no_names_no_calls() -> None:
    p = Program()
    emit_hostname(p, config())
    assert p.operations == []


def test_lo_is_brought_up() -> None:
    p = Program()
    emit_loopback_up(p)
    ((_, request, content),) = simulate(p).calls("ioctl")
    assert request == SIOCSIFFLAGS
    assert content == b"lo".ljust(16, b"\0") + b"\1\0" + bytes(22)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("kernel.sem", "kernel/sem"),
    ],
)
def test_sysctl_paths(key: str, path: str) -> None:
    assert sysctl_path(key) == path


def test_sysctls_are_written_below_one_verified_descriptor() -> None:
    p = Program()
    proc = p.register()
    emit_sysctls(p, config(net__core__somaxconn="512", kernel__sem="1 2 3 4"), proc)
    run = simulate(p)
    assert [call[1] for call in run.calls("openat2")] == ["sys/net/core/somaxconn", "sys/kernel/sem"]
    assert [call[1:] for call in run.calls("write")] == [("512", 3), ("1 2 3 4", 7)]
    assert len(run.calls("close")) == 2
    assert run.ended == "end"


def mapping(container_id: int, host_id: int, size: int) -> IDMapping:
    return IDMapping(container_id=container_id, host_id=host_id, size=size)


def test_maps_are_lines_of_three_numbers() -> None:
    text = format_map([mapping(0, 1000, 1), mapping(1, 100000, 65536)])
    assert text == "0 1000 1\n1 100000 65536\n"
    assert parse_map(b"         0       1000          1\n         1     100000      65536\n") == [
        (0, 1000, 1),
        (1, 100000, 65536),
    ]


@pytest.mark.parametrize(
    ("mappings", "alone"),
    [
        ([mapping(0, 1000, 1)], True),
        ([mapping(0, 1001, 1)], False),
        ([mapping(0, 1000, 2)], False),
        ([mapping(0, 1000, 1), mapping(1, 5, 1)], False),
    ],
)
def test_what_an_unprivileged_parent_may_write_alone(mappings: list[IDMapping], alone: bool) -> None:
    assert can_write_alone(mappings, 1000) is alone


def test_a_helper_program_has_no_environment_and_its_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_SECRET", "x")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert _run(["/bin/sh", "-c", "env >&2; echo out; exit 3"])[0] == 3
    assert "SECRET" not in _run(["/bin/sh", "-c", "env >&2; exit 3"])[1]
    assert _run(["/bin/sh", "-c", "echo one >&2; echo two >&2; exit 1"]) == (1, "one; two")
    assert _run(["/bin/sh", "-c", "kill -9 $$"])[0] == -9
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_talkative_helper_program_does_not_block() -> None:
    status, said = _run(["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2"])
    assert (status, len(said)) == (0, 4096)


def test_a_helper_program_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        _run(["/no/such/program"])


def test_without_newuidmap_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(euid=1000, egid=1000, machine="x86_64", in_user_namespace=False, cgroups=())
    maps = (mapping(0, 1000, 1), mapping(1, 100000, 10))
    linux = Linux(namespaces=(Namespace(type="user"),), uid_mappings=maps, gid_mappings=maps)
    plan = plan_namespaces(Config(oci_version="1.2.0", root=Root(path="r"), linux=linux), host)
    monkeypatch.setattr(users, "_DIRECTORIES", ("/no/such/directory",))
    with pytest.raises(Unsupported) as error:
        users.write_id_maps(os.getpid(), plan, host)
    assert str(error.value) == "newgidmap is needed to map more than one's own id, and is in none of /no/such/directory"
