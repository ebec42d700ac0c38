"""The container's file system: config.json -> operations for the stage.

inputs     what the emitters need to know
options    mount option strings -> typed options (pure, no operations)
paths      the only place that opens or makes anything inside the rootfs
trees      mounts as descriptors: made, changed, attached
prepare    propagation, and the rootfs as a mount
mounts     mounts[], one by one
cgroupfs   mounts of type cgroup
devices    device nodes and the links of /dev
console    the terminal from the container's own devpts
masks      maskedPaths, readonlyPaths, what becomes read-only at the end
pivot      the rootfs becomes "/"

The rootfs is hostile, the host's "/" is not: until `pivot` the host's paths may be named, the rootfs's never are.
"""
