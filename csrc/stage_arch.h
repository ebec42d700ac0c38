/*
 * What differs between the two architectures: how a system call is made, where a program begins, the size of a page, and
 * the numbers of the few calls the stage makes for itself.  No libc header: <asm/unistd.h> is the kernel's own.
 *
 * tests/security/stage_harness.c puts its own system_call() in the place of this file, by its include guard.
 */
#ifndef PYRUNC_STAGE_ARCH_H
#define PYRUNC_STAGE_ARCH_H

#include <asm/unistd.h>

#define DECLARES_ENTRY __attribute__((noreturn, used))

#if defined(__x86_64__)

#define PAGE_SIZE 4096UL

static long system_call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
			unsigned long e, unsigned long f)
{
	register unsigned long r10 __asm__("r10") = d;
	register unsigned long r8 __asm__("r8") = e;
	register unsigned long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* The ABI wants rsp + 8 to be a multiple of 16 in stage_main; a zero rbp ends backtraces. */
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call stage_main\n"
	"	hlt\n");

#elif defined(__aarch64__)

#define PAGE_SIZE 65536UL /* or 4096, or 16384: the largest is right for all */

static long system_call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
			unsigned long e, unsigned long f)
{
	register long x8 __asm__("x8") = number;
	register unsigned long x0 __asm__("x0") = a;
	register unsigned long x1 __asm__("x1") = b;
	register unsigned long x2 __asm__("x2") = c;
	register unsigned long x3 __asm__("x3") = d;
	register unsigned long x4 __asm__("x4") = e;
	register unsigned long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return (long)x0;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, xzr\n"
	"	mov x30, xzr\n"
	"	bl stage_main\n"
	"	brk 0\n");

#else
#error "pyrunc supports x86_64 and aarch64"
#endif

#endif
