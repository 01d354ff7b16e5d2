// SPDX-License-Identifier: GPL-2.0-or-later
/* The records of a vCPU's link on the wire. */
#include "vcpu_exit.h"

#define PIO_HEAD    12 /* flags u8, size u8, port u16, count u32, 0 u32 */
#define MMIO_HEAD   12 /* flags u8, length u8, 0 u16, address u64 */
#define ANSWER_HEAD 12 /* of u64, status s32 */
#define PIECE_HEAD  12 /* object u8, 0 u8, 0 u16, length u32, offset u32 */
#define IRQ_BODY    10 /* of u64, vector u16 */
#define TEXT_MAX    1024

static bool access_valid(const struct gvm_record *r)
{
	bool write = r->flags & GVM_ACCESS_WRITE;
	u64 bytes;

	if (r->flags & ~(GVM_ACCESS_WRITE | GVM_ACCESS_POSTED))
		return false;
	if (r->flags & GVM_ACCESS_POSTED && !write)
		return false;
	if (r->type == GVM_REC_MMIO) {
		bytes = r->count;
		if (!bytes || bytes > 8)
			return false;
	} else {
		if ((r->size != 1 && r->size != 2 && r->size != 4) || r->address > 0xffff)
			return false;
		bytes = (u64)r->count * r->size;
		if (!bytes || bytes > GVM_EXIT_DATA_MAX)
			return false;
	}
	return r->len == (write ? bytes : 0);
}

static bool piece_valid(const struct gvm_record *r)
{
	return r->object >= GVM_OBJECT_STATE && r->object <= GVM_OBJECT_MSRS &&
	       r->count <= GVM_OBJECT_MAX && r->offset <= r->count && r->len &&
	       r->len <= GVM_PIECE_MAX && r->len <= r->count - r->offset;
}

static bool vector_valid(const struct gvm_record *r)
{
	switch (r->type) {
	case GVM_REC_IRQ:
		return r->vector <= 255 || r->vector == GVM_EXIT_NO_VECTOR;
	case GVM_REC_TPR:
		return r->vector <= 15;
	default:
		return r->vector <= 255;
	}
}

/* The one judgement, for what goes out and for what came in. */
static bool record_valid(const struct gvm_record *r)
{
	switch (r->type) {
	case GVM_REC_PIO:
	case GVM_REC_MMIO:
		return access_valid(r);
	case GVM_REC_PIECE:
		return piece_valid(r);
	case GVM_REC_ANSWER:
		return r->of && r->status <= 0 && r->len <= GVM_EXIT_DATA_MAX;
	case GVM_REC_DONE:
		return r->of && r->status <= 0 && r->len <= TEXT_MAX;
	case GVM_REC_STOPPED:
		return !r->of && r->status <= 0 && r->len <= TEXT_MAX;
	case GVM_REC_TAKEN:
	case GVM_REC_TPR:
	case GVM_REC_IRQ:
	case GVM_REC_SIPI:
		return vector_valid(r) && !r->len;
	case GVM_REC_HALTED:
	case GVM_REC_NMI:
	case GVM_REC_INIT:
	case GVM_REC_RUN:
	case GVM_REC_STOP:
	case GVM_REC_GET_STATE:
		return !r->len;
	default:
		return false;
	}
}

static u32 head_encode(u8 *buf, const struct gvm_record *r)
{
	switch (r->type) {
	case GVM_REC_PIO:
		buf[0] = r->flags;
		buf[1] = r->size;
		gvm_put_le16(buf + 2, r->address);
		gvm_put_le32(buf + 4, r->count);
		gvm_put_le32(buf + 8, 0);
		return PIO_HEAD;
	case GVM_REC_MMIO:
		buf[0] = r->flags;
		buf[1] = r->count;
		gvm_put_le16(buf + 2, 0);
		gvm_put_le64(buf + 4, r->address);
		return MMIO_HEAD;
	case GVM_REC_PIECE:
		gvm_put_le32(buf, r->object);
		gvm_put_le32(buf + 4, r->count);
		gvm_put_le32(buf + 8, r->offset);
		return PIECE_HEAD;
	case GVM_REC_ANSWER:
	case GVM_REC_DONE:
	case GVM_REC_STOPPED:
		gvm_put_le64(buf, r->of);
		gvm_put_le32(buf + 8, (u32)r->status);
		return ANSWER_HEAD;
	case GVM_REC_IRQ:
		gvm_put_le64(buf, r->of);
		gvm_put_le16(buf + 8, r->vector);
		return IRQ_BODY;
	case GVM_REC_TAKEN:
	case GVM_REC_TPR:
	case GVM_REC_SIPI:
		buf[0] = r->vector;
		return 1;
	default:
		return 0;
	}
}

int gvm_record_encode(u8 *buf, const struct gvm_record *r)
{
	u32 head;

	if (!record_valid(r))
		return -EINVAL;
	head = head_encode(buf, r);
	if (r->len)
		memcpy(buf + head, r->data, r->len);
	return head + r->len;
}

static u32 head_size(u8 type)
{
	switch (type) {
	case GVM_REC_PIO:
		return PIO_HEAD;
	case GVM_REC_MMIO:
		return MMIO_HEAD;
	case GVM_REC_PIECE:
		return PIECE_HEAD;
	case GVM_REC_ANSWER:
	case GVM_REC_DONE:
	case GVM_REC_STOPPED:
		return ANSWER_HEAD;
	case GVM_REC_IRQ:
		return IRQ_BODY;
	case GVM_REC_TAKEN:
	case GVM_REC_TPR:
	case GVM_REC_SIPI:
		return 1;
	default:
		return 0;
	}
}

static bool head_decode(struct gvm_record *r, const u8 *buf)
{
	switch (r->type) {
	case GVM_REC_PIO:
		r->flags = buf[0];
		r->size = buf[1];
		r->address = gvm_get_le16(buf + 2);
		r->count = gvm_get_le32(buf + 4);
		return !gvm_get_le32(buf + 8);
	case GVM_REC_MMIO:
		r->flags = buf[0];
		r->count = buf[1];
		r->address = gvm_get_le64(buf + 4);
		return !gvm_get_le16(buf + 2);
	case GVM_REC_PIECE:
		r->object = buf[0];
		r->count = gvm_get_le32(buf + 4);
		r->offset = gvm_get_le32(buf + 8);
		return !buf[1] && !gvm_get_le16(buf + 2);
	case GVM_REC_ANSWER:
	case GVM_REC_DONE:
	case GVM_REC_STOPPED:
		r->of = gvm_get_le64(buf);
		r->status = (s32)gvm_get_le32(buf + 8);
		return true;
	case GVM_REC_IRQ:
		r->of = gvm_get_le64(buf);
		r->vector = gvm_get_le16(buf + 8);
		return true;
	case GVM_REC_TAKEN:
	case GVM_REC_TPR:
	case GVM_REC_SIPI:
		r->vector = buf[0];
		return true;
	default:
		return true;
	}
}

int gvm_record_decode(struct gvm_record *r, u8 type, const u8 *buf, size_t len)
{
	u32 head = head_size(type);

	memset(r, 0, sizeof(*r));
	r->type = type;
	if (len < head || len > GVM_RECORD_MAX || !head_decode(r, buf))
		return -EBADMSG;
	r->data = buf + head;
	r->len = len - head;
	return record_valid(r) ? 0 : -EBADMSG;
}

u32 gvm_record_answer_len(const struct gvm_record *r)
{
	if (r->flags & GVM_ACCESS_WRITE)
		return 0;
	return r->type == GVM_REC_MMIO ? r->count : r->count * r->size;
}
