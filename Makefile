# Ronde. `make help` lists the targets. Each configuration has a build folder of its own.
#   V=1  ASAN=1  TSAN=1  CC=clang  MPICC=mpicc.mpich  BUILD=folder  PREFIX=/usr/local  DESTDIR=  JOBS=n
ifeq ($(origin CC),default)
CC = gcc
endif
MPICC ?= mpicc
MPIRUN ?= $(subst mpicc,mpirun,$(MPICC))
BUILD ?= build$(addprefix -,$(notdir $(filter-out gcc,$(firstword $(CC))) \
	$(filter-out mpicc,$(MPICC))) $(if $(filter-out 0,$(ASAN)),asan) $(if $(filter-out 0,$(TSAN)),tsan))
override BUILD := $(subst $() ,,$(BUILD))
override ASAN := $(filter-out 0,$(ASAN))
override TSAN := $(filter-out 0,$(TSAN))
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
PYTHON ?= python3
VENV ?= build/venv
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
VERSION := $(shell sed -n 's/^.define RONDE_VERSION_[A-Z]* //p' include/ronde.h | paste -sd.)
SONAME := libronde.so.$(firstword $(subst ., ,$(VERSION)))

# Warnings are errors nowhere but in test/sh_warnings.sh: a new compiler must not break a user's build.
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
	-Wpointer-arith -Wcast-qual
# Contracted multiply-adds would make the bits of a result depend on the instruction set. What is
# public is said once, by src/ronde.map at the link, so nothing is compiled hidden; without semantic
# interposition calls inside the library are direct all the same.
RONDE_CFLAGS := -std=c11 -D_GNU_SOURCE -fPIC -pthread -ffp-contract=off -fno-semantic-interposition
LIBS := -ldl -lrt -lm
CFLAGS ?= -O2 -g
ifneq ($(ASAN),)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifneq ($(TSAN),)
SANITIZE := -fsanitize=thread $(if $(findstring gcc,$(CC)),-Wno-tsan)
else
LDFLAGS_SO := -Wl,--no-undefined
endif

# The compiler itself keeps mpi.h out of the rooms that may not know MPI, and src/ out of examples.
COMPILER = $(CC)
INCLUDES = -Iinclude -Isrc
$(BUILD)/obj/src/net/%.o $(BUILD)/obj/src/preload/%.o $(BUILD)/obj/benchmarks/%.o $(BUILD)/obj/examples/%.o: COMPILER = $(MPICC)
$(BUILD)/obj/test/%.o: COMPILER = $(MPICC)
$(BUILD)/obj/examples/%.o: INCLUDES = -Iinclude
export OMPI_CC = $(CC)
export MPICH_CC = $(CC)
export CC MPICC MPIRUN WARNINGS ASAN TSAN PYTHON VENV TORCH

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
sources := $(wildcard src/*.c) $(filter-out src/cuda/% src/preload/%,$(wildcard src/*/*.c))
SO := $(BUILD)/lib/libronde.so.$(VERSION)
A := $(BUILD)/lib/libronde.a
PRELOAD := $(BUILD)/lib/libronde-mpi.so
# Gloo, for ronde-perf to be compared with, where its headers are. Its C++ may be of another age than
# the shim: then that is said, and no error.
GLOO := $(if $(SANITIZE),,$(shell $(CXX) -fsyntax-only -include gloo/config.h -x c++ /dev/null \
	2>/dev/null && echo $(BUILD)/lib/ronde-perf-gloo.so))
benchmarks := $(patsubst benchmarks/%.c,$(BUILD)/bin/ronde-%,$(wildcard benchmarks/*.c))
examples := $(patsubst examples/%.c,$(BUILD)/bin/%,$(wildcard examples/*.c))
unit_tests := $(patsubst %.c,$(BUILD)/%,$(wildcard test/unit_*.c test/mpi_*.c))
rank_tests := $(patsubst %.c,$(BUILD)/%,$(wildcard test/ranks_*.c))
mpich_tests = $(patsubst %.c,$(BUILD)/%,$(shell grep -l 'ronde-test:.*mpich=' test/*.c))
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@))
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

.SECONDEXPANSION:
.PHONY: all tests mpich-tests deps demo check bench wheel install format clean help FORCE
.SECONDARY:

all: $(SO) $(A) $(PRELOAD) $(benchmarks) $(GLOO) $(examples)
tests: $(unit_tests) $(rank_tests)
mpich-tests: $(mpich_tests) $(PRELOAD) $(SO)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILER) $(RONDE_CFLAGS) $(WARNINGS) $(SANITIZE) $(INCLUDES) $(CPPFLAGS) $(CFLAGS) \
		-MMD -MP -c -o $@ $<

$(SO): $(call objects,$(sources)) src/ronde.map
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(MPICC) -shared -pthread $(SANITIZE) $(LDFLAGS) $(LDFLAGS_SO) -Wl,-soname,$(SONAME) \
		-Wl,--version-script=src/ronde.map -o $@ $(filter %.o,$^) $(LIBS)
	$(Q)ln -sf $(@F) $(@D)/$(SONAME) && ln -sf $(SONAME) $(@D)/libronde.so

$(A): $(call objects,$(sources))
	$(call say,AR)
	$(Q)mkdir -p $(@D) && rm -f $@
	$(Q)$(AR) rcs $@ $^

# The drop-in for MPI programs has of the archive what it needs, and shows MPI's names only.
$(PRELOAD): $(call objects,$(wildcard src/preload/*.c)) $(A) src/preload/preload.map
	$(call say,LINK)
	$(Q)$(MPICC) -shared -pthread $(SANITIZE) $(LDFLAGS) $(LDFLAGS_SO) -Wl,-soname,$(@F) \
		-Wl,--version-script=src/preload/preload.map -o $@ $(filter %.o,$^) $(A) $(LIBS)

# A program is X.c and what the folder X beside it holds. Examples link as a user's program would;
# benchmarks and tests, some of which measure or prove a single room, link the archive.
link = $(Q)mkdir -p $(@D) && $(MPICC) -pthread $(SANITIZE) $(LDFLAGS) -o $@ $(filter %.o,$^)
$(examples): $(BUILD)/bin/%: $(BUILD)/obj/examples/%.o \
		$$(call objects,$$(wildcard examples/$$*/*.c)) $(SO)
	$(call say,LINK)
	$(link) -L$(BUILD)/lib -Wl,-rpath,'$$ORIGIN/../lib' -lronde $(LIBS)
$(benchmarks): $(BUILD)/bin/ronde-%: $(BUILD)/obj/benchmarks/%.o \
		$$(call objects,$$(wildcard benchmarks/$$*/*.c)) $(A)
	$(call say,LINK)
	$(link) $(A) $(LIBS)
$(BUILD)/lib/ronde-perf-gloo.so: benchmarks/gloo/peer.cc benchmarks/gloo/peer.h include/ronde.h
	$(call say,CXX)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++14 -O3 -Wall -Wextra -Iinclude -fPIC -shared -pthread $(LDFLAGS) \
		-Wl,--no-undefined -o $@ $< -lgloo || echo '  (so Gloo is not compared here)'
# unit_sim proves what ronde-sim is made of.
$(BUILD)/test/unit_sim: $(call objects,$(wildcard benchmarks/sim/*.c))
$(unit_tests) $(rank_tests): $(BUILD)/test/%: $(BUILD)/obj/test/%.o $(BUILD)/obj/test/check.o $(A)
	$(call say,LINK)
	$(link) $(A) $(LIBS)
$(rank_tests): $(BUILD)/obj/test/ranks.o

# Other flags, other objects.
flags = $(CC) $(MPICC) $(RONDE_CFLAGS) $(WARNINGS) $(SANITIZE) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(flags)' | cmp -s - $@ || echo '$(flags)' >$@
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

deps:
	@tools/install-deps.sh build

demo:
	@tools/install-deps.sh build
	@$(MAKE) --no-print-directory all
	tools/mpirun.sh -np 2 $(BUILD)/bin/digits $(DEMO_ARGS)

# All tests, or those whose names begin with one of TESTS. The plain build also proves MPICH.
check:
	@tools/install-deps.sh build check
	@$(MAKE) --no-print-directory all tests
	@$(if $(or $(SANITIZE),$(and $(TESTS),$(if $(filter py%,$(TESTS)),,no))),:,tools/prepare-venv.sh)
	@if [ "$(CC) $(MPICC) $(SANITIZE)" = "gcc mpicc " ] && command -v mpicc.mpich >/dev/null; then \
		$(MAKE) --no-print-directory MPICC=mpicc.mpich BUILD=$(BUILD)-mpich mpich-tests; fi
	@BUILD=$(abspath $(BUILD)) JOBS=$(JOBS) tools/run-tests.sh $(TESTS)

# The Python package, with the library in it.
wheel: $(SO)
	@TORCH=$(or $(TORCH),no) tools/prepare-venv.sh
	RONDE_LIBRARY=$(abspath $(SO)) $(VENV)/bin/python -m pip wheel --quiet --no-deps \
		--no-build-isolation --wheel-dir $(BUILD)/wheel bindings/python
	@ls $(BUILD)/wheel/*.whl

bench:
	@tools/install-deps.sh build bench
	@$(MAKE) --no-print-directory all
	@if [ "$(MPICC)" = mpicc ] && command -v mpicc.mpich >/dev/null; then $(MAKE) --no-print-directory \
		MPICC=mpicc.mpich BUILD=$(BUILD)-mpich $(BUILD)-mpich/bin/ronde-perf; fi
	BUILD=$(abspath $(BUILD)) MPICH_PERF=$(abspath $(BUILD)-mpich/bin/ronde-perf) \
		benchmarks/bench.sh $(BENCH_ARGS)

install: all
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 include/*.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(A) $(DESTDIR)$(LIBDIR)
	install -m 755 $(SO) $(PRELOAD) $(DESTDIR)$(LIBDIR)
	ln -sf $(notdir $(SO)) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libronde.so
	install -m 755 $(tools) programs/ronde-trace $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(LIBDIR)|' -e 's|@version@|$(VERSION)|' \
		-e 's|@private@|$(filter -L% -l%,$(shell $(MPICC) -show)) -pthread $(LIBS)|' \
		ronde.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/ronde.pc
tools = $(filter %/ronde-info %/ronde-perf %/ronde-sim,$(benchmarks))

format:
	clang-format -i $(shell find include src test benchmarks examples -name '*.[ch]')

clean:
	rm -rf $(addprefix $(BUILD)/,obj lib bin test wheel flags) build build-*

help:
	@echo 'all      the library and its programs, in $(BUILD)/lib and $(BUILD)/bin'
	@echo 'demo     what the build needs is installed; two ranks learn to read digits (DEMO_ARGS=)'
	@echo 'check    all tests (TESTS="ranks_allreduce ..." for some); also ASAN=1, TSAN=1, CC=clang'
	@echo 'bench    races Open MPI, MPICH and Gloo: docs/performance.md (BENCH_ARGS=)'
	@echo 'wheel    the Python package with the library in it, in $(BUILD)/wheel'
	@echo 'install  to $(DESTDIR)$(PREFIX); format; clean; deps: apt-get what is missing, for build'
