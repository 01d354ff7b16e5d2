# SPDX-License-Identifier: GPL-2.0-or-later
# Builds every program into build/ (a C compiler and jansson are all it needs):
#   make [GVM_SLAVE_BITS=17] [SAN=address,undefined or thread] [CFLAGS=...] [BUILD=dir]
# and runs the tests that need no guest: make check, make check-unit, ...; their
# long forms: make slow-unit, ... Everything else is ./gvm.
export BUILD ?= $(CURDIR)/build$(if $(SAN),/san-$(SAN))
CFLAGS ?= -O2 -g

SUITES := unit sim fuzz net
PASS = CFLAGS='$(CFLAGS)$(if $(SAN), -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)'

all: slave gateway master ctl

slave:
	$(MAKE) -C slave_daemon $(PASS)
gateway:
	$(MAKE) -C gateway_service $(PASS)
master:
	$(MAKE) -C master_core -f Makefile_User $(PASS)
ctl:
	$(MAKE) -C ctl_tool $(PASS)

check: $(SUITES:%=check-%)
$(SUITES:%=check-%): check-%: all
	$(MAKE) -C tests/$* run
$(SUITES:%=slow-%): slow-%: all
	$(MAKE) -C tests/$* slow

clean:
	rm -rf "$(BUILD)"

# One component after the other, since they share objects; each in parallel inside.
.NOTPARALLEL:
.PHONY: all slave gateway master ctl check clean $(SUITES:%=check-%) $(SUITES:%=slow-%)
