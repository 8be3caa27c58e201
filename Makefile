# What the developers of Purser run. `make` alone lists it; CONTRIBUTING.md says more.

FUZZTIME ?= 20s
GOLANGCI_LINT ?= go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

ALL := ./... ./examples/...

# SQLite drivers that can't be linked together, each with the stores' tests in a module of its own.
DRIVERS := testdata/drivers/mattn testdata/drivers/ncruces

# The race detector watches Go. SQLite in Go is C that was translated, with memory of its own: to watch that too finds nothing
# and takes more than half of the tests' time.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

# Property tests take the same inputs in every run, and new ones in every soak.
RAPID_CHECKS ?= 100
RAPID_SEED ?= 1

# Stamping programs with the commit fails where the clone belongs to another user, as it often does in containers.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: tools postgres chromium ## all tests, of the library and the examples, with Postgres and Chromium (at most 20 minutes on two cores)
	GOWORK=off go build ./...
	GOWORK=off go vet ./...
	RAPID_CHECKS=$(RAPID_CHECKS) RAPID_SEED=$(RAPID_SEED) bin/withpostgres bin/gotest $(RACE) -count=1 -timeout 30m $(ALL)
	for driver in $(DRIVERS); do (cd $$driver && GOWORK=off $(CURDIR)/bin/gotest -count=1 ./...) || exit; done

.PHONY: test-short
test-short: programs ## what needs nothing but Go, within a minute or two
	bin/gotest -short $(ALL)

.PHONY: soak
soak: tools postgres chromium ## all tests with the counts that the promises state (hours)
	PURSER_SOAK=1 RAPID_CHECKS=10000 bin/withpostgres bin/gotest $(RACE) -count=1 -timeout 24h $(ALL)

.PHONY: mutants
mutants: tools postgres chromium ## break each promise on purpose and see its test fail (ONLY=part of a patch's name)
	bin/withpostgres bin/mutants $(ONLY)

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (20s)
	.ci/fuzz $(FUZZTIME) $(ALL)

.PHONY: bench
bench: tools postgres redis ## what the work costs, against other ways to do it; writes docs/benchmarks.md (ONLY=expression, then it does not)
	go run ./examples/internal/bench $(if $(ONLY),--only '$(ONLY)')

.PHONY: microbench
microbench: tools postgres ## Go's own benchmarks (ONLY=expression)
	bin/withpostgres go test -run '^$$' -bench '$(or $(ONLY),.)' -benchmem -timeout 2h $(ALL)

.PHONY: lint
lint: ## golangci-lint (GOLANGCI_LINT=golangci-lint takes an installed one)
	$(GOLANGCI_LINT) run $(ALL)

.PHONY: fmt
fmt: ## format the code as lint wants it
	$(GOLANGCI_LINT) fmt

.PHONY: screenshots
screenshots: chromium ## pictures of the server's page with its demo, in docs/screenshots
	go run ./examples/internal/screenshots

.PHONY: tools
tools:
	@.ci/tools

.PHONY: postgres
postgres: programs
	@bin/withpostgres 2>/dev/null || .ci/install-postgres
	@bin/withpostgres

.PHONY: chromium
chromium: programs
	@bin/findchromium 2>/dev/null || .ci/install-chromium
	@bin/findchromium

# Without it, make bench says what it leaves out.
.PHONY: redis
redis:
	@command -v redis-server >/dev/null || .ci/install-redis || true

.PHONY: programs
programs:
	@go build -o bin/ ./internal/gotest ./internal/mutants ./internal/pgtest/withpostgres
	@go build -o bin/ ./examples/internal/browser/findchromium
