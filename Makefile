# SPDX-License-Identifier: Apache-2.0
#
# The front door.  CMake does the work (CMakePresets.json); this file only names what people type.
JOBS ?= $(shell nproc)
MAKEFLAGS += --no-print-directory

.PHONY: all demo check check-long bench fuzz format lint clean install help

all:                            ## build the products into bin/ (build packages only, no root)
	@scripts/deps ask build
	@cmake --preset release --log-level=WARNING $(CMAKE_FLAGS)
	@cmake --build build/release -j$(JOBS)

demo: ; @scripts/demo           ## install what is missing, build, serve, measure, verify, plot
check: ; @scripts/check         ## install what the tests need, then run them all (20 minutes up)
check-long: ; @scripts/check --long  ## also the suites labelled long, which take far longer
bench: ; @scripts/bench         ## measure against the peers; JSON and plots in bench-out/
fuzz: ; @scripts/fuzz           ## fuzz every target for FUZZ_SECONDS (default 30) each
format: ; @scripts/lint --fix   ## clang-format in place
lint: ; @scripts/lint           ## format, clang-tidy, shellcheck, layers
install: all                    ## install into PREFIX (/usr/local)
	@cmake --install build/release $(if $(PREFIX),--prefix "$(PREFIX)")

clean:                          ## remove what was built or written here, but no findings
	@scripts/clean

help:                           ## this text
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
