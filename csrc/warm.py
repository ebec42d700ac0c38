# Run once, while the image is written (launcher.c, --write-image): what is imported and made here is there at every
# start.  build_launcher.py puts SIZE and LIBRARY in.
#
# Nothing may be left open, and no object may be kept that knows this process: image.py refuses the image then.

import _imp
import sys

SIZE = "@SIZE@"
LIBRARY = "@LIBRARY@"
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
pyrunc.container.pause pyrunc.container.ps pyrunc.container.update pyrunc.container.amounts
pyrunc.commands.checkpoint pyrunc.commands.events pyrunc.commands.explain pyrunc.commands.features
pyrunc.commands.help pyrunc.commands.list pyrunc.commands.pause pyrunc.commands.ps pyrunc.commands.restore
pyrunc.commands.resume pyrunc.commands.spec pyrunc.commands.update pyrunc.commands.validate pyrunc.commands.version
ocispec.defaults ocispec.features ocispec.spelling ocispec.state ocispec.writer
"""


def wanted():
    if SIZE == "small":
        return SMALL.split()
    ours = [name for name in _imp._frozen_module_names() if name.startswith(("pyrunc", "ocispec"))]
    return [name for name in ours if name not in COLD.split()]


b"\xff".decode("utf-8", "replace")  # the codec registry
sys.pyrunc_library = LIBRARY
sys.pyrunc_launcher = "static"
sys.pyrunc_image = True
for name in ["_pyrunc_start", *wanted()]:
    __import__(name)
