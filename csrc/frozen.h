/* The tables that csrc/freeze.py writes. */
#ifndef PYRUNC_FROZEN_H
#define PYRUNC_FROZEN_H

#include <Python.h>

extern const struct _frozen frozen_bootstrap[];
extern const struct _frozen frozen_modules[];

#endif
