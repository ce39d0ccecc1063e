# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TARGET := wasm32-wasip1
WASM := target/$(TARGET)/release/secret_injector_policy.wasm
SOURCES := $(shell find src -name '*') Cargo.toml Cargo.lock rust-toolchain.toml .cargo/config.toml Makefile
VENV := .venv
GO_WEBHOOK := target/go-webhook
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
OCI_ADDRESS := registry://$(shell sed -n 's|^ *io.kubewarden.policy.ociUrl: *||p' metadata.yml):v$(VERSION)

# The stack ends where a page of 4 KiB does, and what is written at the start (.data, .bss and the beginning of the heap) begins
# where one does: so either is in one page and not in two, each of which the host's system makes anew for every request.
# The constants stand between the two: where an instance costs more than noop's in `make bench`, they have grown or shrunk.
# Linux maps constants 16 pages at a time, from a page whose number can be divided by 16. What is written at the start is the
# last page of such a part, page 271, so that the constants are in two parts and not in three.
#
# The linker leaves room for the longest number wherever it fills in an address; compressed, that is 7 % of the module.
#
# Small functions go into their callers. Without that, opt-level "z" calls each: 6 % smaller, and a third slower.
CODEGEN := -C link-arg=-zstack-size=1011712 -C link-arg=--global-base=1011760 -C link-arg=--compress-relocations -C llvm-args=-inline-threshold=50

FUZZ ?= text_format
TIME ?= 600
SANITIZER ?= address
SEED ?= 1

# With panic = "abort" cargo builds a library twice under one name: once for a benchmark, which unwinds.
UNWIND := CARGO_PROFILE_RELEASE_PANIC=unwind
# As the policy server sets its allocator, but for the profiler
# (https://github.com/kubewarden/kubewarden-controller/blob/main/crates/policy-server/src/main.rs).
ALLOCATOR := MALLOC_CONF=background_thread:true,tcache_max:4096,dirty_decay_ms:5000,muzzy_decay_ms:5000
# The first processor that this process may run on.
ONE_CORE := taskset --cpu-list $$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)

# How long a part of `make test` takes.
TIMED := TIMEFORMAT='==> It took %0R s, and %0U s of the processor'; time

EXAMPLE ?= flyte-task
EXAMPLE_DIR := e2e-tests/examples/$(EXAMPLE)
CLUSTER := $(addprefix $() --cluster ,$(wildcard $(EXAMPLE_DIR)/cluster.yaml))
TOOL := target/debug/secret-injector
# `make install` puts the tool there.
PREFIX ?= $(HOME)/.local

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z][a-zA-Z0-9_. -]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "%-24s %s\n", $$1, $$2}'

.PHONY: toolchain
toolchain: ## Add the Rust target for WebAssembly
	@rustup target list --installed | grep -qx $(TARGET) || { echo "==> Adding the Rust target $(TARGET)"; rustup target add $(TARGET); }

policy.wasm: $(SOURCES) | toolchain ## Build the policy
	@echo "==> Building policy.wasm"
	@# A library that is an rlib too gets no link-time optimisation.
	@cargo rustc --release --target $(TARGET) -p secret-injector-policy --lib --crate-type cdylib -- $(CODEGEN)
	@cp $(WASM) policy.wasm
	@echo "==> policy.wasm: $$(( $$(wc -c < policy.wasm) / 1024 )) KiB"

annotated-policy.wasm: policy.wasm metadata.yml README.md ## Build the policy with its metadata, as it is published (needs kwctl)
	@command -v kwctl >/dev/null || { echo "kwctl is not installed: see https://docs.kubewarden.io/howtos/install-kwctl; 'make test' runs the cases of 'make e2e-tests' on the embedded host" >&2; exit 1; }
	@kwctl annotate -m metadata.yml -u README.md -o annotated-policy.wasm policy.wasm

.PHONY: run
run: policy.wasm ## Show what the policy does to an example's Pod (EXAMPLE=name, see e2e-tests/examples)
	@echo "==> Building the tool secret-injector"
	@cargo build -p secret-injector-cli
	@echo "==> $(TOOL) preview $(EXAMPLE_DIR)/pod.yaml --settings $(EXAMPLE_DIR)/settings.yaml$(CLUSTER)"
	@$(TOOL) preview $(EXAMPLE_DIR)/pod.yaml --settings $(EXAMPLE_DIR)/settings.yaml$(CLUSTER)
	@echo
	@echo "==> What to try next"
	@echo "make run EXAMPLE=vault          another example: $(sort $(filter-out $(EXAMPLE),$(notdir $(wildcard e2e-tests/examples/*))))"
	@echo "$(TOOL) preview POD.yaml     a Pod or a Deployment of yours; --help says what else"
	@echo "make install                    the tool in $(PREFIX)/bin, with the policy in it"
	@echo "make test                       what has to pass before a commit"

.PHONY: tool
tool: policy.wasm ## Build the operators' tool: target/debug/secret-injector
	@cargo build -p secret-injector-cli
	@echo "$(TOOL)"

.PHONY: test-tool
test-tool: policy.wasm ## Check and test the tool as it is released, with the policy in it and the client for clusters
	@echo "==> Running clippy and the tests on the tool as it is released (the first time takes a few minutes)"
	@cargo clippy -p secret-injector-cli --all-targets --features embedded,kube -- -D warnings
	@cargo test -p secret-injector-cli --features embedded,kube

.PHONY: install
install: policy.wasm ## Install the tool with the policy in it, and able to ask a cluster (PREFIX=~/.local)
	@echo "==> Building the tool with the policy and the client for clusters (the first time takes a few minutes)"
	@cargo build --profile tool -p secret-injector-cli --features embedded,kube
	@install -D target/tool/secret-injector "$(PREFIX)/bin/secret-injector"
	@ln -sf secret-injector "$(PREFIX)/bin/kubectl-secret_injector"
	@echo "$(PREFIX)/bin/secret-injector"

.PHONY: fmt
fmt: ## Format the Rust code
	@cargo fmt --all

.PHONY: lint
lint: ## Check format and lints
	@echo "==> Checking the format"
	@cargo fmt --all --check
	@echo "==> Running clippy"
	@$(TIMED) cargo clippy --workspace --all-targets -- -D warnings

.PHONY: test
test: lint policy.wasm ## Check format and lints, run the unit tests and the tests on the real module
	@echo "==> Running the unit tests"
	@$(TIMED) cargo test -p secret-injector-policy
	@echo "==> Running the tests of the tool"
	@$(TIMED) cargo test -p secret-injector-cli
	@echo "==> Running the tests on policy.wasm, in the policy server's engine"
	@$(TIMED) cargo test -p e2e-tests

$(VENV)/validate: e2e-tests/schema/requirements.txt
	@echo "==> Making a Python virtual environment"
	@python3 -m venv $(VENV)/validate
	@$(VENV)/validate/bin/pip install --quiet -r $<
	@touch $@

.PHONY: validate-pods
validate-pods: policy.wasm $(VENV)/validate ## Check the Pods that the policy has mutated against the Kubernetes schemas
	@echo "==> Collecting the mutated Pods"
	@rm -rf target/mutated-pods
	@MUTATED_PODS=$(CURDIR)/target/mutated-pods cargo test --quiet -p e2e-tests --test policy --test presets --test kwctl --test mixed
	@$(VENV)/validate/bin/python e2e-tests/schema/validate.py target/mutated-pods

.PHONY: e2e-tests
e2e-tests: annotated-policy.wasm ## Run the cases on the real kwctl (needs kwctl, bats and jq)
	@for tool in kwctl bats jq; do \
	  command -v $$tool >/dev/null || { echo "$$tool is not installed; 'make test' runs the same cases on the embedded host" >&2; exit 1; }; \
	done
	@bats e2e-tests/kwctl.bats

.PHONY: sessions
sessions: policy.wasm ## Record the session files for kwctl anew
	@UPDATE_SESSIONS=1 cargo test -p e2e-tests --test kwctl sessions_are

.PHONY: bench
bench: policy.wasm ## Measure the policy beside the baselines (QUICK=1: fewer rounds)
	@QUICK=$(QUICK) $(UNWIND) $(ALLOCATOR) cargo bench -p e2e-tests --features jemalloc --bench evaluation

$(GO_WEBHOOK): e2e-tests/go-webhook/main.go e2e-tests/go-webhook/build.py
	@echo "==> Building the webhook in Go, with Go and its libraries from Debian (some 70 MB)"
	@python3 e2e-tests/go-webhook/build.py target/go $@

.PHONY: bench-go
bench-go: policy.wasm $(GO_WEBHOOK) ## Measure the policy beside a webhook in Go
	@$(UNWIND) cargo build --quiet --profile bench -p e2e-tests --features jemalloc --bin bench_go
	@$(ALLOCATOR) $(ONE_CORE) target/release/bench_go

.PHONY: growth
growth: policy.wasm ## Measure how time grows with containers and secrets, the memory of the largest Pods, and the worst inputs
	@$(UNWIND) cargo build --quiet --profile bench -p e2e-tests --bin growth
	@target/release/growth
	@cargo test --quiet -p e2e-tests --test limits memory_is_bounded -- --nocapture 2>&1 | grep -v "^memory allocation\|RUST_BACKTRACE"
	@echo "| Worst inputs | Slowest ms | Largest answer KiB |"
	@WORST=1 cargo test --quiet -p e2e-tests --test limits -- --nocapture 2>&1 | grep -o '| `.*' | sort -t '|' -k 3 -n -r

.PHONY: soak
soak: policy.wasm ## Evaluate 10,000 different Pods for ten minutes; fails where the memory grows (TIME=600)
	@$(UNWIND) cargo build --quiet --profile bench -p e2e-tests --features jemalloc --bin soak
	@$(ALLOCATOR) target/release/soak $(TIME)

.PHONY: sizes
sizes: | toolchain ## List how many bytes of policy.wasm each crate takes
	@echo "==> Building policy.wasm with its names, in target/sizes"
	@CARGO_TARGET_DIR=target/sizes cargo rustc --quiet --release --target $(TARGET) -p secret-injector-policy --lib \
	  --crate-type cdylib --config 'profile.release.strip="debuginfo"' -- $(CODEGEN)
	@python3 e2e-tests/sizes.py target/sizes/$(TARGET)/release/secret_injector_policy.wasm

.PHONY: deny
deny: ## Check the dependencies' licences, sources and versions, and known vulnerabilities where the network allows (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed: cargo install cargo-deny --locked" >&2; exit 1; }
	@cargo deny --workspace check bans licenses sources
	@cargo deny --workspace check advisories

.PHONY: fuzz
fuzz: ## Fuzz one target, see fuzz/README.md (FUZZ=text_format TIME=600 SANITIZER=address; needs cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@echo "==> Fuzzing $(FUZZ) for $(TIME) seconds"
	@RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer $(SANITIZER) $(FUZZ) -- -max_total_time=$(TIME) -len_control=0 -timeout=10 -print_final_stats=1

.PHONY: fuzz-minimise
fuzz-minimise: ## Leave out of a target's corpus what adds no coverage (FUZZ=name; needs cargo-fuzz)
	@RUSTC_BOOTSTRAP=1 cargo fuzz cmin $(FUZZ)

$(VENV)/%/ready: e2e-tests/clients/requirements-%.txt
	@echo "==> Making a Python virtual environment with $*"
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

.PHONY: clients
clients: policy.wasm $(VENV)/flytekit/ready $(VENV)/flyte/ready ## Run tasks of flytekit and the flyte SDK that read injected secrets
	@echo "==> Building the tool, and the program that does the kubelet's work (the first time takes a few minutes)"
	@cargo build --quiet -p secret-injector-cli
	@cargo build --quiet -p e2e-tests --bin resolve
	@failed=0; \
	for sdk in flytekit flyte; do \
	  echo "==> Running tasks of $$sdk"; \
	  $(VENV)/$$sdk/bin/python e2e-tests/clients/$${sdk}_tasks.py || failed=1; \
	done; \
	exit $$failed

$(VENV)/text-format: fuzz/text_format/requirements.txt
	@echo "==> Making a Python virtual environment"
	@python3 -m venv $@
	@$@/bin/pip install --quiet -r $<
	@touch $@

.PHONY: text-format
text-format: $(VENV)/text-format ## Compare the reader of protobuf's text format with Python's on generated texts (SEED=1)
	@echo "==> Building the policy's reader"
	@cargo build --quiet --manifest-path fuzz/Cargo.toml --example decode
	@$</bin/python fuzz/text_format/compare.py fuzz/target/debug/examples/decode --seed $(SEED)

.PHONY: clients-confidant
clients-confidant: policy.wasm ## Run the injected Confidant init container against a real Confidant server
	@cargo build --quiet -p secret-injector-cli
	@e2e-tests/confidant/run.sh

.PHONY: push
push: annotated-policy.wasm ## Push the policy to a registry (OCI_ADDRESS=registry://…, needs kwctl)
	@kwctl push annotated-policy.wasm $(OCI_ADDRESS)

.PHONY: first-build
first-build: ## Measure make run in a fresh clone with empty caches (TARGET_TO_MEASURE=test: the parts of make test)
	@.ci/first-build $(or $(TARGET_TO_MEASURE),run)

.PHONY: clean
clean: ## Remove what was built
	@cargo clean
	@rm -rf policy.wasm annotated-policy.wasm .venv
