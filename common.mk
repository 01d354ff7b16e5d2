# SPDX-License-Identifier: GPL-2.0-or-later
# What the user-space Makefiles share. Settings of the caller:
#   BUILD          where everything goes                 (../build)
#   GVM_SLAVE_BITS bits of a slave id                    (17)
#   SAN            sanitizers: address,undefined | thread
#   CFLAGS         optimisation and debugging            (-O2 -g)
BUILD ?= ../build
# One spelling, or what is known of a file's headers is known under another name.
override BUILD := $(abspath $(BUILD))
CFLAGS ?= -O2 -g
ROOT := $(dir $(lastword $(MAKEFILE_LIST)))

GVM_CPPFLAGS = -D_GNU_SOURCE $(if $(GVM_SLAVE_BITS),-DGVM_SLAVE_BITS=$(GVM_SLAVE_BITS)) $(CPPFLAGS)
GVM_CFLAGS = -std=gnu11 -Wall -Wextra -Werror -pthread $(CFLAGS) \
	     $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)

# Sources by what they need; a program names the groups it is made of.
LOGIC_SRCS := $(addprefix $(ROOT)master_core/,wire.c copyset.c routing.c peer.c rpc.c logic_core.c \
		agent.c agent_table.c evict.c recall.c lease.c prefetch.c frames.c dir_table.c \
		directory.c heat.c reasm.c vm.c)
NET_SRCS := $(addprefix $(ROOT)slave_daemon/,net_uring.c net_tx.c net_flush.c net_pool.c)
NODE_SRCS := $(addprefix $(ROOT)master_core/,user_backend.c user_ops.c workers.c addresses.c \
	       registration.c roster.c req_ring.c stalls.c pager.c pager_map.c pager_drop.c \
	       uffd.c fault_table.c bounce.c histogram.c logger.c parse.c gateway_list.c \
	       control.c unix_socket.c node_status.c)

# $(call gvm_program,NAME,SOURCES,LIBRARIES): $(BUILD)/NAME and its objects
define gvm_program
$(1)_OBJS := $$(addprefix $$(BUILD)/obj/$(1)/,$$(notdir $$(patsubst %.c,%.o,$(2))))
all: $$(BUILD)/$(1)
$$(BUILD)/$(1): $$($(1)_OBJS)
	$$(CC) $$(GVM_CFLAGS) $$(LDFLAGS) -o $$@ $$^ $(3) $$(LDLIBS)
$$(BUILD)/obj/$(1)/%.o: %.c $$(BUILD)/obj/$(1)/settings
	$$(CC) $$(GVM_CPPFLAGS) $$(GVM_CFLAGS) -MMD -MP -c -o $$@ $$<
$$(BUILD)/obj/$(1)/settings: FORCE
	@mkdir -p $$(@D)
	@echo '$$(CC) $$(GVM_CPPFLAGS) $$(GVM_CFLAGS)' | cmp -s - $$@ || \
		echo '$$(CC) $$(GVM_CPPFLAGS) $$(GVM_CFLAGS)' >$$@
clean::
	rm -rf $$(BUILD)/obj/$(1) $$(BUILD)/$(1)
-include $$($(1)_OBJS:.o=.d)
endef

VPATH = . $(ROOT)master_core $(ROOT)slave_daemon $(ROOT)client

.DEFAULT_GOAL := all
.PHONY: all clean FORCE
FORCE:
