// SPDX-License-Identifier: GPL-2.0-or-later
#include "parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

/* Digits only: strtoull would take signs and blanks. */
static int parse_digits(const char *s, char **end, u64 *out)
{
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	*out = strtoull(s, end, 10);
	return errno ? -ERANGE : 0;
}

int gvm_parse_number(const char *s, u64 min, u64 max, u64 *out)
{
	char *end;
	u64 v;
	int err = parse_digits(s, &end, &v);

	if (err)
		return err;
	if (*end)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

static int suffix_shift(const char *s)
{
	static const char suffixes[] = "KMGT";
	const char *p;

	if (!*s)
		return 0;
	p = strchr(suffixes, toupper((unsigned char)*s));
	if (!p || s[1])
		return -EINVAL;
	return 10 * (int)(p - suffixes + 1);
}

int gvm_parse_size(const char *s, u64 *out)
{
	char *end;
	u64 v;
	int err = parse_digits(s, &end, &v);
	int shift;

	if (err)
		return err;
	shift = suffix_shift(end);
	if (shift < 0)
		return shift;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*out = v << shift;
	return 0;
}

int gvm_parse_ip(const char *s, u32 *ip)
{
	struct in_addr a;

	if (inet_pton(AF_INET, s, &a) != 1)
		return -EINVAL;
	*ip = a.s_addr;
	return 0;
}

int gvm_parse_endpoint(const char *s, u32 *ip, u16 *port)
{
	const char *colon = strchr(s, ':');
	char host[INET_ADDRSTRLEN];
	u64 p;
	int err;

	if (!colon || (size_t)(colon - s) >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, (size_t)(colon - s));
	host[colon - s] = '\0';
	err = gvm_parse_ip(host, ip);
	if (!err)
		err = gvm_parse_number(colon + 1, 1, 65535, &p);
	if (err)
		return err;
	*port = htons((u16)p);
	return 0;
}

bool gvm_ip_is_loopback(u32 ip)
{
	return ntohl(ip) >> 24 == 127;
}
