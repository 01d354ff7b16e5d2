// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who takes in what came: an access that polls or sleeps for its page does it
 * itself, which saves a hand-over; without one the VM's worker does. The timer
 * of the logic goes the same way.
 */
#include <linux/ip.h>
#include <linux/udp.h>

#include "kernel_internal.h"

#define FLUSH_EVERY 32 /* datagrams */

static bool is_control(u16 type)
{
	return type == MSG_REGISTER_ACK || type == MSG_NODES_REPLY || type == MSG_NODE_ADDR;
}

/* Messages for the backend may share a datagram with others. */
static void take_in(struct gvm_vm *vm, struct sk_buff *skb)
{
	const u8 *at = skb->data, *part;
	size_t left = skb->len;
	struct gvm_header h;
	bool others = false;
	int used = 0;

	while (left && (used = gvm_wire_next(&h, &part, at, left)) > 0) {
		if (is_control(h.msg_type))
			gvm_rx_control(vm, &h, part, ip_hdr(skb)->saddr, udp_hdr(skb)->source);
		else
			others = true;
		at += used;
		left -= (size_t)used;
	}
	if (others || used <= 0)
		gvm_node_rx(vm->node, skb->data, skb->len);
}

static void run_timer(struct gvm_vm *vm)
{
	u64 next;

	if (!test_and_clear_bit(GVM_TICK_DUE, &vm->flags_now))
		return;
	next = gvm_node_tick(vm->node);
	if (next != (u64)-1)
		gvm_pump_arm(vm, next);
}

/* Process context, no lock held but perhaps the mmap_lock. Ends early once *stop is set. */
void gvm_pump(struct gvm_vm *vm, const int *stop)
{
	struct sk_buff *skb;
	unsigned int n = 0;

	while (!(stop && READ_ONCE(*stop)) && (skb = gvm_net_next(vm->net))) {
		if (!skb_linearize(skb))
			take_in(vm, skb);
		else
			gvm_count(vm, rx_dropped);
		kfree_skb(skb);
		if (++n % FLUSH_EVERY == 0) {
			gvm_net_flush(vm->net);
			cond_resched();
		}
	}
	run_timer(vm);
	gvm_node_flush(vm->node);
	gvm_net_flush(vm->net);
}

bool gvm_pump_pending(struct gvm_vm *vm)
{
	return gvm_net_pending(vm->net) || test_bit(GVM_TICK_DUE, &vm->flags_now);
}

void gvm_pump_kick(struct gvm_vm *vm)
{
	if (test_bit(GVM_STOPPING, &vm->flags_now))
		return;
	smp_mb(); /* what is pending, before who is there: the others look in reverse */
	if (atomic_read(&vm->pollers))
		return;
	if (wq_has_sleeper(&vm->rx_wait))
		wake_up(&vm->rx_wait);
	else
		queue_work(gvm_wq, &vm->rx_work);
}

static void rx_work(struct work_struct *work)
{
	gvm_pump(container_of(work, struct gvm_vm, rx_work), NULL);
}

static enum hrtimer_restart on_timer(struct hrtimer *t)
{
	struct gvm_vm *vm = container_of(t, struct gvm_vm, timer);
	unsigned long flags;

	spin_lock_irqsave(&vm->timer_lock, flags);
	vm->timer_at = (u64)-1;
	spin_unlock_irqrestore(&vm->timer_lock, flags);
	set_bit(GVM_TICK_DUE, &vm->flags_now);
	gvm_pump_kick(vm);
	return HRTIMER_NORESTART;
}

void gvm_pump_arm(void *ctx, u64 when_us)
{
	struct gvm_vm *vm = ctx;
	unsigned long flags;

	spin_lock_irqsave(&vm->timer_lock, flags);
	if (when_us < vm->timer_at && !test_bit(GVM_STOPPING, &vm->flags_now)) {
		vm->timer_at = when_us;
		hrtimer_start(&vm->timer, ns_to_ktime(when_us * NSEC_PER_USEC),
			      HRTIMER_MODE_ABS_SOFT);
	}
	spin_unlock_irqrestore(&vm->timer_lock, flags);
}

void gvm_pump_init(struct gvm_vm *vm)
{
	init_waitqueue_head(&vm->rx_wait);
	atomic_set(&vm->pollers, 0);
	INIT_WORK(&vm->rx_work, rx_work);
	spin_lock_init(&vm->timer_lock);
	vm->timer_at = (u64)-1;
	hrtimer_init(&vm->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	vm->timer.function = on_timer;
}

void gvm_pump_stop(struct gvm_vm *vm)
{
	unsigned long flags;

	/* Under the lock: who arms the timer has done so, or will not. */
	spin_lock_irqsave(&vm->timer_lock, flags);
	set_bit(GVM_STOPPING, &vm->flags_now);
	spin_unlock_irqrestore(&vm->timer_lock, flags);
	hrtimer_cancel(&vm->timer);
	cancel_work_sync(&vm->rx_work);
}
