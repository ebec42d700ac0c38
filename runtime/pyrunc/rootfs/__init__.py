"""The container's file system: config.json -> operations for the stage.

inputs       what the emitters need to know
options      mount option words -> what the kernel is asked for (pure, no operations)
paths        the only place that opens or makes anything inside the rootfs
host         the only place that opens paths of the host
trees        mounts as descriptors: copied, changed, attached
filesystems  new file systems
mounting     targets in the rootfs, and the proof that a mount arrived there
prepare      propagation, and the rootfs as a mount
mounts       mounts[], one by one
idmaps       whose files they are, seen through an id-mapped mount
copying      what a tmpfs with tmpcopyup takes from the directory that it covers
cgroupfs     mounts of type cgroup
devices      device nodes and the links of /dev
console      the terminal from the container's own devpts
dangling     destinations behind links of the image that lead nowhere yet
sending      a descriptor in a message
masks        maskedPaths, readonlyPaths, what becomes read-only at the end
pivot        the rootfs becomes "/"

The rootfs is hostile, the host's "/" is not: until `pivot` the host's paths may be named, the rootfs's never are.
"""
