# pyrunc: `sudo make demo` and `sudo make test` are all that one has to know; the rest is here for developers.

PYTHON := /usr/bin/python3
VENV := build/venv
LIB := build/lib
PREFIX := /usr/local
BUILD_PACKAGES := gcc libc6-dev python3-dev python3-venv busybox-static
TEST_PACKAGES = $(shell sed 's/\#.*//' tests/packages.txt)
# The tests see a plain environment: no pyenv in PATH, nobody's PYTHON* or LANG.  pip's own settings may stay.
CLEAN := env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=$(HOME) LANG=C.UTF-8 \
    $(if $(CI),CI=$(CI)) $(if $(TERM),TERM=$(TERM))
PYTEST = $(CLEAN) $(TESTED) PYTHONPATH=$(CURDIR)/runtime:$(CURDIR)/spec:$(CURDIR)/$(LIB) $(VENV)/bin/python -m pytest
PIP := $(VENV)/bin/python -m pip install -qq --disable-pip-version-check
SOURCES := $(shell find runtime spec -name '*.py')

.PHONY: always setup setup-build setup-test build demo test test-long test-vm conformance duties duties-page faults fuzz lint \
    constants bench install clean
build: $(LIB)/_pyrunc_helper.abi3.so $(LIB)/_pyrunc_stage $(LIB)/_pyrunc_build.py $(LIB)/site-packages/.stamp \
    build/.compiled build/pyrunc

# -- what the machine needs --------------------------------------------------------------------------------------

# Only what is missing is installed; nothing is asked of the network when nothing is.
define packages
	@mkdir -p build
	@missing=$$(for name in $(1); do \
	    dpkg-query -W -f='$${db:Status-Abbrev}' "$$name" 2>/dev/null | grep -q '^ii' || echo "$$name"; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "setup: as root: apt-get install" $$missing; exit 1; fi; \
	echo "setup: apt-get install" $$missing; \
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; \
	} >build/apt.log 2>&1 || { tail -n 20 build/apt.log; exit 1; }
endef

setup: setup-test

setup-build:
	$(call packages,$(BUILD_PACKAGES))
	@$(MAKE) -s --no-print-directory $(VENV)/.build

setup-test: setup-build
	$(call packages,$(TEST_PACKAGES))
	@$(MAKE) -s --no-print-directory $(VENV)/.test

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

# pyproject.toml names the packages: the project's own, and the extra ones under a heading
wanted = $(PYTHON) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
    print(*p["dependencies"], *p["optional-dependencies"].get("$(1)", []), sep="\n")' >build/requirements-$(1).txt

$(VENV)/.build $(VENV)/.test: $(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	@$(call wanted,$*)
	@echo "setup: pip install" $$(cat build/requirements-$*.txt)
	@$(PIP) -r build/requirements-$*.txt
	@touch $@

# -- the product -------------------------------------------------------------------------------------------------

$(LIB)/_pyrunc_helper.abi3.so: csrc/build.py csrc/helper.c csrc/helper.h csrc/newer.h csrc/operation.h $(wildcard csrc/assembler*) csrc/json.c | setup-build
	@echo "build: $@"
	@$(VENV)/bin/python csrc/build.py $(LIB)
	@touch $@

$(LIB)/_pyrunc_stage: csrc/build_stage.sh $(wildcard csrc/stage*.c csrc/stage*.h) csrc/operation.h | setup-build
	@echo "build: $@"
	@mkdir -p $(LIB)
	@sh csrc/build_stage.sh $@

# Which commit `--version` names; written only when it is another one.
$(LIB)/_pyrunc_build.py: always | setup-build
	@mkdir -p $(LIB)
	@commit=$$(git -c safe.directory=$(CURDIR) describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null || \
	    echo unknown); line="COMMIT = \"$$commit\""; \
	[ "$$(cat $@ 2>/dev/null)" = "$$line" ] || { echo "$$line" >$@; $(PYTHON) -m compileall -q $@; }

always:

# jsonschema, for `pyrunc validate` alone: last in sys.path, opened by nothing else
$(LIB)/site-packages/.stamp: pyproject.toml | setup-build
	@rm -rf $(@D)
	@$(PIP) --target $(@D) \
	    "$$(grep '^jsonschema' build/requirements-build.txt)"
	@touch $@

# The launcher runs with -B and would compile every module at every start.
build/.compiled: $(SOURCES)
	@$(PYTHON) -m compileall -q runtime spec
	@touch $@

# LAUNCHER=static, shared or script asks for that kind; else the first that can be built (csrc/build_launcher.py).
LAUNCHER_SOURCES := $(addprefix csrc/,build_launcher.py make_launcher.py freeze.py start.py warm.py rehearsal.py \
    no_encodings.py binding.py image.py image.ld launcher.c interpreter.c interpreter.h rehearse.c rehearse.h image.c \
    image.h memory.c memory.h libc_start.c frozen.c frozen.h helper.c helper.h newer.h operation.h json.c assembler.c \
    assembler.h assembler_values.c assembler_patterns.c)
build/pyrunc: $(LAUNCHER_SOURCES) $(SOURCES) $(LIB)/_pyrunc_build.py $(LIB)/_pyrunc_stage build/.kind-$(LAUNCHER)
	@$(PYTHON) -I csrc/build_launcher.py $(if $(LAUNCHER),--kind $(LAUNCHER)) $@ $(CURDIR)/$(LIB)
	@$(PYTHON) -I csrc/make_launcher.py $(LIB)/_pyrunc_cold/pyrunc $(CURDIR)/$(LIB) $(CURDIR)/runtime $(CURDIR)/spec

build/.kind-$(LAUNCHER): | setup-build
	@rm -f build/.kind-*
	@touch $@

# DESTDIR is for packagers.
install: build
	@sh csrc/install.sh "$(DESTDIR)" "$(PREFIX)"

constants:
	$(PYTHON) csrc/generate.py

# -- showing and checking ----------------------------------------------------------------------------------------

demo: setup-build
	@$(MAKE) -s --no-print-directory build
	@$(CLEAN) bash tests/demo.sh build/pyrunc

test: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(PYTEST) $(or $(TESTS),tests conformance) -m "not slow" $(PYTEST_ARGUMENTS)

test-long: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(PYTEST) $(or $(TESTS),tests conformance) $(PYTEST_ARGUMENTS)

# The whole fault matrix in JOBS processes; its table is in build/faults.
JOBS := 1
faults: TESTED = FAULTS_SHARD=$$shard/$(JOBS)
faults: setup-test
	@$(MAKE) -s --no-print-directory build
	@mkdir -p build/faults && rm -f build/faults/*
	@pids=; for shard in $$(seq $(JOBS)); do \
	    $(PYTEST) -q tests/faults/test_faults.py -k test_all_faults $(PYTEST_ARGUMENTS) >build/faults/part-$$shard.log 2>&1 & \
	    pids="$$pids $$!"; done; status=0; for pid in $$pids; do wait $$pid || status=1; done; tail -n 3 build/faults/*.log; \
	cat build/faults/matrix.md; exit $$status

# VM="systemd rootless" chooses (conformance/vm/selections.py), ENGINE=qemu has the distribution's whole kernel, which the
# selection of that name always has
ENGINE := uml
VM_PACKAGES = $(shell sed 's/\#.*//' conformance/vm/packages.txt)
test-vm: setup-test
	@$(MAKE) -s --no-print-directory build
ifneq ($(filter qemu,$(ENGINE) $(or $(VM),qemu)),)
	$(call packages,$(VM_PACKAGES))
	@$(CLEAN) conformance/vm/kernel.sh build/vm
endif
	@$(CLEAN) $(VENV)/bin/python conformance/vm/run.py --engine $(ENGINE) --select $(or $(VM),all)

conformance: TESTED = RUNTIME=$(or $(RUNTIME),build/pyrunc)
conformance: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(CLEAN) conformance/runtime-tools.sh $(or $(RUNTIME),build/pyrunc)
	@$(PYTEST) conformance/engines $(PYTEST_ARGUMENTS)

# Each duty of runtime-spec, on RUNTIME; build/duties has the results.  `duties-page` writes docs/conformance.md.
DUTIES = $(CLEAN) PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/conformance $(VENV)/bin/python conformance/report.py
duties: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(DUTIES) $(or $(RUNTIME),build/pyrunc)

duties-page: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(DUTIES) --keep runc crun build/pyrunc

# FUZZ_SECONDS: for each of the four targets of libFuzzer; FUZZ_EXAMPLES: of hypothesis, for each reader in Python.
# What is found stays in build/fuzz; what libFuzzer got to goes on from there the next time.
FUZZ_SECONDS := 600
FUZZ_EXAMPLES := 20000
fuzz: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(CLEAN) $(VENV)/bin/python tests/fuzz/run.py build/fuzz $(FUZZ_SECONDS)
	@$(CLEAN) FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) PYTHONPATH=$(CURDIR)/runtime:$(CURDIR)/spec:$(CURDIR)/$(LIB) \
	    $(VENV)/bin/python -m pytest -q tests/fuzz/test_inputs.py $(PYTEST_ARGUMENTS)

lint: setup-test
	@$(PYTEST) -q tests/rules/test_linters.py

# BENCH="--rounds 40 --kinds plain,seccomp" asks for less or more; `python -m bench --help` lists the options
bench: setup-test
	@$(MAKE) -s --no-print-directory build
	@$(CLEAN) PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/runtime:$(CURDIR)/spec:$(CURDIR)/$(LIB) \
	    $(VENV)/bin/python -B -m bench $(BENCH) build/pyrunc

clean:
	rm -rf build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
