/*
 * libFuzzer on what csrc/helper.c is given by others: addresses, and messages with descriptors.
 *
 * The first byte chooses; no call may leave a descriptor open that it did not return, or write beyond its buffer.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../csrc/helper.h"

enum { MOST = 8, CAPACITY = 64 };

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lowest free descriptor: the same before and after when nothing was left open. */
static int lowest_free(void)
{
	const int found = dup(0);

	close(found);
	return found;
}

/* One byte says how many descriptors the message carries, and what kind its ancillary data says it is. */
static void receive(const uint8_t *data, size_t size)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MOST * sizeof(int))];
	} control = {.bytes = {0}};
	const int descriptors = size > 0 ? data[0] % (MOST + 1) : 0;
	struct iovec vector = {.iov_base = (void *)(uintptr_t)(data + (size > 0)), .iov_len = size - (size > 0)};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	int pair[2];
	char *room = malloc(CAPACITY);

	assert(pyrunc_socketpair(size > 0 && data[0] >= 128 ? SOCK_DGRAM : SOCK_STREAM, pair) == 0);
	if (descriptors > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(descriptors * sizeof(int));
		memset(CMSG_DATA(&control.header), 0, descriptors * sizeof(int)); /* stdin, several times */
	}
	if (sendmsg(pair[0], &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		close(pair[0]); /* an empty message of a stream is none: then there is the end */
		const int64_t got = pyrunc_receive_descriptor(pair[1], room, CAPACITY);

		assert(got < 0 || descriptors == 1);
		if (got >= 0)
			close((int)got);
	} else {
		close(pair[0]);
	}
	close(pair[1]);
	free(room);
}

/* A path of the fuzzer's, always below our own directory. */
static char *path_of(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 3);

	memcpy(path, "./", 2);
	memcpy(path + 2, data, size);
	path[size + 2] = '\0';
	for (char *dots = strstr(path, ".."); dots; dots = strstr(path, ".."))
		dots[1] = '_';
	return path;
}

static void by_path(int64_t (*function)(const char *), const uint8_t *data, size_t size)
{
	char *path = path_of(data, size);
	const int64_t got = function(path);

	if (got >= 0)
		close((int)got);
	unlink(path);
	free(path);
}

static void by_address(const uint8_t *data, size_t size)
{
	char *address = malloc(size);

	memcpy(address, data, size);
	if (size > 0 && address[0] == '/')
		address[0] = '.';
	const int64_t got = pyrunc_connect_datagrams(address, size);

	if (got >= 0)
		close((int)got);
	free(address);
}

static void by_openat2(const uint8_t *data, size_t size)
{
	char *path = path_of(data, size);
	const int64_t got = pyrunc_openat2(-100, path, 0, 0, 0x10); /* AT_FDCWD, O_RDONLY, RESOLVE_IN_ROOT */

	if (got >= 0)
		close((int)got);
	free(path);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	static char directory[] = "/tmp/pyrunc-fuzz-XXXXXX";

	(void)count;
	(void)arguments;
	if (!getenv("FUZZ_DIRECTORY") && !mkdtemp(directory))
		return 1;
	return chdir(getenv("FUZZ_DIRECTORY") ? getenv("FUZZ_DIRECTORY") : directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int before = lowest_free();

	if (size == 0)
		return 0;
	switch (data[0] % 5) {
	case 0:
		receive(data + 1, size - 1);
		break;
	case 1:
		by_path(pyrunc_connect_unix, data + 1, size - 1);
		break;
	case 2:
		by_path(pyrunc_bind_datagrams, data + 1, size - 1);
		break;
	case 3:
		by_address(data + 1, size - 1);
		break;
	default:
		by_openat2(data + 1, size - 1);
	}
	if (lowest_free() != before) {
		fprintf(stderr, "fuzz_helper: a descriptor was left open\n");
		abort();
	}
	return 0;
}
