/*
 * A program, as csrc/assembler.c writes and csrc/stage.c reads it: header, operations, relocations, data.
 *
 * The same numbers as in runtime/pyrunc/program/operations.py and encode.py; tests/unit/program compares them.
 */
#ifndef PYRUNC_OPERATION_H
#define PYRUNC_OPERATION_H

#include <stdint.h>

enum { CALL = 0, CHECK = 1, SET = 2, JUMP = 3, SYNC = 4, REPORT = 5, EACH = 6 };
enum { IMMEDIATE = 0, POINTER = 1, REGISTER = 2 };
enum { MAX_REGISTERS = 64, MAX_ARGUMENTS = 6, MAX_TOLERATED = 4, MAX_TRIES = 255 };
enum { MAX_ROWS = 0xFFFF }; /* of an EACH: the number of a row stands beside that of an operation */
enum { NEXT = 0xFFFF, NO_REGISTER = 0xFF };
#define MAGIC 0x0031434E55525950ULL /* "PYRUNC1" and a NUL */

struct header {
	uint64_t magic;
	uint32_t operations;
	uint32_t relocations;
	uint32_t size; /* of the data */
	uint32_t zero[3];
};

struct operation {
	uint8_t kind;
	uint8_t into;
	uint8_t tolerated_count;
	uint8_t negated; /* of a CALL: how often it is made again while it says EAGAIN */
	uint16_t number;
	uint16_t target;
	uint8_t kinds[MAX_ARGUMENTS];
	uint8_t padding[2];
	uint16_t tolerated[MAX_TOLERATED];
	uint64_t arguments[MAX_ARGUMENTS];
};

_Static_assert(sizeof(struct header) == 32, "encode.py: HEADER_SIZE");
_Static_assert(sizeof(struct operation) == 72, "encode.py: OPERATION_SIZE");

#endif
