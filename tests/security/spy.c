/* A process of a container that wants into what joins it: for every other process it sees, until it is killed,
 *
 *   spy look      opens its memory, descriptors, executable, environment, root and directory, and attaches to it
 *   spy stop      sends it SIGSTOP; as init
 *   spy kill      sends it SIGKILL; as init
 *   spy probe     says what it was given itself: descriptors, signals, securebits, keyring
 *
 * What it got of a process that is called pyrunc afterwards too (execve(2) gives it another name) it has from the stage:
 * a line on stdout for each.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *name;
	int flags;
} files[] = {
	{"mem", O_RDWR},  {"exe", O_PATH},    {"exe", O_RDWR},	{"environ", O_RDONLY}, {"root", O_PATH},
	{"cwd", O_PATH},  {"maps", O_RDONLY}, {"fd/0", O_PATH}, {"fd/3", O_PATH},      {"fd/4", O_PATH},
	{"fd/5", O_PATH}, {"fd/6", O_PATH},   {"fd/7", O_PATH}, {"fd/8", O_PATH},
};

static int is_ours(int pid)
{
	char path[64], name[32] = "";
	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	int comm = open(path, O_RDONLY | O_CLOEXEC);
	if (comm < 0)
		return 0;
	ssize_t length = read(comm, name, sizeof name - 1);
	close(comm);
	return length > 0 && (strncmp(name, "pyrunc", 6) == 0 || strncmp(name, "runc", 4) == 0);
}

static void got(int pid, const char *what)
{
	if (is_ours(pid)) {
		printf("%s\n", what);
		fflush(stdout);
	}
}

static void look(int pid)
{
	char path[64];
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i].name);
		int opened = open(path, files[i].flags | O_CLOEXEC);
		if (opened >= 0) {
			char byte;
			int is_empty = files[i].flags == O_RDONLY && read(opened, &byte, 1) != 1;
			close(opened);
			if (!is_empty)
				got(pid, files[i].name);
		}
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
		got(pid, "ptrace");
		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		if (waitpid(pid, NULL, __WALL) == pid)
			ptrace(PTRACE_DETACH, pid, 0, 0);
	}
}

static void probe(void)
{
	struct dirent *entry;
	DIR *descriptors = opendir("/proc/self/fd");
	printf("descriptors");
	while (descriptors && (entry = readdir(descriptors)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(descriptors))
			printf(" %s", entry->d_name);
	sigset_t blocked;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	int held = 0, ignored = 0, parent_death = -1;
	for (int number = 1; number < 65; number++) {
		struct sigaction action;
		held += sigismember(&blocked, number) == 1;
		ignored += sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
	}
	prctl(PR_GET_PDEATHSIG, &parent_death);
	char keyring[200] = "";
	long key = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, keyring, sizeof keyring, 0);
	printf("\nblocked %d\nignored %d\nsecurebits %d\ndumpable %d\ndeath %d\nno_new_privs %d\nkeyring %s\n", held,
	       ignored, prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE), parent_death,
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), keyring);
}

int main(int count, char **words)
{
	const char *what = count > 1 ? words[1] : "probe";
	if (strcmp(what, "probe") == 0) {
		probe();
		return 0;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		if (strcmp(what, "look") != 0) {
			kill(-1, strcmp(what, "stop") == 0 ? SIGSTOP : SIGKILL); /* all but init, which this is */
			continue;
		}
		DIR *processes = opendir("/proc");
		struct dirent *entry;
		while (processes && (entry = readdir(processes))) {
			int pid = atoi(entry->d_name);
			if (pid > 1 && pid != getpid())
				look(pid);
		}
		closedir(processes);
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
	}
}
