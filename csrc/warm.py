# Run once, while the image is written (rehearse.c): what is imported and made here is there at every
# start.  build_launcher.py puts SIZE, LIBRARY and BUNDLES in.
#
# Nothing may be left open, and no object may be kept that knows this process: image.py refuses the image then.
#
# The rehearsal runs what a command will run, often enough for CPython 3.11 to specialise the code (PEP 659): what a
# single short run never reaches.  A create takes 0.3 ms less.

import _imp
import sys

SIZE = "@SIZE@"
LIBRARY = "@LIBRARY@"
BUNDLES = "@BUNDLES@"  # a directory of bundles, and of a state root with one stopped container (rehearsal.py)
ROUNDS = 16  # a function is quickened when it has been called 8 times
# Imported inside functions, so not by importing the commands.
SMALL = """
pyrunc.commands.state pyrunc.commands.start pyrunc.commands.kill pyrunc.commands.delete pyrunc.container.state
pyrunc.container.start pyrunc.container.kill pyrunc.container.delete pyrunc.cli.failures
"""
# What create, run and exec have no use for.
COLD = """
pyrunc.__main__ pyrunc.cli.help pyrunc.hints pyrunc.json_faults
pyrunc.program.simulator pyrunc.program.listing pyrunc.program.signatures
pyrunc.cgroups.stats pyrunc.cgroups.stats_files pyrunc.cgroups.stats_v1 pyrunc.cgroups.stats_v2 pyrunc.cgroups.oom
pyrunc.cgroups.update pyrunc.container.events pyrunc.container.explain pyrunc.container.features
pyrunc.container.interfaces pyrunc.container.pause pyrunc.container.ps pyrunc.container.update pyrunc.container.amounts
pyrunc.commands.checkpoint pyrunc.commands.events pyrunc.commands.explain pyrunc.commands.features
pyrunc.commands.help pyrunc.commands.list pyrunc.commands.pause pyrunc.commands.ps pyrunc.commands.restore
pyrunc.commands.resume pyrunc.commands.spec pyrunc.commands.update pyrunc.commands.validate pyrunc.commands.version
pyrunc.cgroups.dbus pyrunc.cgroups.dbus_message pyrunc.cgroups.exhausted pyrunc.cgroups.systemd
pyrunc.cgroups.systemd_names pyrunc.cgroups.systemd_properties pyrunc.cgroups.tree pyrunc.cgroups.variant_text
pyrunc.cli.cold pyrunc.container.owner pyrunc.container.steps pyrunc.kernel.datagrams pyrunc.kernel.listing
pyrunc.launcher
pyrunc.process.copyup pyrunc.process.idmaps pyrunc.process.notify pyrunc.process.silence pyrunc.rootfs.dangling
pyrunc.commands.delete pyrunc.commands.kill pyrunc.commands.start pyrunc.commands.state
ocispec.defaults ocispec.features ocispec.spelling ocispec.state ocispec.writer ocispec.sections
pyrunc.cgroups.resctrl pyrunc.container.rdt pyrunc.container.annotations pyrunc.security.seccomp_annotations
pyrunc.container.host_facts pyrunc.container.host_checks pyrunc.container.odd_words pyrunc.kernel.netlink
pyrunc.namespaces.devices pyrunc.process.listener ocispec.partial pyrunc.cgroups.device_transition
pyrunc.cgroups.systemd_devices pyrunc.cgroups.resctrl_stats
"""

# What create has no use for, either.
NOT_FOR_CREATE = """
pyrunc.commands.exec pyrunc.commands.run pyrunc.container.delete pyrunc.container.execute pyrunc.container.kill
pyrunc.container.run pyrunc.container.start pyrunc.kernel.signals pyrunc.kernel.terminal pyrunc.process.exec_parent
pyrunc.process.plan_exec pyrunc.process.relay
"""


def wanted():
    if SIZE == "small":
        return SMALL.split()
    ours = [name for name in _imp._frozen_module_names() if name.startswith(("pyrunc", "ocispec"))]
    left_out = COLD.split() + (NOT_FOR_CREATE.split() if SIZE == "create" else [])
    return [name for name in ours if name not in left_out]


b"\xff".decode("utf-8", "replace")  # the codec registry
sys.pyrunc_library = LIBRARY
sys.pyrunc_launcher = "static"
sys.pyrunc_image = True
for name in ["_pyrunc_start", *wanted()]:
    __import__(name)


def rehearse_arguments(*words):
    from pyrunc.cli.parse import parse_arguments

    return parse_arguments(["pyrunc", "--log", "/dev/null", "--root", f"{BUNDLES}/state", *words], {}, 0)


def rehearse_state():
    """The commands that work from state.json alone, as far as they go with a container that has stopped."""
    from pyrunc.container.record import to_json
    from pyrunc.container.state import state_document
    from pyrunc.container.status import status_of
    from pyrunc.container.store import Store
    from pyrunc.jsonio import dumps

    for command in ("state", "start", "kill", "delete"):
        arguments = rehearse_arguments(command, "stopped")
    store = Store(arguments.root)
    record = store.load("stopped")
    dumps(state_document(record, status_of(record, store.root)), indent=2)
    dumps(to_json(record))


def rehearse_birth():
    """Everything of create, run and exec that decides, and nothing that makes."""
    from pyrunc.container.create import compile_bundle
    from pyrunc.container.options import CreateOptions
    from pyrunc.container.record import to_json
    from pyrunc.jsonio import dumps
    from pyrunc.program.numbers import NUMBERS

    rehearse_arguments("create", "--bundle", BUNDLES, "--pid-file", "pid", "x")
    rehearse_arguments("exec", "--process", "p", "--detach", "--pid-file", "pid", "x")
    for name in ("plain", "engine"):
        options = CreateOptions(container_id="x", bundle=f"{BUNDLES}/{name}", detach=True)
        prepared, plan = compile_bundle(options.bundle, options)
        plan.program.encode(NUMBERS[prepared.host.machine])
        record = prepared.record
        dumps(to_json(record))
        if SIZE == "large":
            rehearse_exec(prepared)


def rehearse_exec(prepared):
    from ocispec.config import read_config
    from pyrunc.process.plan_exec import Execution, compile_exec
    from pyrunc.program.numbers import NUMBERS

    config = read_config(prepared.record.config)
    execution = Execution(
        container_id="x",
        config=config,
        process=config.process,
        host=prepared.host,
        cgroup=prepared.cgroup.cgroup,
        namespaces=0,
        has_own_root=False,
    )
    compile_exec(execution).program.encode(NUMBERS[prepared.host.machine])


for _ in range(ROUNDS):
    rehearse_state()
    if SIZE != "small":
        rehearse_birth()
