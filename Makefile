.DEFAULT_GOAL := help

TOOL := go tool -modfile=internal/tools/go.mod
MODULE_TOOL := go tool -modfile='$(CURDIR)/internal/tools/go.mod'
VERSION ?= $(or $(shell git describe --tags --match 'v*' --dirty 2>/dev/null | sed s/^v//),0.1.0-dev)
FUZZTIME ?= 5s
SEEDS ?= 300
SEED ?=
FROM ?=
MINUTES ?= 10
RATE ?= 30
BENCH ?= .
FORMAT ?=

COLLECTOR := bin/otelcol-slacklogs
HELPER := bin/slacklogs
HELPER_LDFLAGS := -s -w -X github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb.Version=$(VERSION)
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
# What the binaries are built from, so that they are built only when it changed.
SOURCES := go.mod go.sum $(shell find cmd detections internal receiver -type f ! -name '*_test.go' ! -name '*.md' ! -path '*/testdata/*' 2>/dev/null)

.PHONY: help
help: ## Print this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F '|' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: run
run: collector helper ## Show Slack's logs on the terminal: with SLACK_TOKEN set Slack's, otherwise a simulator's
	@scripts/run.sh

.PHONY: collector
collector: $(COLLECTOR) ## Build bin/otelcol-slacklogs, a collector with the receiver

# ocb takes the version from the environment; env, because a shell can't set a variable with a dot.
$(COLLECTOR): builder-config.yaml internal/tools/go.mod $(SOURCES)
	env dist.version=$(VERSION) $(TOOL) builder --config builder-config.yaml
	@mkdir -p bin
	install -m 755 .build/otelcol-slacklogs $@

.PHONY: helper
helper: $(HELPER) ## Build bin/slacklogs, the command-line helper

$(HELPER): $(SOURCES)
	CGO_ENABLED=0 go build -trimpath -ldflags '$(HELPER_LDFLAGS)' -o $@ ./cmd/slacklogs

.PHONY: binaries
binaries: ## Build both binaries, static, for PLATFORMS (linux and darwin, amd64 and arm64) into dist/OS/ARCH
	rm -rf dist
# An empty folder, for deploy/Dockerfile: an image from scratch has no command that could make one.
	mkdir -p dist/state
	env dist.version=$(VERSION) $(TOOL) builder --config builder-config.yaml --skip-compilation
# Without what git knows of the sources: a clone, an archive and a container's copy of them give the same bytes.
	@set -e; for platform in $(PLATFORMS); do \
	  export CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/}; set -x; \
	  go build -C .build -trimpath -buildvcs=false -ldflags '-s -w' -o '$(CURDIR)'/dist/$$platform/otelcol-slacklogs .; \
	  go build -trimpath -buildvcs=false -ldflags '$(HELPER_LDFLAGS)' -o dist/$$platform/slacklogs ./cmd/slacklogs; \
	  { set +x; } 2>/dev/null; \
	done

.PHONY: dist
dist: binaries ## Pack them into dist/slacklogs_VERSION_OS_ARCH.tar.gz, with SHA256SUMS
	scripts/dist.sh $(VERSION) $(PLATFORMS)

.PHONY: test
test: unit sim broken fuzz crash leader schemas alerts deploy-check e2e ## All tests that a change must pass

.PHONY: unit
unit: ## Unit tests, with the race detector
# The engine's tests run in one goroutine, on a virtual clock: there is nothing to race. It races in the receiver's.
	go test -race $$(go list ./... | grep -v /internal/poll$$)
	go test ./receiver/slacklogsreceiver/internal/poll

.PHONY: sim
sim: ## Let the poll engine live through SEEDS (300) random bad days; SEED=n repeats one, step by step
# The binary is run by itself, as go test shows nothing while it runs and adds a line at the end.
	@mkdir -p .build
	go test -c -o .build/poll.test ./receiver/slacklogsreceiver/internal/poll
	@cd receiver/slacklogsreceiver/internal/poll && \
	  SEEDS='$(SEEDS)' SEED='$(SEED)' FROM='$(FROM)' '$(CURDIR)/.build/poll.test' -test.run '^TestSimulation$$' -test.timeout $(if $(filter 300,$(SEEDS)),20m,0)

.PHONY: soak
soak: collector ## Let the built collector live MINUTES (10) under load and faults: nothing may grow, be lost or repeat
	SOAK_MINUTES='$(MINUTES)' SLACKLOGS_COLLECTOR='$(CURDIR)/$(COLLECTOR)' \
	  go test -count=1 -v -run '^TestSoak$$' -timeout 0 ./internal/crashtest

.PHONY: outage
outage: collector ## Let the built collector catch up with a day of a million entries, with RATE (30) calls a minute
	OUTAGE_RATE='$(RATE)' SLACKLOGS_COLLECTOR='$(CURDIR)/$(COLLECTOR)' \
	  go test -count=1 -v -run '^TestOutage$$' -timeout 0 ./internal/crashtest

.PHONY: broken
broken: ## Show that the simulations notice broken engines
	BROKEN=1 go test -count=1 -run TestBrokenEngines -timeout 20m ./receiver/slacklogsreceiver/internal/poll

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (5s)
	scripts/fuzz.sh $(FUZZTIME)

# The tests that ask where the collector is; without the answer they skip.
CRASH_TESTS = $(sort $(dir $(shell grep -rl --include='*_test.go' SLACKLOGS_COLLECTOR cmd internal receiver)))

.PHONY: crash
crash: collector helper ## Tests on the built collector: killed, restarted, the examples loaded
	$(if $(CRASH_TESTS),SLACKLOGS_COLLECTOR='$(CURDIR)/$(COLLECTOR)' SLACKLOGS_HELPER='$(CURDIR)/$(HELPER)' \
	  go test -count=1 -v $(addprefix ./,$(CRASH_TESTS)))

.PHONY: dist-check
dist-check: dist ## Look into what dist has made for PLATFORMS: checksums, nothing of this machine
	SLACKLOGS_DIST='$(CURDIR)/dist' VERSION='$(VERSION)' PLATFORMS='$(PLATFORMS)' go test -count=1 -v -run '^TestDist$$' ./internal/crashtest

.PHONY: deploy-check
deploy-check: ## Check deploy/ with Kubernetes' and BuildKit's own code; crash runs its configuration and its unit
	cd test/deploy && go test -count=1 ./...

# Modules of their own, so that nobody else has to build what they need.
MODULES := test/leader test/schemas test/deploy test/e2e

# Without the race detector: creating a second of these extensions in a process races with the first one's calls.
.PHONY: leader
leader: ## Test the takeover with the real extension k8s_leader_elector
	cd test/leader && go test -count=1 ./...

.PHONY: schemas
schemas: ## Test examples/schemas with the real transform processor
	cd test/schemas && go test -count=1 ./...

# Not part of test: the parsers and engines for SIEMs are no Go modules. Needs Python 3.12 (PYTHON names it), Maven and a
# JDK of 17 or later.
.PHONY: siem-check
siem-check: ## Check what is compiled for Splunk and Elastic with parsers and an engine that others wrote
	scripts/siem-splunk.sh
	scripts/siem-elastic.sh

# promtool comes with Debian's package prometheus; .ci/run installs it.
.PHONY: alerts
alerts: ## Test the alerts with promtool; where it is not installed, say so
	@if command -v promtool >/dev/null || [ -n "$$CI" ]; then set -ex; \
	  promtool check rules examples/prometheus/alerts.yml; \
	  promtool test rules examples/prometheus/*_test.yml; \
	else echo 'The alerts are not tested: there is no promtool. It is in the package prometheus.'; fi

.PHONY: e2e
e2e: ## Run the examples for backends with the real exporters, and compare what arrives
	cd test/e2e && go test -count=1 ./...

.PHONY: bench
bench: ## Measure the goals for CPU, memory and calls, in one run; FORMAT=json prints an object a goal
# The binary is run by itself, as go test adds a line at the end.
	@mkdir -p .build
	@go test -c -o .build/bench.test ./receiver/slacklogsreceiver/internal/bench
	@GOALS=1 FORMAT='$(FORMAT)' .build/bench.test -test.run '^TestGoals$$' -test.timeout 20m

.PHONY: bench-go
bench-go: ## Run the Go benchmarks that match BENCH (all)
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: lint
lint: ## Run the linters
	$(TOOL) golangci-lint run
	@set -e; for module in $(MODULES); do (set -x; cd $$module && $(MODULE_TOOL) golangci-lint run); done

.PHONY: fmt
fmt: ## Format the Go files
	$(TOOL) golangci-lint fmt

.PHONY: generate
generate: ## Write what mdatagen makes of metadata.yaml
	go generate ./...

.PHONY: tidy
tidy: ## Tidy go.mod
	go mod tidy
	@set -e; for module in $(MODULES); do (set -x; cd $$module && go mod tidy); done

.PHONY: tidy-check
tidy-check: ## Fail if go.mod is not tidy
	go mod tidy -diff
	@set -e; for module in $(MODULES); do (set -x; cd $$module && go mod tidy -diff); done

.PHONY: clean
clean: ## Remove what was built, and what `make run` keeps
	rm -rf bin .build .run dist
