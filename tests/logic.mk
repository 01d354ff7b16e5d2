# SPDX-License-Identifier: GPL-2.0-or-later
# What the tests of the logic share: where things are, how they are compiled.
#   GVM_SLAVE_BITS=17   SAN=address,undefined or thread   CFLAGS=...   BUILD=dir
GVM_SLAVE_BITS ?= 17
SAN ?=
CC ?= gcc
CFLAGS ?= -O2 -g
TOP := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
BUILD ?= $(TOP)/build
comma := ,
OUT := $(BUILD)/tests/$(notdir $(CURDIR))/$(GVM_SLAVE_BITS)$(if $(SAN),-$(subst $(comma),-,$(SAN)))

FLAGS := -std=gnu11 -Wall -Wextra -Werror -DGVM_SLAVE_BITS=$(GVM_SLAVE_BITS) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) \
	$(CFLAGS)

# The logic: every file of master_core that is free of I/O.
LOGIC_DIR ?= $(TOP)/master_core
LOGIC := wire copyset routing peer rpc reasm frames dir_table directory heat vm prefetch \
	agent agent_table evict recall lease logic_core
LOGIC_OBJS := $(LOGIC:%=$(OUT)/logic/%.o)

$(OUT)/logic/%.o: $(LOGIC_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MMD -MP -c -o $@ $<
$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MMD -MP -c -o $@ $<
-include $(wildcard $(OUT)/*.d $(OUT)/logic/*.d)
