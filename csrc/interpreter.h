/* The interpreter of the launcher (interpreter.c), and leaving it. */
#ifndef PYRUNC_INTERPRETER_H
#define PYRUNC_INTERPRETER_H

/* What is built in and what is frozen can be imported from here on; what cannot be started ends the process. */
void interpreter_start(void);

/* The interpreter has one thread, and is told which. */
void interpreter_set_thread(unsigned long thread, unsigned long native);

/* At once: nothing is flushed, freed or registered for exit. */
_Noreturn void leave(int status);

/* One line on stderr, exit 1. */
_Noreturn void give_up(const char *doing, const char *why);

#endif
