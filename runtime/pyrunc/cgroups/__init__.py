"""Cgroups of version 1, version 2 and both: where a container's cgroup is, what is written into it, and the doing.

Pure: paths, place, writes, v1, v2, devices, resources, join.  Doers: layout (reads), fs, freezer.
resctrl is another file system for the same purpose: Intel's shares of cache and memory bandwidth.
Nothing here writes a pid into cgroup.procs: that waits for an RCU grace period, 10 ms (DESIGN.md).
"""
