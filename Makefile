# Two commands on a fresh machine: `make demo` runs the main job, `make test` every check that CI
# runs. CARGO_TARGET_DIR is respected everywhere.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# The steps of `make test` share one target folder and are worth reading in order. tests/unified has each find
# compiled what the one before compiled: so none leaves --workspace out.
.NOTPARALLEL:

CARGO ?= cargo
say = @printf '\n==> %s\n' $(1)

.PHONY: help
help: ## Show this help
	@printf 'Usage: make TARGET\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## Sync source-faker into destination-jsonl, three times, and show what moved
	$(call say,"building the host")
	$(CARGO) build --locked
	$(call say,"building the two connectors")
	scripts/build-guests source-faker destination-jsonl
	$(call say,"the demo")
	scripts/demo

.PHONY: test
test: check-format images lint docs wit guests connectors unit test-duckdb fuzz audit ## Run every check that CI runs
	@printf '\nmake test: everything passed\n'

.PHONY: check-format
check-format: ## Check the format of the Rust code
	$(call say,"format")
	$(CARGO) fmt --all --check

.PHONY: lint
lint: ## Run clippy; a warning is an error
	$(call say,"lints")
	export $$(scripts/setup-duckdb) && \
	$(CARGO) clippy --locked --workspace --all-targets --features lockgate/duckdb -- -D warnings

.PHONY: docs
docs: ## Build the documentation; a warning is an error
	$(call say,"documentation")
	export $$(scripts/setup-duckdb) && \
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --features lockgate/duckdb

.PHONY: wit
wit: ## Validate the contract in wit/
	$(call say,"the contract")
	scripts/check-wit

.PHONY: guests
guests: ## Build all connectors that are components into target/guests
	$(call say,"the connectors that are components")
	scripts/build-guests

.PHONY: connectors
connectors: ## Install the Python connectors that the tests talk to
	$(call say,"the Python connectors of the tests")
	scripts/setup-test-connectors

.PHONY: engine
engine: ## Start the Docker engine of the tests and leave it running (scripts/engine stop ends it)
	$(call say,"the Docker engine of the tests")
	scripts/engine start

.PHONY: images
images: ## Build the images that the tests run; without what that takes, nothing else begins
	$(call say,"the images of the tests")
	scripts/with-test-services true

.PHONY: unit
unit: ## Run the tests, doctests and guests' own tests included
	$(call say,"tests")
	scripts/with-test-services $(CARGO) test --locked --workspace --no-fail-fast

.PHONY: test-duckdb
test-duckdb: ## Test what the feature duckdb adds, with the library from npm
	$(call say,"caches in DuckDB")
	export $$(scripts/setup-duckdb) && \
	$(CARGO) test --locked --workspace --features lockgate/duckdb --lib cache:: && \
	$(CARGO) test --locked --workspace --features lockgate/duckdb --test cache_duckdb

.PHONY: fuzz
fuzz: ## Fuzz each parser of what strangers write for FUZZ_SECONDS (60 in CI, else none)
	$(call say,"fuzzing")
	scripts/fuzz

.PHONY: audit dependencies
audit: ## Check licences, bans, sources and advisories of the dependencies
	$(call say,"dependencies")
	scripts/check-dependencies
dependencies: audit

.PHONY: bench
bench: guests ## Run the benchmarks and print them as a table (release build, minutes)
	$(call say,"benchmarks")
	$(CARGO) bench --locked --bench throughput

.PHONY: fmt
fmt: ## Format the Rust code
	$(CARGO) fmt --all
