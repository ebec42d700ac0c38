"""What a container may do: capabilities, seccomp, LSM labels, the session keyring.

capabilities       the five sets: names -> masks -> operations
capability_names   capabilities by number (generated)
keyring            a session keyring of the container's own
lsm                AppArmor profile, SELinux label
seccomp*, bpf*     linux.seccomp -> a BPF filter
"""
