// SPDX-License-Identifier: GPL-2.0-or-later
#include "gateway_list.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "parse.h"

#define FILE_BYTES_MAX (64UL << 20)
#define BLANKS	       " \t\r\f\v"
#define FIELD_SHOWN    40

struct reader {
	const char *name;
	unsigned long line;
	u32 id_limit;
	char *error;
	struct gvm_gateway_entry *entries;
	unsigned long *lines; /* where each entry stands, for the error about a second one */
	size_t count, room;
};

static int __attribute__((format(printf, 2, 3))) fail_line(struct reader *r, const char *fmt, ...)
{
	int n = snprintf(r->error, GVM_LIST_ERROR_MAX, "%s:%lu: ", r->name, r->line);
	va_list ap;

	if (n < 0 || n >= GVM_LIST_ERROR_MAX)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(r->error + n, (size_t)(GVM_LIST_ERROR_MAX - n), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int fail_file(const char *name, char *error, int err, const char *what)
{
	snprintf(error, GVM_LIST_ERROR_MAX, "%s: %s", name, what);
	return err;
}

static int grow(struct reader *r)
{
	size_t room = r->room ? r->room * 2 : 64;
	void *entries, *lines;

	if (r->count < r->room)
		return 0;
	entries = realloc(r->entries, room * sizeof(*r->entries));
	if (entries)
		r->entries = entries;
	lines = realloc(r->lines, room * sizeof(*r->lines));
	if (lines)
		r->lines = lines;
	if (!entries || !lines)
		return fail_file(r->name, r->error, -ENOMEM, "not enough memory to read it");
	r->room = room;
	return 0;
}

/* An address that a datagram can be sent to. */
static bool is_unicast(u32 ip)
{
	u32 host = ntohl(ip);

	return host >> 24 != 0 && host >> 28 < 0xe;
}

static int parse_fields(struct reader *r, const char *id, const char *ip, const char *port)
{
	struct gvm_gateway_entry *e;
	u64 id_value, port_value;
	u32 addr;
	int err;

	if (gvm_parse_number(id, 0, r->id_limit - 1, &id_value))
		return fail_line(r, "'%.*s' is not an id from 0 to %u", FIELD_SHOWN, id,
				 r->id_limit - 1);
	if (gvm_parse_ip(ip, &addr) || !is_unicast(addr))
		return fail_line(r, "'%.*s' is not the IPv4 address of a host", FIELD_SHOWN, ip);
	if (gvm_parse_number(port, 1, 65535, &port_value))
		return fail_line(r, "'%.*s' is not a port from 1 to 65535", FIELD_SHOWN, port);
	err = grow(r);
	if (err)
		return err;
	r->lines[r->count] = r->line;
	e = &r->entries[r->count++];
	*e = (struct gvm_gateway_entry){(u32)id_value, addr, htons((u16)port_value)};
	return 0;
}

/* line is terminated and is written to. */
static int parse_line(struct reader *r, char *line, size_t len)
{
	char *field[4], *save, *p;
	size_t n = 0;

	if (memchr(line, '\0', len))
		return fail_line(r, "a zero byte: this is not a text file");
	line[strcspn(line, "#")] = '\0';
	for (p = strtok_r(line, BLANKS, &save); p && n < 4; p = strtok_r(NULL, BLANKS, &save))
		field[n++] = p;
	if (!n)
		return 0;
	if (n != 3)
		return fail_line(r, "expected ID IP PORT, found %s fields",
				 n < 3 ? (n == 1 ? "1 of 3" : "2 of 3") : "more than 3");
	return parse_fields(r, field[0], field[1], field[2]);
}

static int by_id(const void *a, const void *b)
{
	const struct gvm_gateway_entry *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* The first line of the file whose id stands on an earlier line. */
static int find_second(struct reader *r, u32 id)
{
	unsigned long first = 0;

	for (size_t i = 0; i < r->count; i++) {
		if (r->entries[i].id != id)
			continue;
		r->line = r->lines[i];
		if (first)
			break;
		first = r->lines[i];
	}
	return fail_line(r, "id %u stands on line %lu already", id, first);
}

static int sort_unique(struct reader *r)
{
	struct gvm_gateway_entry *sorted = malloc(r->count * sizeof(*sorted));
	int err = 0;

	if (!sorted)
		return fail_file(r->name, r->error, -ENOMEM, "not enough memory to read it");
	memcpy(sorted, r->entries, r->count * sizeof(*sorted));
	qsort(sorted, r->count, sizeof(*sorted), by_id);
	for (size_t i = 1; !err && i < r->count; i++)
		if (sorted[i].id == sorted[i - 1].id)
			err = find_second(r, sorted[i].id);
	if (err) {
		free(sorted);
		return err;
	}
	free(r->entries);
	r->entries = sorted;
	return 0;
}

static int parse_lines(struct reader *r, char *text, size_t len)
{
	int err = 0;

	while (!err && len) {
		char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		text[n] = '\0'; /* the buffer has one byte more than the text */
		r->line++;
		err = parse_line(r, text, n);
		text += n + (end != NULL);
		len -= n + (end != NULL);
	}
	if (!err && !r->count)
		err = fail_file(r->name, r->error, -EINVAL, "holds no ID IP PORT line");
	return err ? err : sort_unique(r);
}

int gvm_gateway_list_parse(struct gvm_gateway_list *list, const char *text, size_t len,
			   const char *name, u32 id_limit, char *error)
{
	struct reader r = {.name = name, .id_limit = id_limit, .error = error};
	char *copy = malloc(len + 1);
	int err;

	if (!copy)
		return fail_file(name, error, -ENOMEM, "not enough memory to read it");
	memcpy(copy, text, len);
	err = parse_lines(&r, copy, len);
	if (!err) {
		gvm_gateway_list_free(list);
		list->entries = r.entries;
		list->count = r.count;
		r.entries = NULL;
	}
	free(r.entries);
	free(r.lines);
	free(copy);
	return err;
}

static int read_all(FILE *f, char **text, size_t *len)
{
	size_t room = 0, n;
	char *bigger;

	do {
		room = room ? room * 2 : 4096;
		bigger = realloc(*text, room);
		if (!bigger)
			return -ENOMEM;
		*text = bigger;
		n = fread(*text + *len, 1, room - *len, f);
		*len += n;
		if (*len > FILE_BYTES_MAX)
			return -EFBIG;
	} while (*len == room);
	return ferror(f) ? -EIO : 0;
}

int gvm_gateway_list_load(struct gvm_gateway_list *list, const char *path, u32 id_limit,
			  char *error)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	int err;

	f = fopen(path, "re");
	if (!f)
		return fail_file(path, error, -errno, strerror(errno));
	errno = 0;
	err = read_all(f, &text, &len);
	if (err == -EIO && errno)
		err = -errno;
	fclose(f);
	if (!err)
		err = gvm_gateway_list_parse(list, text, len, path, id_limit, error);
	else
		fail_file(path, error, err, strerror(-err));
	free(text);
	return err;
}

void gvm_gateway_list_free(struct gvm_gateway_list *list)
{
	free(list->entries);
	list->entries = NULL;
	list->count = 0;
}

const struct gvm_gateway_entry *gvm_gateway_list_find(const struct gvm_gateway_list *list, u32 id)
{
	struct gvm_gateway_entry key = {.id = id};

	if (!list->count)
		return NULL;
	return bsearch(&key, list->entries, list->count, sizeof(key), by_id);
}
