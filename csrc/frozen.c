/*
 * Our tables of frozen modules in place of CPython's (Python/frozen.c, and deepfreeze.c, which it would bring along):
 * with a static libpython the linker finds these symbols first.  With a shared one, only the modules are added.
 */
#include "frozen.h"

#ifdef WITH_IMAGE
struct _module_alias {
	const char *name;
	const char *origin;
};

static const struct _frozen nothing[] = {{0}};
static const struct _module_alias no_aliases[] = {{0}};

const struct _frozen *_PyImport_FrozenBootstrap = frozen_bootstrap;
const struct _frozen *_PyImport_FrozenStdlib = nothing;
const struct _frozen *_PyImport_FrozenTest = nothing;
const struct _module_alias *_PyImport_FrozenAliases = no_aliases;
const struct _frozen *PyImport_FrozenModules = frozen_modules;

/* Declared nowhere; pylifecycle.c calls them. */
int _Py_Deepfreeze_Init(void);
void _Py_Deepfreeze_Fini(void);

int _Py_Deepfreeze_Init(void)
{
	return 0;
}

void _Py_Deepfreeze_Fini(void)
{
}
#endif
