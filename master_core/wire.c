// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wire format, little endian, field by field. Decoders are strict: what a
 * sender of this version would never send is refused here, so that nothing
 * behind them has to ask twice.
 */
#include "../common_include/giantvm_protocol.h"

#define GVM_FLAGS_KNOWN GVM_FLAG_RESP
#define GVM_PF_KNOWN                                                                               \
	(GVM_PF_DATA | GVM_PF_ZERO | GVM_PF_HAVE | GVM_PF_PREFETCH | GVM_PF_URGENT | GVM_PF_WRITTEN)
#define GVM_VM_KNOWN  (GVM_VM_KEEP | GVM_VM_ADOPT | GVM_VM_JOIN)
#define GVM_PAGE_LAST ((1ULL << (64 - GVM_PAGE_SHIFT)) - 1)

static u32 frags_for(u32 length)
{
	return length <= GVM_FRAG_MAX ? 1 : (length + GVM_FRAG_MAX - 1) / GVM_FRAG_MAX;
}

static u32 frag_stride(const struct gvm_header *h)
{
	return ((u32)h->length + h->frag_count - 1) / h->frag_count;
}

void gvm_header_encode(u8 *buf, const struct gvm_header *h)
{
	gvm_put_le32(buf, h->magic);
	gvm_put_le16(buf + 4, h->msg_type);
	buf[6] = h->version;
	buf[7] = h->is_frag;
	gvm_put_le32(buf + 8, h->slave_id);
	gvm_put_le32(buf + 12, h->src_id);
	gvm_put_le64(buf + 16, h->req_id);
	gvm_put_le32(buf + 24, h->vm_id);
	gvm_put_le32(buf + 28, h->epoch);
	gvm_put_le64(buf + 32, h->counter);
	gvm_put_le32(buf + 40, h->frag_seq);
	buf[44] = h->frag_count;
	buf[45] = h->flags;
	gvm_put_le16(buf + 46, h->length);
	memcpy(buf + 48, h->tag, sizeof(h->tag));
}

static void header_read(struct gvm_header *h, const u8 *buf)
{
	h->magic = gvm_get_le32(buf);
	h->msg_type = gvm_get_le16(buf + 4);
	h->version = buf[6];
	h->is_frag = buf[7];
	h->slave_id = gvm_get_le32(buf + 8);
	h->src_id = gvm_get_le32(buf + 12);
	h->req_id = gvm_get_le64(buf + 16);
	h->vm_id = gvm_get_le32(buf + 24);
	h->epoch = gvm_get_le32(buf + 28);
	h->counter = gvm_get_le64(buf + 32);
	h->frag_seq = gvm_get_le32(buf + 40);
	h->frag_count = buf[44];
	h->flags = buf[45];
	h->length = gvm_get_le16(buf + 46);
	memcpy(h->tag, buf + 48, sizeof(h->tag));
}

/*
 * An unfragmented body may be longer than GVM_FRAG_MAX (jumbo frames); a
 * fragmented one is cut in the one way that gvm_wire_build cuts it.
 */
static bool frags_valid(const struct gvm_header *h)
{
	if (h->length > GVM_MSG_MAX || h->frag_count < 1 || h->frag_count > GVM_MAX_FRAGS)
		return false;
	if (h->frag_seq >= h->frag_count || h->is_frag != (h->frag_count > 1))
		return false;
	return !h->is_frag || h->frag_count == frags_for(h->length);
}

/* A seal cannot be checked yet, so nothing that claims or hides one is taken. */
static bool seal_absent(const struct gvm_header *h)
{
	u8 any = 0;
	unsigned int i;

	for (i = 0; i < sizeof(h->tag); i++)
		any |= h->tag[i];
	return !any && h->counter == 0;
}

int gvm_header_decode(struct gvm_header *h, const u8 *buf, size_t len)
{
	if (len < sizeof(u32))
		return -EBADMSG;
	if (gvm_get_le32(buf) != GVM_MAGIC)
		return -EPROTO;
	if (len < GVM_HEADER_SIZE)
		return -EBADMSG;
	if (buf[6] != GVM_VERSION)
		return -EPROTONOSUPPORT;
	header_read(h, buf);
	if (h->msg_type >= MSG_TYPE_COUNT || (h->flags & ~GVM_FLAGS_KNOWN))
		return -EBADMSG;
	if (h->slave_id > GVM_NO_NODE || h->src_id > GVM_NO_NODE)
		return -EBADMSG;
	if (!frags_valid(h) || !seal_absent(h))
		return -EBADMSG;
	return 0;
}

void gvm_page_body_encode(u8 *buf, const struct gvm_page_body *b)
{
	gvm_put_le64(buf, b->page);
	gvm_put_le32(buf + 8, b->version);
	buf[12] = b->mode;
	buf[13] = b->flags;
	gvm_put_le16(buf + 14, (u16)b->status);
	gvm_put_le32(buf + 16, b->aux);
}

static bool mode_valid(u8 mode)
{
	return (mode & GVM_MODE_MASK) <= GVM_MODE_WRITE && mode >> 4 < 1 << GVM_MAX_FRAGS;
}

/*
 * len is that of the whole message's body, which ends with the page's bytes
 * when GVM_PF_DATA is set, or GVM_PAGE_BODY to decode what stands before them.
 */
int gvm_page_body_decode(struct gvm_page_body *b, const u8 *buf, size_t len)
{
	if (len < GVM_PAGE_BODY)
		return -EBADMSG;
	b->page = gvm_get_le64(buf);
	b->version = gvm_get_le32(buf + 8);
	b->mode = buf[12];
	b->flags = buf[13];
	b->status = (s16)gvm_get_le16(buf + 14);
	b->aux = gvm_get_le32(buf + 16);
	if (b->page > GVM_PAGE_LAST || !mode_valid(b->mode) || b->status > 0)
		return -EBADMSG;
	if ((b->flags & ~GVM_PF_KNOWN) || (b->flags & GVM_PF_DATA && b->flags & GVM_PF_ZERO))
		return -EBADMSG;
	if (len != GVM_PAGE_BODY && (len != GVM_MSG_MAX || !(b->flags & GVM_PF_DATA)))
		return -EBADMSG;
	return 0;
}

void gvm_register_encode(u8 *buf, const struct gvm_register_body *b)
{
	gvm_put_le64(buf, b->boot_id);
	gvm_put_le64(buf + 8, b->lent_pages);
	gvm_put_le64(buf + 16, b->free_pages);
	gvm_put_le32(buf + 24, b->slave_bits);
	gvm_put_le32(buf + 28, (u32)b->status);
	gvm_put_le64(buf + 32, b->gateway_boot);
}

/* slave_bits is not judged here: a disagreement deserves an answer that says so. */
int gvm_register_decode(struct gvm_register_body *b, const u8 *buf, size_t len)
{
	if (len != GVM_REGISTER_BODY)
		return -EBADMSG;
	b->boot_id = gvm_get_le64(buf);
	b->lent_pages = gvm_get_le64(buf + 8);
	b->free_pages = gvm_get_le64(buf + 16);
	b->slave_bits = gvm_get_le32(buf + 24);
	b->status = (s32)gvm_get_le32(buf + 28);
	b->gateway_boot = gvm_get_le64(buf + 32);
	if (b->status > 0 || b->free_pages > b->lent_pages || b->lent_pages > GVM_PAGE_LAST)
		return -EBADMSG;
	return 0;
}

void gvm_node_record_encode(u8 *buf, const struct gvm_node_record *r)
{
	gvm_put_le32(buf, r->id);
	gvm_put_le32(buf + 4, r->age_ms);
	gvm_put_le64(buf + 8, r->boot_id);
	gvm_put_le64(buf + 16, r->lent_pages);
	gvm_put_le64(buf + 24, r->free_pages);
}

static int node_record_decode(struct gvm_node_record *r, const u8 *buf)
{
	r->id = gvm_get_le32(buf);
	r->age_ms = gvm_get_le32(buf + 4);
	r->boot_id = gvm_get_le64(buf + 8);
	r->lent_pages = gvm_get_le64(buf + 16);
	r->free_pages = gvm_get_le64(buf + 24);
	if (r->id >= GVM_NO_NODE || r->free_pages > r->lent_pages || r->lent_pages > GVM_PAGE_LAST)
		return -EBADMSG;
	return 0;
}

int gvm_nodes_decode(struct gvm_node_record *records, unsigned int *n, const u8 *buf, size_t len)
{
	unsigned int i, count = len / GVM_NODE_RECORD;
	int err;

	if (len % GVM_NODE_RECORD || len / GVM_NODE_RECORD > GVM_NODES_MAX)
		return -EBADMSG;
	for (i = 0; i < count; i++) {
		err = node_record_decode(&records[i], buf + i * GVM_NODE_RECORD);
		if (err)
			return err;
	}
	*n = count;
	return 0;
}

void gvm_vm_body_encode(u8 *buf, const struct gvm_vm_body *b)
{
	gvm_put_le64(buf, b->ram_pages);
	gvm_put_le64(buf + 8, b->reserve_pages);
	gvm_put_le64(buf + 16, b->home_boot);
	gvm_put_le64(buf + 24, b->client_boot);
	gvm_put_le64(buf + 32, b->touched_pages);
	gvm_put_le64(buf + 40, b->stored_pages);
	gvm_put_le64(buf + 48, b->reserved);
	gvm_put_le32(buf + 56, b->flags);
	gvm_put_le32(buf + 60, (u32)b->status);
}

int gvm_vm_body_decode(struct gvm_vm_body *b, const u8 *buf, size_t len)
{
	if (len != GVM_VM_BODY)
		return -EBADMSG;
	b->ram_pages = gvm_get_le64(buf);
	b->reserve_pages = gvm_get_le64(buf + 8);
	b->home_boot = gvm_get_le64(buf + 16);
	b->client_boot = gvm_get_le64(buf + 24);
	b->touched_pages = gvm_get_le64(buf + 32);
	b->stored_pages = gvm_get_le64(buf + 40);
	b->reserved = gvm_get_le64(buf + 48);
	b->flags = gvm_get_le32(buf + 56);
	b->status = (s32)gvm_get_le32(buf + 60);
	if (b->ram_pages > GVM_PAGE_LAST || b->reserve_pages > GVM_PAGE_LAST)
		return -EBADMSG;
	if ((b->flags & ~GVM_VM_KNOWN) || b->status > 0)
		return -EBADMSG;
	return 0;
}

void gvm_addr_encode(u8 *buf, const struct gvm_addr_body *b)
{
	gvm_put_le32(buf, b->id);
	memcpy(buf + 4, &b->ip, sizeof(b->ip));
	memcpy(buf + 8, &b->port, sizeof(b->port));
	gvm_put_le16(buf + 10, b->direct);
}

int gvm_addr_decode(struct gvm_addr_body *b, const u8 *buf, size_t len)
{
	if (len != GVM_ADDR_BODY)
		return -EBADMSG;
	b->id = gvm_get_le32(buf);
	memcpy(&b->ip, buf + 4, sizeof(b->ip));
	memcpy(&b->port, buf + 8, sizeof(b->port));
	b->direct = gvm_get_le16(buf + 10);
	if (b->id >= GVM_NO_NODE || b->direct > 1 || (b->direct && (!b->ip || !b->port)))
		return -EBADMSG;
	return 0;
}

u32 gvm_frag_offset(const struct gvm_header *h)
{
	return h->frag_seq * frag_stride(h);
}

u32 gvm_frag_length(const struct gvm_header *h)
{
	u32 offset = gvm_frag_offset(h);

	return min_t(u32, frag_stride(h), h->length - offset);
}

int gvm_wire_next(struct gvm_header *h, const u8 **part, const u8 *buf, size_t len)
{
	u32 part_len;
	int err;

	if (len == 0)
		return 0;
	err = gvm_header_decode(h, buf, len);
	if (err)
		return err;
	part_len = gvm_frag_length(h);
	if (len - GVM_HEADER_SIZE < part_len)
		return -EBADMSG;
	*part = buf + GVM_HEADER_SIZE;
	return GVM_HEADER_SIZE + part_len;
}

size_t gvm_wire_size(size_t body_and_data)
{
	return body_and_data + (size_t)frags_for(body_and_data) * GVM_HEADER_SIZE;
}

/* Copies body followed by data, [from, from + len) of the two together. */
static void gather(u8 *out, size_t from, size_t len, const u8 *body, size_t body_len,
		   const u8 *data)
{
	size_t head = 0;

	if (from < body_len) {
		head = min_t(size_t, len, body_len - from);
		memcpy(out, body + from, head);
	}
	if (head < len)
		memcpy(out + head, data + (from + head - body_len), len - head);
}

/* body_len + data_len is at most GVM_MSG_MAX; with more, 0 bytes are built. */
size_t gvm_wire_build(u8 *buf, struct gvm_header *h, const u8 *body, size_t body_len,
		      const u8 *data, size_t data_len, size_t *seg)
{
	size_t total = body_len + (data ? data_len : 0);
	u8 *out = buf;
	u32 i;

	*seg = 0;
	if (total > GVM_MSG_MAX)
		return 0;
	h->length = total;
	h->frag_count = frags_for(total);
	h->is_frag = h->frag_count > 1;
	*seg = GVM_HEADER_SIZE + frag_stride(h);
	for (i = 0; i < h->frag_count; i++) {
		h->frag_seq = i;
		gvm_header_encode(out, h);
		gather(out + GVM_HEADER_SIZE, gvm_frag_offset(h), gvm_frag_length(h), body,
		       body_len, data);
		out += GVM_HEADER_SIZE + gvm_frag_length(h);
	}
	h->frag_seq = 0;
	return out - buf;
}
