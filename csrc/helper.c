/* See helper.h for the contract of each function. */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "newer.h"

enum { FIRST_FD = 3, MAX_FDS = 1024, CHILD_STACK = 65536 };

static int64_t result_of(int64_t result)
{
	return result < 0 ? -(int64_t)errno : result;
}

/* What the child of pyrunc_spawn_stage needs; it shares our memory until execveat, so `error` comes back in it. */
struct newborn {
	int stage;
	const int *fds;
	size_t count;
	volatile int error;
};

/*
 * Every source is first copied above all targets, or a target could overwrite a source that is still needed.
 * Runs on its own stack in our memory (vfork rules: nothing but system calls).
 */
static int arrange_descriptors(const struct newborn *child, int *stage)
{
	int copies[MAX_FDS];
	const int above = FIRST_FD + (int)child->count;

	for (size_t i = 0; i < child->count; i++) {
		copies[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, above);
		if (copies[i] < 0)
			return -1;
	}
	*stage = fcntl(child->stage, F_DUPFD_CLOEXEC, above);
	if (*stage < 0)
		return -1;
	for (size_t i = 0; i < child->count; i++)
		if (dup3(copies[i], FIRST_FD + (int)i, 0) < 0)
			return -1;
	/* close_range(2) with CLOSE_RANGE_CLOEXEC, Linux 5.11: whatever else the caller leaked to us. */
	return (int)syscall(SYS_close_range, above, ~0U, CLOSE_RANGE_CLOEXEC);
}

static void become_stage(struct newborn *child)
{
	static char name[] = "pyrunc", role[] = "init";
	char *const arguments[] = {name, role, NULL};
	char *const environment[] = {NULL};
	int stage;

	if (arrange_descriptors(child, &stage) == 0)
		syscall(SYS_execveat, stage, "", arguments, environment, AT_EMPTY_PATH);
	child->error = errno;
	_exit(127);
}

/* clone3(2) whose child calls become_stage(child) on the stack in `args`; libc has no wrapper that could. */
static long clone3_into(struct clone_args *args, struct newborn *child)
{
#if defined(__x86_64__)
	register void (*function)(struct newborn *) __asm__("r12") = become_stage;
	register struct newborn *argument __asm__("r13") = child;
	long result;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(function), "r"(argument)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register struct clone_args *first __asm__("x0") = args;
	register size_t second __asm__("x1") = sizeof(*args);
	register void (*function)(struct newborn *) __asm__("x20") = become_stage;
	register struct newborn *argument __asm__("x21") = child;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x0, x21\n\t"
			 "blr x20\n\t"
			 "brk 0\n"
			 "1:"
			 : "+r"(first)
			 : "r"(number), "r"(second), "r"(function), "r"(argument)
			 : "memory", "x30");
	return (long)first;
#else
#error "pyrunc supports x86_64 and aarch64"
#endif
}

int64_t pyrunc_spawn_stage(int stage, const int *fds, size_t count, uint64_t flags, int cgroup, int *pidfd)
{
	/* In the launcher: no part of the image (csrc/image.ld). */
	static char stack[CHILD_STACK] __attribute__((aligned(16), section(".bss.process")));
	struct newborn child = {.stage = stage, .fds = fds, .count = count, .error = 0};
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | flags,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)stack,
		.stack_size = sizeof(stack),
	};

	if (count > MAX_FDS)
		return -E2BIG;
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	const long pid = clone3_into(&args, &child);
	if (pid < 0)
		return pid;
	if (child.error != 0) {
		close(*pidfd);
		waitpid((pid_t)pid, NULL, 0);
		return -(int64_t)child.error;
	}
	return pid;
}

int64_t pyrunc_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};

	return result_of(syscall(SYS_openat2, directory, path, &how, sizeof(how)));
}

int64_t pyrunc_open_tree(int directory, const char *path, uint32_t flags)
{
	return result_of(syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC));
}

int64_t pyrunc_mount_setattr(int tree, uint32_t flags, uint64_t sets, uint64_t clears, int user_namespace)
{
	struct mount_attr attributes = {.attr_set = sets, .attr_clr = clears};

	if (user_namespace >= 0) {
		attributes.attr_set |= MOUNT_ATTR_IDMAP;
		attributes.userns_fd = (uint64_t)user_namespace;
	}
	return result_of(syscall(SYS_mount_setattr, tree, "", flags | AT_EMPTY_PATH, &attributes, sizeof(attributes)));
}

int64_t pyrunc_file_system_magic(int descriptor)
{
	struct statfs status;

	return fstatfs(descriptor, &status) < 0 ? -(int64_t)errno : (int64_t)(uint32_t)status.f_type;
}

int64_t pyrunc_socketpair(int type, int *pair)
{
	return result_of(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair));
}

/* A new socket of `type`, after bind(2) or connect(2). */
static int64_t unix_socket(int type, const char *name, size_t length,
			   int (*call)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, name, length);
	/* An abstract name ends where the length says, a path with NUL: unix(7). */
	const size_t ending = length > 0 && *name == '\0' ? 0 : 1;
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + ending);
	const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -(int64_t)errno;
	if (call(fd, (struct sockaddr *)&address, size) < 0) {
		const int error = errno;

		close(fd);
		return -(int64_t)error;
	}
	return fd;
}

int64_t pyrunc_connect_unix(const char *path)
{
	return unix_socket(SOCK_STREAM, path, strlen(path), connect);
}

int64_t pyrunc_bind_datagrams(const char *path)
{
	return unix_socket(SOCK_DGRAM | SOCK_NONBLOCK, path, strlen(path), bind);
}

int64_t pyrunc_connect_datagrams(const char *address, size_t length)
{
	return unix_socket(SOCK_DGRAM, address, length, connect);
}

int64_t pyrunc_send_descriptor(int socket, const char *data, size_t length, int descriptor)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
	return result_of(sendmsg(socket, &message, MSG_NOSIGNAL));
}

int64_t pyrunc_receive_descriptor(int socket, char *data, size_t capacity)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec vector = {.iov_base = data, .iov_len = capacity};
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		/* Not CMSG_SPACE: its padding has room for a second descriptor, which would be ours and nobody's. */
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	int descriptor;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0)
		return -(int64_t)errno;
	if (message.msg_controllen < sizeof(control.header) || control.header.cmsg_level != SOL_SOCKET ||
	    control.header.cmsg_type != SCM_RIGHTS || control.header.cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(&descriptor, CMSG_DATA(&control.header), sizeof(int));
	/* The kernel installs no more descriptors than fit the buffer, and says so: unix(7). */
	if (message.msg_flags & MSG_CTRUNC) {
		close(descriptor);
		return -EPROTO;
	}
	return descriptor;
}

int64_t pyrunc_prlimit(int pid, int resource, uint64_t soft, uint64_t hard)
{
	const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};

	return result_of(prlimit(pid, (enum __rlimit_resource)resource, &limit, NULL));
}

int64_t pyrunc_set_child_subreaper(int on)
{
	return result_of(prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0));
}

int64_t pyrunc_signalfd(uint64_t mask)
{
	sigset_t set;

	sigemptyset(&set);
	for (int number = 1; number <= 64; number++)
		if ((mask >> (number - 1) & 1) != 0)
			sigaddset(&set, number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -(int64_t)errno;
	return result_of(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int64_t pyrunc_close_on_exec_from(int first)
{
	return result_of(syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC));
}

int64_t pyrunc_send_signal(int pidfd, int number)
{
	return result_of(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0));
}

int64_t pyrunc_pidfd_getfd(int pidfd, int number)
{
	return result_of(syscall(SYS_pidfd_getfd, pidfd, number, 0));
}

int64_t pyrunc_netlink_socket(int namespace)
{
	const int ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int64_t made;

	if (ours < 0)
		return -(int64_t)errno;
	made = result_of(setns(namespace, CLONE_NEWNET));
	if (made == 0) {
		made = result_of(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
		if (setns(ours, CLONE_NEWNET) < 0) {
			const int error = errno;

			if (made >= 0)
				close((int)made);
			made = -(int64_t)error;
		}
	}
	close(ours);
	return made;
}

/*
 * Larger than any kernel's union bpf_attr, and all zero behind ours.  Linux 6.17 to 7.1 write query.revision at its
 * offset whatever the size said (runc 1.5.2 was bitten): here that is our own memory.
 */
union padded_attr {
	union bpf_attr attr;
	char bytes[256];
};

static int64_t bpf(int command, union padded_attr *padded)
{
	return result_of(syscall(SYS_bpf, command, &padded->attr, sizeof(*padded)));
}

int64_t pyrunc_load_device_program(const char *instructions, size_t length)
{
	union padded_attr padded = {.bytes = {0}};

	padded.attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	padded.attr.insn_cnt = (uint32_t)(length / sizeof(struct bpf_insn));
	padded.attr.insns = (uint64_t)(uintptr_t)instructions;
	padded.attr.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* no helper function is called */
	memcpy(padded.attr.prog_name, "pyrunc_devices", sizeof("pyrunc_devices"));
	return bpf(BPF_PROG_LOAD, &padded);
}

int64_t pyrunc_attach_device_program(int cgroup, int program, uint32_t flags, int replaced)
{
	union padded_attr padded = {.bytes = {0}};

	padded.attr.target_fd = (uint32_t)cgroup;
	padded.attr.attach_bpf_fd = (uint32_t)program;
	padded.attr.attach_type = BPF_CGROUP_DEVICE;
	padded.attr.attach_flags = flags;
	if (replaced >= 0) {
		padded.attr.attach_flags |= BPF_F_REPLACE;
		padded.attr.replace_bpf_fd = (uint32_t)replaced;
	}
	return bpf(BPF_PROG_ATTACH, &padded);
}

int64_t pyrunc_detach_device_program(int cgroup, int program)
{
	union padded_attr padded = {.bytes = {0}};

	padded.attr.target_fd = (uint32_t)cgroup;
	padded.attr.attach_bpf_fd = (uint32_t)program;
	padded.attr.attach_type = BPF_CGROUP_DEVICE;
	return bpf(BPF_PROG_DETACH, &padded);
}

int64_t pyrunc_query_device_programs(int cgroup, uint32_t *ids, size_t capacity)
{
	union padded_attr padded = {.bytes = {0}};

	padded.attr.query.target_fd = (uint32_t)cgroup;
	padded.attr.query.attach_type = BPF_CGROUP_DEVICE;
	padded.attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	padded.attr.query.prog_cnt = (uint32_t)capacity;
	const int64_t result = bpf(BPF_PROG_QUERY, &padded);

	return result < 0 ? result : (int64_t)padded.attr.query.prog_cnt;
}

int64_t pyrunc_open_program(uint32_t id)
{
	union padded_attr padded = {.bytes = {0}};

	padded.attr.prog_id = id;
	return bpf(BPF_PROG_GET_FD_BY_ID, &padded);
}
