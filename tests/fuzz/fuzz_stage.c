/* libFuzzer on the stage's reader and interpreter: tests/security/stage_harness.c with its made-up kernel. */
#define main harness_main
#include "../security/stage_harness.c"
#undef main

enum { HARMLESS = 500 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the stage calls for itself would, from a program, change the stage's own world: as it was told to. */
static void tame(uint8_t *bytes, size_t size)
{
	static const uint16_t own[] = {__NR_read,     __NR_write,   __NR_sendto,    __NR_mmap,
				       __NR_mprotect, __NR_madvise, __NR_exit_group};
	const uint16_t harmless = HARMLESS;

	for (size_t at = sizeof(struct header) + 4; at + 2 <= size; at += sizeof(struct operation))
		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			if (memcmp(bytes + at, &own[i], sizeof(own[i])) == 0)
				memcpy(bytes + at, &harmless, sizeof(harmless));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	world.random = 88172645463325252ULL; /* the same input runs the same way */
	world.length = (uint32_t)size;
	world.bytes = malloc(size);
	memcpy(world.bytes, data, size);
	tame(world.bytes, size);
	if (setjmp(world.over) == 0)
		stage_main();
	forget_world();
	free(world.bytes);
	return 0;
}
