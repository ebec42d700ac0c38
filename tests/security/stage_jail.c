/*
 * The real stage under a seccomp filter that allows it nothing but its own calls.
 *
 * usage: stage_jail STAGE
 * stdin: programs, each {u32 length, bytes}; what follows a program in its bytes are answers to its sync points.
 * stdout, for each: {i32 wait status, u32 length, what the stage wrote to its socket}
 *
 * In the jail a system call with a number of 600 + n (none of that range exists) returns -n, at no risk; every other
 * call that the stage does not make for itself is ENOSYS.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKET = 3, STAGE = 900, PRETENDED = 600, LARGEST_ERRNO = 4095, ROOM = 1 << 20 };

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
/* the call, if its argument is what the stage gives; else it goes on to the next rule */
#define ALLOW_WITH(call, argument, value)                                                                              \
	LOAD(nr), IS(call, 0, 3), LOAD(args[argument]), IS(value, 0, 1), RETURN(SECCOMP_RET_ALLOW)

static void fatal(const char *what)
{
	fprintf(stderr, "stage_jail: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void enter_jail(void)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		IS(THIS_ARCHITECTURE, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		ALLOW_WITH(__NR_execveat, 0, STAGE), /* close-on-exec: it works once */
		ALLOW_WITH(__NR_read, 0, SOCKET),
		ALLOW_WITH(__NR_sendto, 0, SOCKET),
		ALLOW_WITH(__NR_mmap, 3, MAP_PRIVATE | MAP_ANONYMOUS),
		ALLOW_WITH(__NR_mprotect, 2, PROT_READ),
		ALLOW_WITH(__NR_madvise, 2, MADV_DONTNEED),
		LOAD(nr),
		IS(__NR_exit_group, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, PRETENDED, 0, 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, PRETENDED + LARGEST_ERRNO, 3, 0),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, PRETENDED),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_A, 0),
		RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		fatal("seccomp");
}

static void become_stage(int socket)
{
	char *const arguments[] = {"stage", NULL}, *const environment[] = {NULL};

	if ((socket == SOCKET ? fcntl(socket, F_SETFD, 0) : dup2(socket, SOCKET)) < 0)
		fatal("dup2");
	enter_jail();
	syscall(__NR_execveat, STAGE, "", arguments, environment, AT_EMPTY_PATH);
	_exit(98);
}

/* The stage copied to a sealed memfd, as process/spawn.py does it, at descriptor STAGE. */
static void load_stage(const char *path)
{
	static char image[65536];
	const int file = open(path, O_RDONLY | O_CLOEXEC),
		  memory = memfd_create("stage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const ssize_t size = read(file, image, sizeof(image));

	if (size <= 0 || write(memory, image, (size_t)size) != size)
		fatal(path);
	if (fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		fatal("seal");
	if (dup3(memory, STAGE, O_CLOEXEC) < 0)
		fatal("dup3");
	close(memory);
	close(file);
}

static uint32_t collect(int socket, uint8_t *heard)
{
	uint32_t length = 0;
	ssize_t got;

	while (length < ROOM && (got = read(socket, heard + length, ROOM - length)) > 0)
		length += (uint32_t)got;
	return length;
}

static void run(const uint8_t *program, uint32_t length, int pair[2])
{
	static uint8_t heard[ROOM];
	int32_t status;
	const pid_t pid = fork();

	if (pid < 0)
		fatal("fork");
	if (pid == 0)
		become_stage(pair[1]);
	close(pair[1]);
	if (write(pair[0], program, length) < 0 && errno != EPIPE && errno != ECONNRESET)
		fatal("write");
	shutdown(pair[0], SHUT_WR);
	const uint32_t count = collect(pair[0], heard);
	close(pair[0]);
	if (waitpid(pid, &status, 0) != pid)
		fatal("waitpid");
	fwrite(&status, sizeof(status), 1, stdout);
	fwrite(&count, sizeof(count), 1, stdout);
	fwrite(heard, 1, count, stdout);
}

int main(int argc, char **argv)
{
	uint32_t length;

	if (argc != 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	load_stage(argv[1]);
	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		uint8_t *program = malloc(length);
		int pair[2];

		if (fread(program, 1, length, stdin) != length ||
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return 2;
		run(program, length, pair);
		free(program);
	}
	return 0;
}
