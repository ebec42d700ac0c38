"""pyrunc: an OCI container runtime.  Python compiles a container; it never enters one."""

VERSION = "0.1.0"
