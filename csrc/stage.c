/*
 * The stage: the only thing of pyrunc that enters a container.
 *
 * It reads a program (runtime/pyrunc/program/encode.py says how it looks) from its socket, descriptor 3, checks
 * every number in it, and runs it: system calls, and the few things that connect them.  It decides nothing, parses
 * no string, knows no path.  No libc, no heap, no global that can be written: all state is one anonymous mapping and
 * the stack.
 *
 *     stage -> parent   {u32 operation, i32 value}      value >= 0: a sync point; < 0: it failed with that -errno
 *     parent -> stage   {u32 length, u32 zero} payload  the answer to a sync point
 *
 * An operation is told by its index in the low 16 bits and, where operations are run for each row of a table, the
 * number of the row above it, from 1.
 *
 * End: execve(2) by the program; 0 after its last operation; 1 after a failure, or when the parent is gone.
 *
 * The program may fork (clone(2) with a zero in the child, and a jump), but not with CLONE_VM: both would run on this
 * stack and in these registers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/errno.h>
#include <linux/mman.h>

#include "operation.h"
#include "stage_arch.h"

enum { MAX_OPERATIONS = NEXT - 1, MAX_DATA = 16 << 20, MAX_ERRNO = 4095 };
enum { SOCKET = 3 };
enum { MSG_NOSIGNAL = 0x4000 }; /* <linux/socket.h> does not export it */
#define NO_OPERATION 0xFFFFFFFFU

struct message {
	uint32_t operation;
	int32_t value;
};

struct answer {
	uint32_t length;
	uint32_t zero;
};

/* The mapping: operations, relocations | (a page boundary; from here on writable) registers, data. */
struct machine {
	const struct operation *operations;
	uint64_t *registers;
	uint8_t *data;
	uint32_t count;
	uint32_t size; /* of data */
	uint32_t row;  /* of an EACH: how many have been taken */
	int report;    /* the descriptor for failures */
};

/* -- talking to the parent ---------------------------------------------------------------------------------------- */

static _Noreturn void leave(int status)
{
	for (;;)
		system_call(__NR_exit_group, (unsigned long)status, 0, 0, 0, 0, 0);
}

/* Whatever goes wrong on the socket, there is nobody left to tell: the parent is gone. */
static void read_exactly(void *buffer, size_t size)
{
	uint8_t *position = buffer;

	while (size > 0) {
		const long got = system_call(__NR_read, SOCKET, (unsigned long)position, size, 0, 0, 0);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			leave(1);
		position += got;
		size -= (size_t)got;
	}
}

/* send(2) on the socket, because a write(2) to a parent that is gone would be SIGPIPE instead of EPIPE. */
static long tell(int descriptor, uint32_t operation, int32_t value)
{
	const struct message message = {operation, value};
	const unsigned long address = (unsigned long)&message;

	if (descriptor == SOCKET)
		return system_call(__NR_sendto, SOCKET, address, sizeof(message), MSG_NOSIGNAL, 0, 0);
	return system_call(__NR_write, (unsigned long)descriptor, address, sizeof(message), 0, 0, 0);
}

static _Noreturn void fail(int descriptor, uint32_t operation, int error)
{
	tell(descriptor, operation, -error);
	leave(1);
}

static _Noreturn void refuse(int error)
{
	fail(SOCKET, NO_OPERATION, error);
}

/* -- checking ----------------------------------------------------------------------------------------------------- */

/* A pointer argument: the offset in its low half, the extent in its high half. */
static uint32_t offset_of(uint64_t argument)
{
	return (uint32_t)argument;
}

static uint32_t extent_of(uint64_t argument)
{
	return (uint32_t)(argument >> 32);
}

static bool is_inside(uint64_t offset, uint64_t extent, uint32_t size)
{
	return offset + extent <= size; /* both came from 32 bits: the sum cannot wrap */
}

static bool argument_is_sound(uint8_t kind, uint64_t argument, uint32_t size)
{
	switch (kind) {
	case IMMEDIATE:
		return true;
	case POINTER:
		return is_inside(offset_of(argument), extent_of(argument), size);
	case REGISTER:
		return argument < MAX_REGISTERS;
	default:
		return false;
	}
}

static bool is_errno(uint16_t number)
{
	return number >= 1 && number <= MAX_ERRNO;
}

static bool check_is_sound(const struct operation *operation)
{
	const uint32_t width = extent_of(operation->arguments[0]);

	if (operation->kinds[0] != POINTER || operation->kinds[1] != IMMEDIATE)
		return false;
	if (width != 1 && width != 2 && width != 4 && width != 8)
		return false;
	if (operation->kinds[2] == POINTER && extent_of(operation->arguments[2]) != width)
		return false;
	return operation->target != NEXT || operation->number <= MAX_ERRNO;
}

/* As many rows as it says, in registers that there are. */
static bool table_is_sound(const struct operation *operation)
{
	const uint64_t words = operation->arguments[1], rows = operation->arguments[2];

	if (operation->kinds[0] != POINTER || operation->kinds[1] != IMMEDIATE || operation->kinds[2] != IMMEDIATE)
		return false;
	if (words < 1 || words > MAX_REGISTERS || operation->into > MAX_REGISTERS - words || rows > MAX_ROWS)
		return false;
	return offset_of(operation->arguments[0]) % sizeof(uint64_t) == 0 &&
	       extent_of(operation->arguments[0]) == rows * words * sizeof(uint64_t);
}

/* There is one count of rows, so no loop in a loop; and what is run again must not be forgotten at a sync point. */
static bool body_is_sound(const struct machine *machine, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++)
		if (machine->operations[i].kind == EACH || machine->operations[i].kind == SYNC)
			return false;
	return true;
}

static bool target_is_sound(const struct machine *machine, const struct operation *operation, uint32_t index)
{
	if (operation->kind == EACH)
		return operation->target <= index && body_is_sound(machine, operation->target, index);
	return operation->target == NEXT || (operation->target > index && operation->target <= machine->count);
}

/* What each kind demands of its arguments; only a system call takes pointers anywhere. */
static bool shape_is_sound(const struct operation *operation)
{
	const uint8_t *kinds = operation->kinds;

	switch (operation->kind) {
	case CALL:
		return true;
	case CHECK:
		return check_is_sound(operation);
	case SET:
		return operation->into != NO_REGISTER && kinds[0] != POINTER;
	case JUMP:
		return kinds[0] != POINTER && kinds[1] != POINTER;
	case SYNC:
		return kinds[0] != POINTER && kinds[1] != REGISTER;
	case REPORT:
		return kinds[0] != POINTER;
	case EACH:
		return table_is_sound(operation);
	default:
		return false;
	}
}

static bool operation_is_sound(const struct machine *machine, uint32_t index)
{
	const struct operation *operation = &machine->operations[index];

	if (operation->into != NO_REGISTER && operation->into >= MAX_REGISTERS)
		return false;
	if (!target_is_sound(machine, operation, index))
		return false;
	if (operation->tolerated_count > MAX_TOLERATED)
		return false;
	for (int i = 0; i < operation->tolerated_count; i++)
		if (!is_errno(operation->tolerated[i]))
			return false;
	for (int i = 0; i < MAX_ARGUMENTS; i++)
		if (!argument_is_sound(operation->kinds[i], operation->arguments[i], machine->size))
			return false;
	return shape_is_sound(operation);
}

static bool header_is_sound(const struct header *header)
{
	return header->magic == MAGIC && header->operations <= MAX_OPERATIONS && header->size <= MAX_DATA &&
	       header->relocations <= header->size / sizeof(uint64_t) &&
	       (header->zero[0] | header->zero[1] | header->zero[2]) == 0;
}

/* -- loading ------------------------------------------------------------------------------------------------------ */

/* Words are aligned, so two never overlap; one that is named twice is an address the second time, and refused. */
static void relocate(const struct machine *machine, const uint32_t *words, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (words[i] % sizeof(uint64_t) != 0 || !is_inside(words[i], sizeof(uint64_t), machine->size))
			refuse(EPROTO);

		uint64_t *const word = (uint64_t *)(machine->data + words[i]);

		if (*word >= machine->size)
			refuse(EPROTO);
		*word += (uint64_t)machine->data;
	}
}

static void load(struct machine *machine)
{
	struct header header;

	read_exactly(&header, sizeof(header));
	if (!header_is_sound(&header))
		refuse(EPROTO);

	const size_t operations = header.operations * sizeof(struct operation);
	const size_t relocations = header.relocations * sizeof(uint32_t);
	const size_t fixed = (operations + relocations + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	const size_t registers = MAX_REGISTERS * sizeof(uint64_t);
	const long mapping = system_call(__NR_mmap, 0, fixed + registers + header.size, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0);

	if (mapping < 0 && mapping >= -MAX_ERRNO)
		refuse((int)-mapping);

	uint8_t *const base = (uint8_t *)mapping;

	machine->operations = (const struct operation *)base;
	machine->registers = (uint64_t *)(base + fixed);
	machine->data = base + fixed + registers;
	machine->count = header.operations;
	machine->size = header.size;
	machine->row = 0;
	machine->report = SOCKET;

	read_exactly(base, operations + relocations);
	read_exactly(machine->data, header.size);
	for (uint32_t i = 0; i < machine->count; i++)
		if (!operation_is_sound(machine, i))
			refuse(EPROTO);
	relocate(machine, (const uint32_t *)(base + operations), header.relocations);
	/* What has been checked stays as it was, whatever a system call of the program writes. */
	if (fixed > 0 && system_call(__NR_mprotect, (unsigned long)base, fixed, PROT_READ, 0, 0, 0) < 0)
		refuse(EPROTO);
}

/* -- running: each function returns the index of the operation that comes next -------------------------------------- */

static uint64_t resolve(const struct machine *machine, const struct operation *operation, int i)
{
	const uint64_t argument = operation->arguments[i];

	switch (operation->kinds[i]) {
	case POINTER:
		return (uint64_t)(machine->data + offset_of(argument));
	case REGISTER:
		return machine->registers[argument];
	default:
		return argument;
	}
}

static uint32_t destination(const struct operation *operation, uint32_t index)
{
	return operation->target == NEXT ? index + 1 : operation->target;
}

/* How the parent is told of an operation. */
static uint32_t name_of(const struct machine *machine, uint32_t index)
{
	return index | machine->row << 16;
}

static bool is_tolerated(const struct operation *operation, long error)
{
	for (int i = 0; i < operation->tolerated_count; i++)
		if (operation->tolerated[i] == error)
			return true;
	return false;
}

static uint32_t run_call(const struct machine *machine, const struct operation *operation, uint32_t index)
{
	uint64_t a[MAX_ARGUMENTS];

	for (int i = 0; i < MAX_ARGUMENTS; i++)
		a[i] = resolve(machine, operation, i);

	long result = -EAGAIN;

	for (int tries = operation->negated; tries >= 0 && result == -EAGAIN; tries--)
		result = system_call(operation->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (result < 0 && result >= -MAX_ERRNO) {
		if (!is_tolerated(operation, -result))
			fail(machine->report, name_of(machine, index), (int)-result);
		return destination(operation, index);
	}
	if (operation->into != NO_REGISTER)
		machine->registers[operation->into] = (uint64_t)result;
	return index + 1;
}

/* Byte by byte: fields of structures need not be aligned in the data block. */
static uint64_t load_integer(const struct machine *machine, uint64_t pointer)
{
	const uint8_t *bytes = machine->data + offset_of(pointer);
	uint64_t value = 0;

	for (uint32_t i = 0; i < extent_of(pointer); i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

static uint32_t run_check(const struct machine *machine, const struct operation *operation, uint32_t index)
{
	const uint64_t mask = operation->arguments[1];
	const uint64_t found = load_integer(machine, operation->arguments[0]) & mask;
	const uint64_t expected = operation->kinds[2] == POINTER ? load_integer(machine, operation->arguments[2]) & mask
								 : resolve(machine, operation, 2);

	if ((found == expected) != (operation->negated != 0))
		return index + 1;
	if (operation->target != NEXT)
		return operation->target;
	/* Without an errno of its own the check reports what it found: how a hook ended is a wait status, not an errno. */
	const int what = operation->number != 0 ? operation->number : (int)(found & 0xFFFF);

	/* 0 would read as a sync point */
	fail(machine->report, name_of(machine, index), what != 0 ? what : EPROTO);
}

static uint32_t run_jump(const struct machine *machine, const struct operation *operation, uint32_t index)
{
	const bool equal = resolve(machine, operation, 0) == resolve(machine, operation, 1);

	return equal != (operation->negated != 0) ? destination(operation, index) : index + 1;
}

/* The next row into the registers, and back; after the last one, on.  A program ends: every row is taken once. */
static uint32_t run_each(struct machine *machine, const struct operation *operation, uint32_t index)
{
	const uint64_t words = operation->arguments[1];
	const uint64_t *table = (const uint64_t *)(machine->data + offset_of(operation->arguments[0]));

	if (machine->row >= operation->arguments[2]) {
		machine->row = 0;
		return index + 1;
	}
	for (uint64_t i = 0; i < words; i++)
		machine->registers[operation->into + i] = table[machine->row * words + i];
	machine->row++;
	return operation->target;
}

/* Nothing goes back over a sync point: what stands before it never runs again, and a container may wait for days. */
static void forget_before(const struct machine *machine, uint32_t index)
{
	const size_t size = index * sizeof(struct operation) & ~(PAGE_SIZE - 1);

	if (size > 0)
		system_call(__NR_madvise, (unsigned long)machine->operations, size, MADV_DONTNEED, 0, 0, 0);
}

static uint32_t run_sync(const struct machine *machine, const struct operation *operation, uint32_t index)
{
	const int32_t value = (int32_t)(resolve(machine, operation, 0) & INT32_MAX);
	const uint32_t room = operation->kinds[1] == POINTER ? extent_of(operation->arguments[1]) : 0;
	struct answer answer;

	if (tell(SOCKET, index, value) != sizeof(struct message))
		leave(1);
	forget_before(machine, index);
	read_exactly(&answer, sizeof(answer));
	if (answer.length > room || answer.zero != 0)
		leave(1);
	if (answer.length > 0)
		read_exactly(machine->data + offset_of(operation->arguments[1]), answer.length);
	return index + 1;
}

static uint32_t run_one(struct machine *machine, uint32_t index)
{
	const struct operation *operation = &machine->operations[index];

	switch (operation->kind) {
	case CALL:
		return run_call(machine, operation, index);
	case CHECK:
		return run_check(machine, operation, index);
	case SET:
		machine->registers[operation->into] = resolve(machine, operation, 0);
		return index + 1;
	case JUMP:
		return run_jump(machine, operation, index);
	case SYNC:
		return run_sync(machine, operation, index);
	case EACH:
		return run_each(machine, operation, index);
	default: /* REPORT: operation_is_sound() let no other kind through */
		machine->report = (int)resolve(machine, operation, 0);
		return index + 1;
	}
}

static DECLARES_ENTRY void stage_main(void)
{
	struct machine machine;

	load(&machine);
	for (uint32_t index = 0; index < machine.count;)
		index = run_one(&machine, index);
	leave(0);
}
