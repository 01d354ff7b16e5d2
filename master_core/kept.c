// SPDX-License-Identifier: GPL-2.0-or-later
#include "kept.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TITLE "giantvm-kept 1"

static int fail(char *error, int err, const char *path, const char *what)
{
	snprintf(error, GVM_KEPT_ERROR_MAX, "%s: %s: %s", path, what, strerror(-err));
	return err;
}

static int write_text(int fd, const struct gvm_kept *k)
{
	FILE *f = fdopen(fd, "w");
	int err;
	u32 i;

	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	fprintf(f, TITLE "\nvm %u\nnode %u\nram_pages %" PRIu64 "\n", k->vm_id, k->node_id,
		k->ram_pages);
	fprintf(f, "epoch %u\nstripe_shift %u\nmembers %u\n", k->epoch, k->stripe_shift,
		k->nmembers);
	for (i = 0; i < k->nmembers; i++)
		fprintf(f, "member %u %u %" PRIx64 "\n", k->members[i].id, k->members[i].weight,
			k->members[i].boot_id);
	fputs("end\n", f);
	err = fflush(f) || ferror(f) || fsync(fd) ? -EIO : 0;
	return fclose(f) && !err ? -EIO : err;
}

int gvm_kept_save(const char *path, const struct gvm_kept *k, char *error)
{
	char temp[4096];
	int fd, err;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
		return fail(error, -ENAMETOOLONG, path, "cannot write it");
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = fd < 0 ? -errno : write_text(fd, k);
	if (!err && rename(temp, path))
		err = -errno;
	if (!err)
		return 0;
	if (fd >= 0)
		unlink(temp);
	return fail(error, err, path, "cannot write it");
}

static int read_head(FILE *f, struct gvm_kept *k)
{
	char title[32];

	if (!fgets(title, sizeof(title), f) || strcmp(title, TITLE "\n"))
		return -EINVAL;
	if (fscanf(f, " vm %" SCNu32 " node %" SCNu32 " ram_pages %" SCNu64, &k->vm_id, &k->node_id,
		   &k->ram_pages) != 3 ||
	    fscanf(f, " epoch %" SCNu32 " stripe_shift %" SCNu32 " members %" SCNu32, &k->epoch,
		   &k->stripe_shift, &k->nmembers) != 3)
		return -EINVAL;
	return k->nmembers && k->nmembers <= GVM_MAX_SLAVES && k->ram_pages ? 0 : -EINVAL;
}

static int read_members(FILE *f, struct gvm_kept *k)
{
	char end[8];
	u32 i;

	k->members = calloc(k->nmembers, sizeof(*k->members));
	if (!k->members)
		return -ENOMEM;
	for (i = 0; i < k->nmembers; i++) {
		struct gvm_member *m = &k->members[i];

		if (fscanf(f, " member %" SCNu32 " %" SCNu32 " %" SCNx64, &m->id, &m->weight,
			   &m->boot_id) != 3)
			return -EINVAL;
	}
	return fscanf(f, " %7s", end) == 1 && !strcmp(end, "end") ? 0 : -EINVAL;
}

int gvm_kept_load(const char *path, struct gvm_kept *k, char *error)
{
	FILE *f = fopen(path, "re");
	int err;

	memset(k, 0, sizeof(*k));
	if (!f)
		return fail(error, -errno, path, "no VM was kept here");
	err = read_head(f, k);
	if (!err)
		err = read_members(f, k);
	fclose(f);
	if (!err)
		return 0;
	gvm_kept_free(k);
	return fail(error, err, path, "not what a stopped master leaves");
}

void gvm_kept_free(struct gvm_kept *k)
{
	free(k->members);
	memset(k, 0, sizeof(*k));
}
