/*
 * The measuring loop: the same steps for every contender, in turn, round after round.
 *
 * usage: rounds SCRIPT ROUNDS WARM-UP ERRORS     one line a sample on stdout:
 *        contender step round wall-us cpu-us peak-KB page-faults
 *
 * SCRIPT has one line a step, words separated by tabs, a '#' in a word becomes an id of this contender and round:
 *        contender NAME          the steps below are this contender's
 *        step LABEL argv...      a command, measured from vfork to wait4
 *        reap LABEL              wait for the orphans that the steps left behind: the container's processes
 *
 * C, because a process started from Python costs a millisecond or two, and its noise.  vfork, because fork would copy
 * page tables on the contender's account.  The kernel hands a peak RSS on through vfork and execve (mm/exec_mmap), so
 * this program is static and small: it is the least that any contender can show.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS 256
#define CONTENDERS 16
#define WORDS 24
#define WORD 512

struct step {
	int contender;
	const char *label;
	char *argv[WORDS]; /* empty: reap */
	int words;
};

static struct step steps[STEPS];
static const char *contenders[CONTENDERS];
static int step_count, contender_count;
static int nowhere, errors;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The text stays in place, cut into words: steps point into it. */
static void read_script(const char *path)
{
	static char text[1 << 18];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (length <= 0 || length == sizeof text - 1)
		fail(path);
	close(fd);
	char *rest = text, *line, *word;
	while ((line = strsep(&rest, "\n"))) {
		const char *kind = strsep(&line, "\t"), *label = strsep(&line, "\t");
		if (!label)
			continue;
		if (!strcmp(kind, "contender")) {
			if (contender_count == CONTENDERS)
				fail("too many contenders");
			contenders[contender_count++] = label;
			continue;
		}
		if (step_count == STEPS || !contender_count)
			fail("script");
		struct step *s = &steps[step_count++];
		s->contender = contender_count - 1;
		s->label = label;
		while ((word = strsep(&line, "\t")) && s->words < WORDS - 1)
			s->argv[s->words++] = word;
	}
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double processor(const struct rusage *used)
{
	return (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1e6 +
	       (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec);
}

static void sample(const struct step *s, int round, double wall, double cpu, long peak, long faults)
{
	if (round >= 0)
		dprintf(1, "%s %s %d %.1f %.0f %ld %ld\n", contenders[s->contender], s->label, round, wall, cpu, peak,
			faults);
}

static void reap(const struct step *s, int round)
{
	double start = now(), cpu = 0;
	long peak = 0, faults = 0;
	struct rusage used;
	while (wait4(-1, NULL, 0, &used) > 0) {
		cpu += processor(&used);
		faults += used.ru_minflt;
		peak = used.ru_maxrss > peak ? used.ru_maxrss : peak;
	}
	sample(s, round, now() - start, cpu, peak, faults);
}

static void command(const struct step *s, int round)
{
	static char words[WORDS][WORD];
	char *argv[WORDS] = {0};
	struct rusage used;
	int status;
	for (int i = 0; i < s->words; i++) {
		const char *mark = strchr(s->argv[i], '#');
		argv[i] = s->argv[i];
		if (!mark)
			continue;
		snprintf(words[i], WORD, "%.*s%s-%d%s", (int)(mark - s->argv[i]), s->argv[i], contenders[s->contender],
			 round + 1000, mark + 1);
		argv[i] = words[i];
	}
	double start = now();
	pid_t pid = vfork();
	if (pid == 0) {
		dup2(nowhere, 0);
		dup2(nowhere, 1);
		dup2(errors, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0)
		fail("vfork");
	while (wait4(pid, &status, 0, &used) < 0)
		if (errno != EINTR)
			fail("wait4");
	double wall = now() - start;
	if (status) {
		dprintf(2, "%s %s: wait status %#x in round %d\n", contenders[s->contender], s->label, status, round);
		exit(1);
	}
	sample(s, round, wall, processor(&used), used.ru_maxrss, used.ru_minflt);
}

static void life(int contender, int round)
{
	for (int i = 0; i < step_count; i++)
		if (steps[i].contender == contender)
			(steps[i].words ? command : reap)(&steps[i], round);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		dprintf(2, "usage: rounds SCRIPT ROUNDS WARM-UP ERRORS\n");
		return 2;
	}
	read_script(argv[1]);
	nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	errors = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (nowhere < 0 || errors < 0)
		fail(argv[4]);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		fail("PR_SET_CHILD_SUBREAPER");
	/* Another one begins each time, and every other round goes backwards: nobody is always behind the same one. */
	for (int round = -atoi(argv[3]), turn = 0; round < atoi(argv[2]); round++, turn++)
		for (int k = 0; k < contender_count; k++)
			life((turn / 2 + (turn % 2 ? contender_count - 1 - k : k)) % contender_count, round);
	return 0;
}
