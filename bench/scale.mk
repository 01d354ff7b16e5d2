# SPDX-License-Identifier: GPL-2.0-or-later
# The programs behind docs/SCALE.md: sharing among nodes, and tables at scale.
# make -f scale.mk: into build/bench, as the Makefile's; objects into build/tests/bench.
all: programs
# Of their own: a figure must not depend on the flags of some other build.
override CFLAGS := -O2 -g -pthread
override SAN :=
include ../tests/logic.mk

# The simulator but for its main program.
SIM_OBJS := $(patsubst $(TOP)/tests/sim/%.c,$(OUT)/sim/%.o,\
	$(filter-out %/main.c,$(wildcard $(TOP)/tests/sim/*.c)))
CLIENT_OBJS := $(OUT)/client/gvm_client.o $(OUT)/client/gvm_pager.o
PROGRAMS := $(addprefix $(BUILD)/bench/,coherence coherence_sim delay_proxy dir_scale copyset_cost)

programs: $(PROGRAMS)
$(BUILD)/bench/coherence: $(OUT)/coherence_raw.o $(CLIENT_OBJS)
$(BUILD)/bench/coherence_sim: $(SIM_OBJS) $(LOGIC_OBJS)
$(BUILD)/bench/dir_scale: $(OUT)/tables.o $(OUT)/dir_table_counted.o $(OUT)/logic/copyset.o
$(BUILD)/bench/copyset_cost: $(OUT)/tables.o $(OUT)/logic/copyset.o
$(PROGRAMS): $(BUILD)/bench/%: $(OUT)/%.o $(OUT)/touch.o
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -o $@ $^

$(OUT)/dir_table_counted.o: $(LOGIC_DIR)/dir_table.c dir_probe.h
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -include dir_probe.h -MMD -MP -c -o $@ $<
$(OUT)/sim/%.o: $(TOP)/tests/sim/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MMD -MP -c -o $@ $<
$(OUT)/client/%.o: $(TOP)/client/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MMD -MP -c -o $@ $<
-include $(wildcard $(OUT)/sim/*.d $(OUT)/client/*.d)

clean:
	rm -rf $(OUT) $(PROGRAMS)
.PHONY: all programs clean
.SECONDARY:
