/*
 * How libc starts in a static launcher, without asking the processor what it is.
 *
 * glibc's own __libc_start_main executes dozens of CPUIDs, to choose among its memcpys and to size their loops
 * (sysdeps/x86/cpu-features.c).  In a virtual machine each of them is a trip to the hypervisor: 4 to 5 us where this
 * was measured, 0.26 ms a command, more than the interpreter takes to come out of its image (docs/adr/0014).  Here the
 * same is done in the same order except that: what glibc knows of the processor stays zero, and every function of
 * which it has several becomes the one that each x86_64 can run.
 *
 * The names are private to glibc, so this holds for the one release that was read, Debian 12's; with another one the
 * object is empty and the linker takes libc's.  A static-PIE has no interpreter to have done any of this before.
 */
#include <features.h>

#if defined(__x86_64__) && __GLIBC__ == 2 && __GLIBC_MINOR__ == 36

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* Before the relocation nothing may be reached through the table of addresses. */
#pragma GCC visibility push(hidden)

extern void *__libc_stack_end;
extern void *_dl_random; /* AT_RANDOM: 16 bytes */
extern int __libc_enable_secure;

void _dl_aux_init(Elf64_auxv_t *vector);
void __tunables_init(char **environment);
void _dl_relocate_static_pie(void);
void __libc_setup_tls(void);
void __libc_early_init(_Bool initial);
void __libc_init_first(int count, char **arguments, char **environment);
void __libc_check_standard_fds(void);
void _init(void);

typedef void constructor(int count, char **arguments, char **environment);
extern constructor *__preinit_array_start[], *__preinit_array_end[];
extern constructor *__init_array_start[], *__init_array_end[];

/* What glibc would have measured (sysdeps/x86/cacheinfo.h): its own first values, and of those that have none the
 * ones for a last cache of 1 MiB.  Nobody writes them now. */
const long __x86_data_cache_size_half = 16 << 10, __x86_data_cache_size = 32 << 10;
const long __x86_shared_cache_size_half = 512 << 10, __x86_shared_cache_size = 1 << 20;
const long __x86_shared_non_temporal_threshold = 768 << 10, __x86_rep_movsb_stop_threshold = 768 << 10;
const long __x86_rep_movsb_threshold = 2048, __x86_rep_stosb_threshold = 2048;
const int __x86_string_control;

#pragma GCC visibility pop

/* The places in the thread's control block where compiled code looks (x86_64 psABI; sysdeps/x86_64/nptl/tls.h).  The
 * lowest byte of the first is zero, so that no string can carry it over. */
static inline void set_guards(const uintptr_t *random)
{
	const uintptr_t stack = random[0] & ~(uintptr_t)0xff;

	__asm__ volatile("movq %0, %%fs:0x28" : : "r"(stack));
	__asm__ volatile("movq %0, %%fs:0x30" : : "r"(random[1]));
}

static void construct(int count, char **arguments, char **environment)
{
	for (constructor **each = __preinit_array_start; each < __preinit_array_end; each++)
		(*each)(count, arguments, environment);
	_init();
	for (constructor **each = __init_array_start; each < __init_array_end; each++)
		(*each)(count, arguments, environment);
}

typedef int main_function(int count, char **arguments, char **environment);

/* Called by crt1.o's _start.  Without a guard on its own stack: there is none before set_guards.  The launcher leaves
 * by _exit, so nothing is registered for exit; nor is there a debugger's list of libraries to announce. */
__attribute__((no_stack_protector)) _Noreturn void __libc_start_main(main_function *main, int count, char **arguments,
								     void *init, void *fini, void *linker_fini,
								     void *stack_end);

_Noreturn void __libc_start_main(main_function *main, int count, char **arguments, void *init, void *fini,
				 void *linker_fini, void *stack_end)
{
	char **end = arguments + count + 1;

	(void)init;
	(void)fini;
	(void)linker_fini;
	__environ = end;
	__libc_stack_end = stack_end;
	while (*end)
		end++;
	_dl_aux_init((Elf64_auxv_t *)(end + 1));
	__tunables_init(__environ);
	_dl_relocate_static_pie();
	__libc_setup_tls();
	set_guards(_dl_random);
	__libc_early_init(1);
	__libc_init_first(count, arguments, __environ);
	if (__libc_enable_secure)
		__libc_check_standard_fds();
	construct(count, arguments, __environ);
	_exit(main(count, arguments, __environ));
}

#endif
