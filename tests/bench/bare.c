/*
 * The limit: what a container costs when nothing is read, checked, explained or undone.
 *
 * The verbs of a runtime for one container whose config.json became C tables when this was compiled (TABLES, written
 * by bare_tables.py): the same namespaces, mounts, devices, masks, cgroups, capabilities, filter, exec fifo, and a
 * state file that is replaced at once.  No JSON, no libseccomp, no check of what was mounted, no lock, no signal to
 * pass on; the rootfs is trusted.  An error ends it, and leaves what there is.
 *
 * usage, word for word:   bare --root ROOT create -b BUNDLE --pid-file FILE ID
 *                         bare --root ROOT run -b BUNDLE ID
 *                         bare --root ROOT exec --process FILE ID         FILE is not read: it runs SHORT
 *                         bare --root ROOT start|state|delete ID
 *                         bare --root ROOT kill ID KILL
 *                         bare --root ROOT list
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

struct mount {
	const char *source, *target, *type;
	unsigned long flags, again; /* again: the flags of a bind mount, which only a remount sets */
	const char *data;
};
struct cgroup {
	const char *parent, *name; /* directory to make the container's in; of the hierarchy, in the container */
};
struct setting {
	int cgroup;
	const char *file, *value;
};
struct capset {
	unsigned header[2], data[6];
};

#include TABLES

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define MUST(call) must((long)(call), #call)

struct state {
	pid_t pid;
	unsigned long long born; /* field 22 of /proc/PID/stat: the pid may be another process's by now */
	char bundle[256];
};

static const char *id;
static int directory = -1; /* ROOT/ID */

static long must(long result, const char *what)
{
	if (result < 0) {
		dprintf(2, "%s: %s\n", what, strerror(errno));
		_exit(1);
	}
	return result;
}

static int open_under(const char *top, const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", top, name);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void write_file(int at, const char *path, const char *text)
{
	int fd = MUST(openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

/* When the process was started, 0 when it is none or a zombie. */
static unsigned long long born(pid_t pid)
{
	char path[32], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = 0;
	char *field = strrchr(text, ')') + 2;
	if (*field == 'Z' || *field == 'X')
		return 0;
	for (int i = 3; i < 22; i++)
		field = strchr(field, ' ') + 1;
	return strtoull(field, NULL, 10);
}

static struct state read_state(int at)
{
	struct state state;
	int fd = MUST(openat(at, "state", O_RDONLY | O_CLOEXEC));
	MUST(read(fd, &state, sizeof state) == sizeof state ? 0 : -1);
	close(fd);
	return state;
}

static void write_state(pid_t pid, const char *bundle)
{
	struct state state = {.pid = pid, .born = born(pid)};
	snprintf(state.bundle, sizeof state.bundle, "%s", bundle);
	int fd = MUST(openat(directory, "state.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	MUST(write(fd, &state, sizeof state));
	close(fd);
	MUST(renameat(directory, "state.new", directory, "state"));
}

static void print_state(int at, const char *name)
{
	struct state state = read_state(at);
	int alive = born(state.pid) == state.born;
	int waits = alive && faccessat(at, "exec.fifo", F_OK, 0) == 0;
	printf("{\"id\": \"%s\", \"pid\": %d, \"status\": \"%s\", \"bundle\": \"%s\"}\n", name, alive ? state.pid : 0,
	       waits   ? "created"
	       : alive ? "running"
		       : "stopped",
	       state.bundle);
}

static void make_cgroups(void)
{
	char path[512];
	for (size_t i = 0; i < COUNT(CGROUPS); i++) {
		snprintf(path, sizeof path, "%s/%s", CGROUPS[i].parent, id);
		MUST(mkdir(path, 0755));
	}
	for (size_t i = 0; i < COUNT(SETTINGS); i++) {
		if (!SETTINGS[i].file)
			continue;
		snprintf(path, sizeof path, "%s/%s/%s", CGROUPS[SETTINGS[i].cgroup].parent, id, SETTINGS[i].file);
		write_file(-1, path, SETTINGS[i].value);
	}
}

static int open_cgroup(const struct cgroup *cgroup, const char *file, int flags)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s/%s", cgroup->parent, id, file);
	return MUST(open(path, flags | O_CLOEXEC));
}

/* Version 1: a process joins by writing 0 to `tasks`, at a fortieth of what another's pid in cgroup.procs costs. */
static void open_tasks(int *tasks)
{
	for (size_t i = 0; i < COUNT(CGROUPS) && !UNIFIED; i++)
		tasks[i] = open_cgroup(&CGROUPS[i], "tasks", O_WRONLY);
}

static void join(const int *tasks)
{
	for (size_t i = 0; i < COUNT(CGROUPS) && !UNIFIED; i++)
		MUST(write(tasks[i], "0", 1));
}

/* Version 2: clone3 puts the child there.  cgroup: -1 or its directory */
static pid_t clone_into(int cgroup, unsigned long long namespaces)
{
	struct clone_args arguments = {.flags = namespaces, .exit_signal = SIGCHLD};
	if (UNIFIED) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (unsigned)cgroup;
	}
	return MUST(syscall(SYS_clone3, &arguments, sizeof arguments));
}

static int unified(void)
{
	return UNIFIED ? open_cgroup(&CGROUPS[0], ".", O_RDONLY | O_DIRECTORY) : -1;
}

static void mount_one(const struct mount *m)
{
	if (mount(m->source, m->target, m->type, m->flags, m->data) < 0) {
		MUST(errno == ENOENT ? mkdir(m->target, 0755) : -1);
		MUST(mount(m->source, m->target, m->type, m->flags, m->data));
	}
	if (m->again)
		MUST(mount(NULL, m->target, NULL, MS_REMOUNT | MS_BIND | m->again, NULL));
}

/* Version 1: each hierarchy's own directory, read-only, on the tmpfs that MOUNTS made. */
static void mount_cgroups(void)
{
	char source[512], target[64];
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	for (size_t i = 0; i < COUNT(CGROUPS); i++) {
		snprintf(source, sizeof source, "%s/%s", CGROUPS[i].parent, id);
		snprintf(target, sizeof target, "sys/fs/cgroup/%s", CGROUPS[i].name);
		mount_one(&(struct mount){source, target, NULL, MS_BIND, flags, NULL});
	}
	MUST(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | flags, NULL));
}

static void make_devices(void)
{
	static const struct {
		const char *path;
		int major, minor;
	} devices[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
		       {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
	static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
					       {"/proc/self/fd/0", "dev/stdin"},
					       {"/proc/self/fd/1", "dev/stdout"},
					       {"/proc/self/fd/2", "dev/stderr"},
					       {"pts/ptmx", "dev/ptmx"}};
	umask(0);
	for (size_t i = 0; i < COUNT(devices); i++)
		MUST(mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)));
	for (size_t i = 0; i < COUNT(links); i++)
		MUST(symlink(links[i][0], links[i][1]));
	umask(022);
}

static void mask(const char *path)
{
	if (mount("dev/null", path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
		MUST(errno == ENOTDIR ? mount("tmpfs", path, "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1") : -1);
}

static void make_rootfs(void)
{
	MUST(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL));
	MUST(mount(ROOTFS, ROOTFS, NULL, MS_BIND | MS_REC, NULL));
	MUST(chdir(ROOTFS));
	for (size_t i = 0; i < COUNT(MOUNTS); i++)
		mount_one(&MOUNTS[i]);
	if (!UNIFIED)
		mount_cgroups();
	make_devices();
	for (size_t i = 0; i < COUNT(READONLY); i++)
		if (mount(READONLY[i], READONLY[i], NULL, MS_BIND | MS_REC, NULL) == 0)
			MUST(mount(NULL, READONLY[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	for (size_t i = 0; i < COUNT(MASKED); i++)
		mask(MASKED[i]);
	MUST(mount(NULL, ROOTFS, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
}

static void bring_up_loopback(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(ioctl(fd, SIOCSIFFLAGS, &lo));
	close(fd);
}

static void drop_privileges(void)
{
	MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){1024, 1024}));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	for (int capability = 0; capability <= LAST_CAPABILITY; capability++)
		if (!(CAPABILITIES >> capability & 1))
			MUST(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
	MUST(syscall(SYS_setgroups, 0, NULL));
	MUST(syscall(SYS_setresgid, 0, 0, 0));
	MUST(syscall(SYS_setresuid, 0, 0, 0));
	struct capset set = {{0x20080522, 0}, {CAPABILITIES & ~0u, CAPABILITIES & ~0u, 0}};
	MUST(syscall(SYS_capset, set.header, set.data));
}

static void execute(const char *const *argv)
{
	static const char *const environment[] = {"PATH=/bin", "HOME=/", NULL};
	if (FILTER[0].code || COUNT(FILTER) > 1) {
		struct sock_fprog program = {COUNT(FILTER), (struct sock_filter *)FILTER};
		MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, FILTER_FLAGS, &program));
	}
	MUST(execve(argv[0], (char *const *)argv, (char *const *)environment));
}

/* The container's init: all but execve, then it waits at the fifo, or for a byte of `parent` when that runs it. */
static void become(int parent, int foreground)
{
	int tasks[COUNT(CGROUPS)];
	char byte = 0;
	MUST(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC));
	open_tasks(tasks);
	join(tasks);
	if (NAMESPACES & CLONE_NEWCGROUP)
		MUST(unshare(CLONE_NEWCGROUP)); /* now: its root is where the process is */
	MUST(setsid());
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, id, 0, 0, 0); /* ENOSYS in a container without it */
	MUST(sethostname("bench", 5));
	bring_up_loopback();
	make_rootfs();
	drop_privileges();
	MUST(write(parent, &byte, 1));
	if (foreground)
		MUST(read(parent, &byte, 1) == 1 ? 0 : -1);
	else
		MUST(openat(directory, "exec.fifo", O_WRONLY | O_CLOEXEC));
	execute(foreground ? SHORT : LONG);
}

static pid_t create(const char *root, const char *bundle, int foreground, int *channel)
{
	char path[512], byte;
	int pair[2];
	snprintf(path, sizeof path, "%s/%s", root, id);
	MUST(mkdir(path, 0711));
	directory = MUST(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!foreground)
		MUST(mkfifoat(directory, "exec.fifo", 0622));
	make_cgroups();
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid_t pid = clone_into(unified(), NAMESPACES & ~CLONE_NEWCGROUP);
	if (pid == 0)
		become(pair[1], foreground);
	close(pair[1]);
	MUST(read(pair[0], &byte, 1) == 1 ? 0 : -1);
	write_state(pid, bundle);
	*channel = pair[0];
	return pid;
}

static void start(void)
{
	char byte;
	struct state state = read_state(directory);
	MUST(born(state.pid) == state.born ? 0 : -1);
	int fifo = MUST(openat(directory, "exec.fifo", O_RDONLY | O_CLOEXEC));
	MUST(read(fifo, &byte, 1)); /* the other end goes at execve */
	MUST(unlinkat(directory, "exec.fifo", 0));
}

static void kill_init(void)
{
	struct state state = read_state(directory);
	int pidfd = MUST(pidfd_open(state.pid, 0));
	MUST(born(state.pid) == state.born ? 0 : -1);
	MUST(pidfd_send_signal(pidfd, SIGKILL, NULL, 0));
}

static void discard(const char *root)
{
	char path[512];
	struct state state = read_state(directory);
	MUST(born(state.pid) == state.born ? -1 : 0);
	for (size_t i = 0; i < COUNT(CGROUPS); i++) {
		snprintf(path, sizeof path, "%s/%s", CGROUPS[i].parent, id);
		MUST(rmdir(path));
	}
	unlinkat(directory, "exec.fifo", 0); /* ENOENT after start */
	MUST(unlinkat(directory, "state", 0));
	snprintf(path, sizeof path, "%s/%s", root, id);
	MUST(rmdir(path));
}

static int wait_for(pid_t pid)
{
	int status;
	MUST(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *root, const char *bundle)
{
	int channel;
	pid_t pid = create(root, bundle, 1, &channel);
	MUST(write(channel, "", 1));
	int code = wait_for(pid);
	discard(root);
	return code;
}

static int exec(void)
{
	int tasks[COUNT(CGROUPS)];
	struct state state = read_state(directory);
	int pidfd = MUST(pidfd_open(state.pid, 0));
	MUST(born(state.pid) == state.born ? 0 : -1);
	open_tasks(tasks);
	int cgroup = unified();
	MUST(setns(pidfd, NAMESPACES));
	pid_t pid = clone_into(cgroup, 0);
	if (pid == 0) {
		join(tasks);
		MUST(setsid());
		drop_privileges();
		execute(SHORT);
	}
	return wait_for(pid);
}

static void list(const char *root)
{
	DIR *all = opendir(root);
	struct dirent *entry;
	MUST(all ? 0 : -1);
	while ((entry = readdir(all))) {
		if (entry->d_name[0] == '.')
			continue;
		int at = MUST(openat(dirfd(all), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		print_state(at, entry->d_name);
		close(at);
	}
}

int main(int argc, char **argv)
{
	const char *root = argc > 3 ? argv[2] : "", *verb = argc > 3 ? argv[3] : "";
	int fresh = !strcmp(verb, "create") || !strcmp(verb, "run"), kills = !strcmp(verb, "kill"), channel;
	id = kills ? argv[4] : argv[argc - 1];
	if (!strcmp(verb, "list")) {
		list(root);
		return 0;
	}
	if (!fresh)
		directory = MUST(open_under(root, id));
	if (!strcmp(verb, "create")) {
		char text[16];
		snprintf(text, sizeof text, "%d", create(root, argv[5], 0, &channel));
		write_file(-1, argv[7], text);
	} else if (!strcmp(verb, "run"))
		return run(root, argv[5]);
	else if (!strcmp(verb, "exec"))
		return exec();
	else if (!strcmp(verb, "start"))
		start();
	else if (!strcmp(verb, "state"))
		print_state(directory, id);
	else if (kills)
		kill_init();
	else if (!strcmp(verb, "delete"))
		discard(root);
	else
		return 2;
	return 0;
}
