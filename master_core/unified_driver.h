/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a backend (kernel, user, simulator) supplies to the logic. */
#ifndef GIANTVM_UNIFIED_DRIVER_H
#define GIANTVM_UNIFIED_DRIVER_H

#include "../common_include/giantvm_protocol.h"

enum gvm_log_level { GVM_LOG_ERR, GVM_LOG_WARN, GVM_LOG_INFO, GVM_LOG_DEBUG };

/* A page operation that the backend finishes later, by the call named there. */
#define GVM_PENDING 1

/* How a page of an agent is mapped for its guest. */
enum gvm_prot { GVM_PROT_NONE, GVM_PROT_READ, GVM_PROT_WRITE };

/*
 * ctx is the backend's own. Calls come with locks of the logic held, from any
 * thread (in the kernel: also softirq): none may sleep or call back into the
 * logic, unless it says so.
 */
struct dsm_driver_ops {
	/* Zeroed memory, lazily backed where the platform can; NULL when there is none. */
	void *(*alloc_large_table)(void *ctx, size_t size);
	void (*free_large_table)(void *ctx, void *ptr);

	/* Packet buffers. send_packet takes the packet over, also when it fails. */
	void *(*alloc_packet)(void *ctx, size_t size, bool atomic);
	void (*free_packet)(void *ctx, void *pkt);

	/* ip and port in network byte order. 0 or negative errno. */
	int (*set_gateway_ip)(void *ctx, u32 gw_id, u32 ip, u16 port);

	/*
	 * Queues or sends len bytes at pkt (from alloc_packet) to a node, cut into
	 * datagrams of seg bytes (the last may be shorter). Never blocks; a packet
	 * that cannot go out is dropped and counted, the RPC sends it again.
	 */
	int (*send_packet)(void *ctx, void *pkt, size_t len, size_t seg, u32 target_id);

	/*
	 * Blocking fault for callers that can wait: brings the page at gpa in,
	 * writable if write is set, and copies it to page_buffer if that is not
	 * NULL. 0 or negative errno. May sleep.
	 */
	int (*handle_page_fault)(void *ctx, u64 gpa, void *page_buffer, bool write);

	void (*log)(void *ctx, int level, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));
	bool (*is_atomic_context)(void *ctx);
	void (*touch_watchdog)(void *ctx);

	/* Request ids of blocking calls, O(1) from a ring; (u64)-1 when it is full. */
	u64 (*alloc_req_id)(void *ctx, void *rx_buffer);
	void (*free_req_id)(void *ctx, u64 req_id);
	u64 (*get_time_us)(void *ctx);
	u64 (*time_diff_us)(void *ctx, u64 start);
	/* With its read barrier: 1 when the answer is in the buffer, 0, or negative errno. */
	int (*check_req_status)(void *ctx, u64 req_id);
	void (*cpu_relax)(void *ctx);
	/* Wakes or signals whoever waits in gvm_rpc_call for req_id. */
	void (*complete_req)(void *ctx, u64 req_id, int status);
	/* Sleeps until complete_req(req_id) or timeout_us. May sleep; gvm_rpc_call only. */
	void (*wait_req)(void *ctx, u64 req_id, u64 timeout_us);

	/*
	 * The agent's pages. One VM a node's agent; page is RAM offset >> 12.
	 *
	 * page_buffer: where the bytes of a page that is not mapped are to be put,
	 * GVM_PAGE_SIZE bytes, valid until page_map or page_drop of that page; NULL
	 * when out of memory. prot says how it will be mapped.
	 * page_map: makes it visible with that protection and resumes who waits
	 * for it. zero: the page is all zero and no buffer was asked for. Also called
	 * to raise or refresh the protection of a page that is mapped or was touched
	 * without need. 0, or GVM_PENDING and gvm_agent_mapped() later.
	 * page_protect: takes write access away from n pages, so that their bytes,
	 * at page_data(), stand still. 0 or negative errno.
	 * page_data: the bytes of a page that is held; never NULL for one.
	 * page_drop: removes the page from every mapping; the next access faults.
	 * page_error: nobody can supply the page: status from the home (-EIO: home
	 * does not answer, GVM_ELOST), node is the home. Who waits stays waiting;
	 * gvm_agent_retry() tries again.
	 */
	void *(*page_buffer)(void *ctx, u64 page, enum gvm_prot prot);
	int (*page_map)(void *ctx, u64 page, enum gvm_prot prot, bool zero);
	int (*page_protect)(void *ctx, const u64 *pages, unsigned int n);
	void *(*page_data)(void *ctx, u64 page);
	void (*page_drop)(void *ctx, u64 page);
	void (*page_error)(void *ctx, u64 page, u32 node, int status);

	/* Gives memory of frames that are free again back to the host; may be NULL. */
	void (*discard)(void *ctx, void *ptr, size_t len);
	/* The timer: gvm_node_tick() is wanted no later than at this time. */
	void (*arm_timer)(void *ctx, u64 when_us);
};

#endif
