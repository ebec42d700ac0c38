/*
 * What Python's own modules lack, host side: one system call or one indivisible sequence a function.
 *
 * Every function returns >= 0, or -errno.  None allocates, logs, reads the environment or decides anything.  Every
 * descriptor made here is close-on-exec.  csrc/build.py takes these declarations for cffi; keep them plain.
 */
#ifndef PYRUNC_HELPER_H
#define PYRUNC_HELPER_H

#include <stddef.h>
#include <stdint.h>

/* [cffi */

/*
 * clone3(2) with CLONE_VM|CLONE_VFORK|CLONE_PIDFD|CLONE_CLEAR_SIGHAND and `flags`, then execveat(2) of `stage`.
 * In the child fds[i] becomes descriptor 3+i, 0 to 2 stay, everything else is close-on-exec.  `cgroup` >= 0 is the
 * cgroup v2 directory to be born in (CLONE_INTO_CGROUP, Linux 5.7).  Returns the pid; *pidfd is its pidfd.
 * A child that could not become the stage has been waited for, and its errno is returned.
 */
int64_t pyrunc_spawn_stage(int stage, const int *fds, size_t count, uint64_t flags, int cgroup, int *pidfd);

/* openat2(2), Linux 5.6; O_CLOEXEC is added. */
int64_t pyrunc_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

/* open_tree(2), Linux 5.2; OPEN_TREE_CLOEXEC is added. */
int64_t pyrunc_open_tree(int directory, const char *path, uint32_t flags);

/* mount_setattr(2), Linux 5.12, of what `tree` stands for; 0 or AT_RECURSIVE.  `user_namespace` -1: no MOUNT_ATTR_IDMAP. */
int64_t pyrunc_mount_setattr(int tree, uint32_t flags, uint64_t sets, uint64_t clears, int user_namespace);

/* f_type of fstatfs(2): the magic number of the file system a descriptor is on. */
int64_t pyrunc_file_system_magic(int descriptor);

/* A pair of connected AF_UNIX sockets of `type`, close-on-exec, in pair[0] and pair[1]. */
int64_t pyrunc_socketpair(int type, int *pair);

/* connect(2) to the AF_UNIX stream socket at `path`; ENAMETOOLONG if it does not fit sockaddr_un. */
int64_t pyrunc_connect_unix(const char *path);

/* A non-blocking AF_UNIX datagram socket bound to `path`; ENAMETOOLONG as above. */
int64_t pyrunc_bind_datagrams(const char *path);

/* A datagram socket connected to the address of `length` bytes: a path, or NUL and an abstract name. */
int64_t pyrunc_connect_datagrams(const char *address, size_t length);

/*
 * A NETLINK_ROUTE socket in the network namespace behind the descriptor `namespace`: setns(2) there, socket(2), and
 * setns(2) back.  A way back that fails (nobody takes it) leaves us there, and is the error that is returned.
 */
int64_t pyrunc_netlink_socket(int namespace);

/* sendmsg(2) of `length` bytes with one descriptor (SCM_RIGHTS), MSG_NOSIGNAL. */
int64_t pyrunc_send_descriptor(int socket, const char *data, size_t length, int descriptor);

/* recvmsg(2) of one message with exactly one descriptor, which is returned; its bytes go to `data`.  EPROTO else. */
int64_t pyrunc_receive_descriptor(int socket, char *data, size_t capacity);

/* pidfd_send_signal(2), Linux 5.1.  Python has it in _signal, which asks for the disposition of every signal. */
int64_t pyrunc_send_signal(int pidfd, int number);

/* pidfd_getfd(2), Linux 5.6: a copy of a descriptor of another process; close-on-exec. */
int64_t pyrunc_pidfd_getfd(int pidfd, int number);

/* prlimit(2): set the limits of `pid`. */
int64_t pyrunc_prlimit(int pid, int resource, uint64_t soft, uint64_t hard);

/* prctl(2) PR_SET_CHILD_SUBREAPER. */
int64_t pyrunc_set_child_subreaper(int on);

/* signalfd(2) for the signals of `mask` (signal n is bit n-1), blocked in this thread from now on. */
int64_t pyrunc_signalfd(uint64_t mask);

/* close_range(2) with CLOSE_RANGE_CLOEXEC (Linux 5.11) from `first` up: what a caller leaked to us goes no further. */
int64_t pyrunc_close_on_exec_from(int first);

/* bpf(2) BPF_PROG_LOAD of `length` bytes of struct bpf_insn as BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15: its descriptor. */
int64_t pyrunc_load_device_program(const char *instructions, size_t length);

/*
 * bpf(2) BPF_PROG_ATTACH of a device program to the version 2 directory `cgroup`, with `flags`.  `replaced` >= 0 is the
 * program whose place it takes: BPF_F_REPLACE is added (Linux 5.6).
 */
int64_t pyrunc_attach_device_program(int cgroup, int program, uint32_t flags, int replaced);

/* bpf(2) BPF_PROG_DETACH of a device program from the version 2 directory `cgroup`. */
int64_t pyrunc_detach_device_program(int cgroup, int program);

/* bpf(2) BPF_PROG_QUERY: the ids of the device programs attached to `cgroup` itself, into ids[]; how many.  ENOSPC. */
int64_t pyrunc_query_device_programs(int cgroup, uint32_t *ids, size_t capacity);

/* bpf(2) BPF_PROG_GET_FD_BY_ID, Linux 4.13: a descriptor of the program that has this id. */
int64_t pyrunc_open_program(uint32_t id);

/* cffi] */

#endif
