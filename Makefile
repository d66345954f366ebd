# ar-supervisor: `make run` and `make test` do all the set-up they need.
.PHONY: help run test lint bench compare fuzz qgis setup sqlx
DATA_DIR ?= .dev-data
CARGO_FLAGS ?= --locked

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: setup ## Build and run everything: a private PostgreSQL, demo data, the server (Ctrl-C stops it)
	cargo build --release $(CARGO_FLAGS)
	@exec target/release/ar-supervisor dev --data-dir "$(DATA_DIR)" $(ARGS)

test: setup ## Run all tests, on a private PostgreSQL
	cargo test $(CARGO_FLAGS) --lib --bins --test it
	cargo test $(CARGO_FLAGS) --doc

lint: ## Formatting and clippy, warnings are errors
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

bench: setup ## Criterion benches, with the table of ratios and growth exponents (some minutes)
	cargo bench $(CARGO_FLAGS) --bench geo --bench discovery --bench accounts --bench devices

compare: setup ## HTTP beside pgbench and Redis, and sign-ins, under load; writes benches/RESULTS.md (some minutes)
	@.ci/install compare
	cargo bench $(CARGO_FLAGS) --bench compare

fuzz: setup ## Schemathesis against the published OpenAPI of a running server (needs Python and pip)
	@.ci/fuzz

qgis: setup ## Open the analysts' project with QGIS, headless, and read every view with GDAL (installs them)
	@.ci/install qgis
	@.ci/qgis

setup: # PostgreSQL, PostGIS and curl, where they are missing
	@.ci/install base

sqlx: setup ## Renew .sqlx/ after a changed query or migration
	@.ci/sqlx-prepare
