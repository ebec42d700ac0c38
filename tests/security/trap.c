/* A library that someone wants us to load.  TRAPPED is the file that says so; the constructor runs before main. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void sprung(void)
{
	int file = open(TRAPPED, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (write(file, NAME "\n", strlen(NAME "\n")) < 0)
		_exit(67);
	_exit(66);
}
