/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test includes. */
#ifndef GVM_UNIT_TEST_H
#define GVM_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../master_core/logic_core.h"

/* splitmix64, for tests that want the same numbers every time. */
static inline u64 test_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

#endif
