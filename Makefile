# cache_invalidate: built with PostgreSQL's extension build system (PGXS), in the source tree.
#
#   make                    the module, and its bitcode where the server has a JIT
#   make install            into the server that PG_CONFIG names (DESTDIR is honoured)
#   make installcheck       pg_regress and isolation tests against a running server
#   make unit               the unit test program, build/unit/unit_tests; needs no server
#   make consistency        the programs of test/consistency, in build/consistency
#   make bench              what it costs beside the alternatives: ratios, medians, a chart (QUICK=1, WORKLOADS, VARIANTS: see scripts/bench)
#   make test               everything, on private servers; installs what is missing (PARTS: as scripts/test)
#   make soak               the consistency checker for MINUTES (10), with faults; SEED=n repeats a run's choices
#   make mutants            each patch of test/mutants takes a safeguard away, and the tests have to notice (MUTANT: one of them)
#   make matrix             everything on PostgreSQL 17 and 18, in chroots (MAJORS, PARTS: see scripts/matrix)
#   make fuzz               each fuzzer of test/fuzz for FUZZ_SECONDS (60); needs clang with libFuzzer
#   make sanitize           the tests on a server with the module built with AddressSanitizer and UBSan (PARTS)
#   make valgrind           pg_regress with the server under valgrind
#   make coverage           which lines of src/ all tests together run, in build/coverage (PARTS)
#   make instructions       instructions per row, commit and delivery, by callgrind
#   make demo               a guided tour on private servers (KEEP=1 leaves them running)
#   make dist               the release archive for PGXN, in build/dist
#   make deb                Debian packages, in build/deb
#
# What is compiled and tested is listed in sources.mk. The version stands in the control file only.

PG_CONFIG ?= pg_config
.DEFAULT_GOAL := all
all:

include sources.mk

LANGUAGE_FLAGS := -std=c++17 -fvisibility=hidden -fvisibility-inlines-hidden
WARNING_FLAGS := -Wall -Wextra -Wshadow -Wnon-virtual-dtor
HIREDIS_CFLAGS := $(shell pkg-config --cflags-only-I hiredis 2>/dev/null)
HIREDIS_LIBS := $(or $(shell pkg-config --libs hiredis 2>/dev/null),-lhiredis)

# ---- Goals that do without the server's build system ------------------------------------------

SCRIPT_GOALS := setup test bench instructions soak mutants matrix sanitize valgrind coverage demo dist deb
BUILD_GOALS := unit consistency bench-programs fuzz $(FUZZ_TARGETS:%=fuzz-%)
.PHONY: $(SCRIPT_GOALS) $(BUILD_GOALS)
# PARTS: of the tests, such as PARTS="regress tap=001"; what else a script takes it finds in the environment.
$(SCRIPT_GOALS):
	@PG_CONFIG='$(PG_CONFIG)' scripts/$@ $(PARTS)

print-%:
	@echo '$($*)'

# The unit tests compile core and redis without the server's include path, so that a file which
# needs the server cannot slip in.
UNIT_SRCS := $(CORE_SRCS) $(REDIS_SRCS) $(UNIT_EXTRA_SRCS) $(FUZZ_TARGETS:%=test/fuzz/%.cpp) $(UNIT_TESTS)
UNIT_OBJS := $(UNIT_SRCS:%.cpp=build/unit/%.o)
UNIT_PROGRAM := build/unit/unit_tests
UNIT_CXXFLAGS := -std=c++17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS $(WARNING_FLAGS) -MMD -MP
GTEST_LIBS = $(or $(shell pkg-config --libs gtest_main 2>/dev/null),-lgtest_main -lgtest -lpthread)

unit: $(UNIT_PROGRAM)

$(UNIT_PROGRAM): $(UNIT_OBJS) sources.mk
	$(CXX) $(UNIT_CXXFLAGS) $(COPT) -o $@ $(UNIT_OBJS) $(GTEST_LIBS) $(HIREDIS_LIBS)

build/unit/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(UNIT_CXXFLAGS) $(COPT) -Isrc $(HIREDIS_CFLAGS) -c -o $@ $<

-include $(UNIT_OBJS:.o=.d)

# A program for each target. What a fuzzer finds stays in build/fuzz; what is worth keeping goes to test/fuzz/corpus by hand.
FUZZ_SECONDS ?= 60
FUZZ_CXX ?= clang++
FUZZ_CXXFLAGS := $(filter-out -fsanitize=%,$(UNIT_CXXFLAGS)) -fsanitize=address,undefined
FUZZ_OBJS := $(patsubst %.cpp,build/fuzz/%.o,$(CORE_SRCS) $(REDIS_SRCS) $(FUZZ_TARGETS:%=test/fuzz/%.cpp))

fuzz: $(FUZZ_TARGETS:%=fuzz-%)

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: build/fuzz/%
	@mkdir -p build/fuzz/corpus/$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/$*- \
	  build/fuzz/corpus/$* test/fuzz/corpus/$*

$(FUZZ_TARGETS:%=build/fuzz/%): build/fuzz/%: $(FUZZ_OBJS) test/fuzz/fuzzer.cpp
	$(FUZZ_CXX) $(FUZZ_CXXFLAGS) -fsanitize=fuzzer -DFUZZ_TARGET=$* -Isrc -MF $@.d -o $@ test/fuzz/fuzzer.cpp $(FUZZ_OBJS) $(HIREDIS_LIBS)

build/fuzz/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(FUZZ_CXX) $(FUZZ_CXXFLAGS) -fsanitize=fuzzer-no-link $(COPT) -Isrc $(HIREDIS_CFLAGS) -c -o $@ $<

-include $(FUZZ_OBJS:.o=.d)

# The clients of the consistency checker and their judge: libpq and hiredis, and nothing of the extension.
CONSISTENCY_CXXFLAGS := -std=c++17 -O1 -g -D_GLIBCXX_ASSERTIONS $(WARNING_FLAGS) -Werror -pthread -MMD -MP
CONSISTENCY_PROGRAMS := build/consistency/clients build/consistency/judge
CONSISTENCY_OBJS := $(patsubst %.cpp,build/consistency/%.o,$(CONSISTENCY_SRCS) $(CONSISTENCY_CLIENTS_SRCS) $(CONSISTENCY_JUDGE_SRCS))
LIBPQ_LIBS = -L$(shell $(PG_CONFIG) --libdir) -lpq

consistency: $(CONSISTENCY_PROGRAMS)

build/consistency/clients: $(CONSISTENCY_SRCS:%.cpp=build/consistency/%.o) $(CONSISTENCY_CLIENTS_SRCS:%.cpp=build/consistency/%.o)
build/consistency/judge: $(CONSISTENCY_SRCS:%.cpp=build/consistency/%.o) $(CONSISTENCY_JUDGE_SRCS:%.cpp=build/consistency/%.o)
$(CONSISTENCY_PROGRAMS): sources.mk
	$(CXX) $(CONSISTENCY_CXXFLAGS) $(COPT) -o $@ $(filter %.o,$^) $(LIBPQ_LIBS) $(HIREDIS_LIBS)

build/consistency/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(CONSISTENCY_CXXFLAGS) $(COPT) -isystem $(shell $(PG_CONFIG) --includedir) $(HIREDIS_CFLAGS) -c -o $@ $<

-include $(CONSISTENCY_OBJS:.o=.d)

# What the benchmarks need beside the server: consumers of the alternatives, and a C trigger that does nothing.
BENCH_CXXFLAGS := -std=c++17 -O2 -g $(WARNING_FLAGS) -Werror -pthread -MMD -MP
BENCH_OBJS := $(patsubst %.cpp,build/bench/%.o,$(BENCH_SRCS) $(BENCH_PROGRAMS:%=bench/%.cpp))

bench-programs: $(BENCH_PROGRAMS:%=build/bench/%) build/bench/floor.so

$(BENCH_PROGRAMS:%=build/bench/%): build/bench/%: build/bench/bench/%.o $(BENCH_SRCS:%.cpp=build/bench/%.o) sources.mk
	$(CXX) $(BENCH_CXXFLAGS) $(COPT) -o $@ $(filter %.o,$^) $(LIBPQ_LIBS) $(HIREDIS_LIBS)

build/bench/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(BENCH_CXXFLAGS) $(COPT) -isystem $(shell $(PG_CONFIG) --includedir) $(HIREDIS_CFLAGS) -c -o $@ $<

# Of the server that PG_CONFIG names this time.
.PHONY: build/bench/floor.so
build/bench/floor.so: bench/floor.c
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -Werror -fPIC -shared $(COPT) -isystem $(shell $(PG_CONFIG) --includedir-server) -o $@ $<

-include $(BENCH_OBJS:.o=.d)

# ---- The module, by PGXS ----------------------------------------------------------------------

ifneq ($(filter-out $(SCRIPT_GOALS) $(BUILD_GOALS) print-% build/unit/% build/fuzz/% build/consistency/% build/bench/%,$(or $(MAKECMDGOALS),all)),)

EXTENSION = cache_invalidate
MODULE_big = cache_invalidate
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" $(EXTENSION).control)
DATA = extension/cache_invalidate--1.0.sql

OBJS = $(patsubst %.cpp,%.o,$(CORE_SRCS) $(REDIS_SRCS) $(PG_SRCS) $(CAPTURE_SRCS) \
	$(JOURNAL_SRCS) $(DELIVERY_SRCS) $(ADMIN_SRCS))
DEPENDENCY_FILES = $(OBJS:.o=.d) $(OBJS:.o=.bc.d)
EXTRA_CLEAN = $(DEPENDENCY_FILES) build

REGRESS_OPTS = --inputdir=.
ISOLATION_OPTS = --inputdir=test/isolation

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(and $(wildcard $(PGXS)),$(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)),)
$(error "$(PG_CONFIG)" names no PostgreSQL with its extension build files and headers: set PG_CONFIG, or run "make setup")
endif

# The server's headers are system headers, so that our warnings are about our code.
PG_CPPFLAGS = -Isrc $(HIREDIS_CFLAGS) -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CXXFLAGS = $(LANGUAGE_FLAGS) $(WARNING_FLAGS) $(COPT) -MMD -MP
SHLIB_LINK = $(HIREDIS_LIBS)
SHLIB_EXPORTS = exports.txt
override COMPILER = $(CXX) $(CXXFLAGS)

include $(PGXS)

# The bitcode rule of PGXS knows neither the language standard nor header dependencies.
COMPILE.cxx.bc += $(LANGUAGE_FLAGS) -MMD -MP -MF $@.d -MT $@

$(OBJS) $(OBJS:.o=.bc): Makefile
src/admin/installation.o src/admin/installation.bc: $(EXTENSION).control
src/admin/installation.o src/admin/installation.bc: override CPPFLAGS += -DCACHE_INVALIDATE_VERSION='"$(EXTVERSION)"'

-include $(DEPENDENCY_FILES)

endif
