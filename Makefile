# What people type. CI (.ci/run) calls these same targets.

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help build release demo test check deny engine images browser faketime registry bench completions clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the development build
	$(CARGO) build --locked

release: ## the optimised build (minutes)
	$(CARGO) build --locked --release

# The development build: it is ready minutes before a release build, and the time a demo takes is the container's.
demo: engine build ## run the sample pipeline in a container
	@dev/demo $(TARGET_DIR)/debug/argon

test: engine images browser faketime ## every test, with a real engine, a real registry and a real browser
	@dev/with-registry $(CARGO) test --locked --no-fail-fast

check: ## formatting and lints, with and without the optional features, those included that are off by default
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked --lib --bins --features keyring -- -D warnings

deny: ## licences, advisories, banned crates, sources (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: installing it takes some minutes" >&2; \
		$(CARGO) install --locked cargo-deny; }
	$(CARGO) deny check

engine: ## a container engine that answers
	@dev/engine

images: engine ## the images that tests run in
	@dev/images

browser: ## the browser that the dashboard is tested in
	@dev/browser

faketime: ## what moves the clock of a listener in a test
	@dev/faketime

registry: engine ## local registries for the pull tests; prints their addresses
	@dev/images busybox
	@dev/registry start

bench: engine release ## measure against the budgets
	@dev/images busybox
	@dev/bench $(TARGET_DIR)/release/argon
	@dev/bench-validate $(TARGET_DIR)/release/argon

completions: build ## regenerate completions/: shell scripts and manual pages
	@dev/generate $(TARGET_DIR)/debug/argon

generate: completions ## regenerate all that is written from the source: completions/ and the tables of docs/pipeline.md
	@ARGON_UPDATE_DOCS=1 $(CARGO) test -q --test it -- the_reference_has_the_tables_of_the_language

clean: ## the build output and the local registries
	@dev/registry stop
	$(CARGO) clean
