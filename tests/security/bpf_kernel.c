/*
 * helper.c's BPF_PROG_QUERY on a kernel that has the fault of Linux 6.17 to 7.1: whatever size it is told, it writes
 * query.revision at its place (uapi/linux/bpf.h).  ASan says whose memory that was.  Exit status 1: the size was short.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#define syscall faulty_kernel
#include HELPER
#undef syscall

enum { REVISION = 56, REVISION_SIZE = 8 };

static size_t told;

long faulty_kernel(long number, ...)
{
	va_list arguments;

	(void)number;
	va_start(arguments, number);
	(void)va_arg(arguments, int);
	char *attributes = va_arg(arguments, void *);
	told = va_arg(arguments, size_t);
	va_end(arguments);
	memset(attributes + REVISION, 1, REVISION_SIZE);
	return 0;
}

int main(void)
{
	uint32_t ids[4] = {0};

	pyrunc_query_device_programs(3, ids, 4);
	return told < REVISION + REVISION_SIZE;
}
