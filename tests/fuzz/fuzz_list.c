// SPDX-License-Identifier: GPL-2.0-or-later
/* Gateway lists: accepted ones are sorted, unique and in range; refused ones change nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "../../master_core/gateway_list.h"

#define LIMIT 512

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char good[] = "1 127.0.0.1 9000\n";
	struct gvm_gateway_list list = {0};
	char error[GVM_LIST_ERROR_MAX] = "", *text = malloc(size ? size : 1);
	size_t i;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	if (gvm_gateway_list_parse(&list, good, sizeof(good) - 1, "good", LIMIT, error))
		abort();
	if (gvm_gateway_list_parse(&list, text, size, "input", LIMIT, error)) {
		if (list.count != 1 || list.entries[0].id != 1 || !error[0] ||
		    !memchr(error, 0, sizeof(error)))
			abort();
	}
	for (i = 0; i < list.count; i++)
		if (list.entries[i].id >= LIMIT || !list.entries[i].port ||
		    (i && list.entries[i].id <= list.entries[i - 1].id))
			abort();
	gvm_gateway_list_free(&list);
	free(text);
	return 0;
}
