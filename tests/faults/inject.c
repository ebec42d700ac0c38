/*
 * Runs a command and disturbs one system call of one of its processes (ptrace(2)).
 *
 * usage: inject WHO CALL WHAT COMMAND [ARGUMENT...]
 *
 * WHO    0: the command itself, 1: the first process that it or its children make, 2: the second, ...
 * CALL   the how manieth call of that process, from 1
 * WHAT   an errno: the call is not made and fails with it
 *        kill: SIGKILL to the process, before the call is made
 *        kill-parent: SIGKILL to a shim of ours that the command is a child of
 *        list:FILE: nothing is disturbed; the numbers of the calls go to FILE, one 32-bit integer each
 *
 * Exit status: the command's, 128 + the signal that ended it.  The other processes go on without us.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of a system call are written for x86_64 only"
#endif

enum { MADE = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE };

static struct {
	int who, call;
	const char *what;
	pid_t shim, command, target;
	int made, calls, is_inside, is_done;
	FILE *list;
} world;

static void fatal(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void fail_with(int error)
{
	struct user_regs_struct registers;
	int status;

	if (ptrace(PTRACE_GETREGS, world.target, 0, &registers) < 0)
		fatal("PTRACE_GETREGS");
	if (registers.orig_rax != SYS_close) /* which is done even when it fails: close(2) */
		registers.orig_rax = (unsigned long long)-1;
	if (ptrace(PTRACE_SETREGS, world.target, 0, &registers) < 0)
		fatal("PTRACE_SETREGS");
	if (ptrace(PTRACE_SYSCALL, world.target, 0, 0) < 0 || waitpid(world.target, &status, __WALL) < 0)
		fatal("PTRACE_SYSCALL");
	registers.rax = (unsigned long long)-error;
	if (WIFSTOPPED(status) && ptrace(PTRACE_SETREGS, world.target, 0, &registers) < 0)
		fatal("PTRACE_SETREGS");
}

/* The target stands before its call. */
static void disturb(void)
{
	world.is_done = 1;
	if (strcmp(world.what, "kill") == 0)
		kill(world.target, SIGKILL);
	else if (strcmp(world.what, "kill-parent") == 0)
		kill(world.shim, SIGKILL);
	else
		fail_with(atoi(world.what));
}

static void note(void)
{
	struct user_regs_struct registers;
	int32_t number;

	if (ptrace(PTRACE_GETREGS, world.target, 0, &registers) < 0)
		return;
	number = (int32_t)registers.orig_rax;
	fwrite(&number, sizeof(number), 1, world.list);
}

static void at_system_call(void)
{
	world.is_inside = !world.is_inside;
	if (!world.is_inside)
		return;
	world.calls++;
	if (world.list)
		note();
	else if (world.calls == world.call)
		disturb();
}

/* What to do next with a process that stopped: 0 for leaving it alone from now on. */
static int next_request(pid_t pid)
{
	if (world.is_done || (world.target && pid != world.target && world.who == 0))
		return PTRACE_DETACH;
	return pid == world.target ? PTRACE_SYSCALL : PTRACE_CONT;
}

static void at_stop(pid_t pid, int status)
{
	int number = WSTOPSIG(status);

	if (number == (SIGTRAP | 0x80)) {
		at_system_call();
		number = 0;
	} else if (status >> 16) {
		number = 0; /* a new process, an execve(2) */
	} else if (number == SIGSTOP) {
		if (pid != world.command && ++world.made == world.who)
			world.target = pid;
		number = 0;
	} else if (number == SIGTRAP) {
		number = 0;
	}
	ptrace(next_request(pid), pid, 0, number);
}

static pid_t start(char **command)
{
	const pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
		fatal("PTRACE_TRACEME");
	raise(SIGSTOP);
	execvp(command[0], command);
	fatal(command[0]);
	return -1;
}

/* The command as the child of a process that only waits, as an engine's shim does. */
static pid_t start_below_shim(char **command)
{
	int ends[2];
	pid_t pid = 0;

	if (pipe2(ends, 02000000) < 0)
		fatal("pipe2");
	world.shim = fork();
	if (world.shim == 0) {
		pid = fork();
		if (pid == 0) {
			raise(SIGSTOP);
			execvp(command[0], command);
			fatal(command[0]);
		}
		if (write(ends[1], &pid, sizeof(pid)) < 0)
			fatal("write");
		for (;;)
			pause();
	}
	if (read(ends[0], &pid, sizeof(pid)) != sizeof(pid))
		fatal("read");
	return pid;
}

int main(int count, char **arguments)
{
	const long options = PTRACE_O_TRACESYSGOOD | MADE | PTRACE_O_TRACEEXEC;
	int status;

	if (count < 5)
		return 99;
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* the shim's child becomes ours when it ends */
	world.who = atoi(arguments[1]);
	world.call = atoi(arguments[2]);
	world.what = arguments[3];
	if (strncmp(world.what, "list:", 5) == 0)
		world.list = fopen(world.what + 5, "we");
	if (strcmp(world.what, "kill-parent") == 0) {
		world.command = start_below_shim(arguments + 4);
		do
			usleep(200);
		while (ptrace(PTRACE_ATTACH, world.command, 0, 0) < 0);
		kill(world.command, SIGCONT);
	} else {
		world.command = start(arguments + 4);
	}
	if (waitpid(world.command, &status, __WALL) < 0 || ptrace(PTRACE_SETOPTIONS, world.command, 0, options) < 0)
		fatal("waitpid");
	if (world.who == 0)
		world.target = world.command;
	ptrace(next_request(world.command), world.command, 0, 0);
	for (;;) {
		const pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0)
			fatal("waitpid");
		if (WIFSTOPPED(status))
			at_stop(pid, status);
		else if (pid == world.command)
			break;
	}
	if (world.shim)
		kill(world.shim, SIGKILL);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
