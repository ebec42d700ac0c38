"""linux.netDevices (config-linux.md#network-devices): the host's devices become the container's.  runc has it from 1.4.

The "host" is a network namespace of the test's own, in which the runtime is started: nothing of the machine is moved.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cli.runtime import PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from cli.runtime import Result, Runtime

pytestmark = pytest.mark.pyrunc_only("runc 1.1 knows no netDevices")


class Host:
    """A network namespace with two ends of a veth pair, `left` and `right`, and the runtime in it."""

    def __init__(self, runtime: Runtime, bundle: Bundle) -> None:
        self.runtime = runtime
        self.bundle = bundle
        argv = ["unshare", "--net", "sh", "-c", "echo; exec sleep 600"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.enter = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]
        self.ip("link", "add", "left", "type", "veth", "peer", "name", "right")

    def ip(self, *words: str) -> str:
        result = subprocess.run([*self.enter, "ip", *words], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result
        return result.stdout

    def links(self) -> dict[str, dict[str, Any]]:
        return {link["ifname"]: link for link in json.loads(self.ip("-json", "addr"))}

    def __call__(self, *words: str) -> Result:
        argv = [*self.enter, PATH, "--root", str(self.runtime.state_root), *words]
        return self.runtime.raw(argv)

    def run(self, script: str, **devices: str) -> Result:
        self.bundle.linux["netDevices"] = {
            name: ({"name": inside} if inside else {}) for name, inside in devices.items()
        }
        self.bundle.shell(script)
        self.bundle.save()
        return self("run", "--bundle", str(self.bundle.path), self.runtime.new_id())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def host(runtime: Runtime, bundle: Bundle) -> Iterator[Host]:
    host = Host(runtime, bundle)
    yield host
    host.close()


def test_it_is_moved_and_up(host: Host) -> None:
    out = host.run("ip link show left", left="").ok().out
    assert "UP" in out
    assert "left" not in host.links()


def test_it_is_renamed(host: Host) -> None:
    out = host.run("ip -o link | cut -d: -f2", left="eth7").ok().out
    assert {word.partition("@")[0].strip() for word in out.splitlines()} == {"lo", "eth7"}


def test_what_belongs_to_it_goes_along(host: Host) -> None:
    """Global permanent addresses of both families, the hardware address, the MTU."""
    host.ip("link", "set", "left", "mtu", "1400", "address", "02:00:00:00:00:07", "up")
    host.ip("link", "set", "right", "up")
    host.ip("addr", "add", "192.0.2.7/24", "brd", "192.0.2.255", "dev", "left", "label", "left:x")
    host.ip("addr", "add", "192.0.2.9/32", "dev", "left")
    host.ip("addr", "add", "2001:db8::7/64", "dev", "left", "nodad")
    host.ip("addr", "add", "198.51.100.7/24", "dev", "left", "scope", "link")
    host.ip("addr", "add", "2001:db8::77/64", "dev", "left", "nodad", "valid_lft", "1000", "preferred_lft", "1000")
    out = host.run("ip addr show eth0", left="eth0").ok().out
    assert "mtu 1400" in out
    assert "02:00:00:00:00:07" in out
    assert "inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0:x" in out
    assert "inet 192.0.2.9/32 scope global eth0" in out
    assert "inet6 2001:db8::7/64 scope global" in out
    assert "198.51.100.7" not in out  # of link scope
    assert "2001:db8::77" not in out  # not permanent


def test_several(host: Host) -> None:
    out = host.run("ip -o link | cut -d: -f2", left="right", right="left").ok().out
    assert {word.partition("@")[0].strip() for word in out.splitlines()} == {"lo", "left", "right"}
    assert set(host.links()) == {"lo"}


def test_a_template(host: Host) -> None:
    out = host.run("ip -o link | cut -d: -f2", left="eth%d", right="eth%d").ok().out
    assert {word.partition("@")[0].strip() for word in out.splitlines()} == {"lo", "eth0", "eth1"}


def test_hooks_see_it(host: Host, bundle: Bundle) -> None:
    """createRuntime runs after the move, createContainer in the container's namespaces."""
    script = f"/bin/grep -c eth0 /proc/net/dev > {bundle.path}/seen"
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    host.run("true", left="eth0").ok()
    assert (bundle.path / "seen").read_text() == "1\n"


def test_with_a_user_namespace(host: Host, bundle: Bundle) -> None:
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    for directory in (bundle.path, *bundle.path.parents):
        directory.chmod(directory.stat().st_mode | 0o111)
    host.ip("addr", "add", "192.0.2.7/24", "dev", "left")
    assert "inet 192.0.2.7/24" in host.run("ip addr show left", left="").ok().out


def test_into_a_joined_namespace(host: Host, bundle: Bundle) -> None:
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as pod:
        assert pod.stdout is not None
        pod.stdout.readline()
        bundle.namespace("network", f"/proc/{pod.pid}/ns/net")
        assert "left" in host.run("ip link", left="").ok().out
        pod.kill()


def test_a_create_that_fails_gives_it_back(host: Host, bundle: Bundle) -> None:
    host.ip("link", "set", "left", "mtu", "1400", "up")
    host.ip("addr", "add", "192.0.2.7/24", "dev", "left")
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/false"}]}
    host.run("true", left="eth0", right="").failed("createContainer hook #0")
    found = host.links()
    assert set(found) == {"lo", "left", "right"}
    assert found["left"]["mtu"] == 1400
    assert "UP" in found["left"]["flags"]
    assert "UP" not in found["right"]["flags"]
    assert [(a["local"], a["prefixlen"]) for a in found["left"]["addr_info"] if a["family"] == "inet"] == [
        ("192.0.2.7", 24)
    ]


def test_one_that_fails_gives_those_before_it_back(host: Host) -> None:
    host.run("true", left="", nosuch="").failed('linux.netDevices["nosuch"]: there is no such network device')
    assert set(host.links()) == {"lo", "left", "right"}


def test_one_that_cannot_move(host: Host) -> None:
    host.run("true", lo="other").failed('linux.netDevices["lo"]: move it to the other network namespace: EINVAL')
    assert "lo" in host.links()


def test_a_name_that_is_taken(host: Host) -> None:
    host.run("true", left="lo").failed('the container\'s network namespace has a device "lo" already')
    assert "left" in host.links()


@pytest.mark.parametrize("name", ["eth%s", "%d%d", "a/b", "sixteen-letters-", ".."])
def test_a_name_that_is_none(host: Host, name: str) -> None:
    assert 'linux.netDevices["left"]' in host.run("true", left=name).failed().err.replace('\\"', '"')
    assert "left" in host.links()


def test_no_network_namespace(host: Host, bundle: Bundle) -> None:
    bundle.without_namespace("network")
    host.run("true", left="").failed("unable to move network devices without a private network namespace")


def test_the_hosts_own_namespace_by_path(host: Host, bundle: Bundle) -> None:
    bundle.namespace("network", f"/proc/{host.process.pid}/ns/net")
    host.run("true", left="eth0").failed("no devices there")
    assert "left" in host.links()
