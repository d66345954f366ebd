# ar-supervisor: `make run` and `make test` do all the set-up they need.
.PHONY: help run test soak otel browser smooth lint bench compare fuzz qgis image deployment setup page sqlx
DATA_DIR ?= .dev-data
CARGO_FLAGS ?= --locked

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: setup page ## Build and run everything: a private PostgreSQL, demo data, the server (Ctrl-C stops it)
	cargo build --release $(CARGO_FLAGS)
	@exec target/release/ar-supervisor dev --data-dir "$(DATA_DIR)" $(ARGS)

test: setup ## Run all tests, on a private PostgreSQL and in a real browser
	@.ci/install test
	@.ci/npm browser
	@.ci/install promtool
	cargo test $(CARGO_FLAGS) --lib --bins --test it
	cargo test $(CARGO_FLAGS) --doc
	@$(MAKE) --no-print-directory browser

soak: setup ## Prove every promise at its full number and print the table; SOAK=P4,P9 proves some (75 minutes)
	@.ci/install test
	@.ci/npm browser
	cargo test $(CARGO_FLAGS) --test soak

otel: setup ## Lint and test the export of spans, which a plain build leaves out (feature `otel`)
	@.ci/install promtool
	cargo clippy $(CARGO_FLAGS) --features otel --all-targets -- -D warnings
	cargo test $(CARGO_FLAGS) --features otel --lib --test it -- telemetry

browser: setup ## Run the tests of the admin page in Chromium; PICTURES=1 renews the README's pictures
	@.ci/npm browser
	@# The program as the tests of `make test` have it: a plain build has other features of its dependencies.
	cargo test $(CARGO_FLAGS) --no-run --test it
	cd tests/browser && node --test --test-concurrency=1

smooth: setup ## How smooth the live map stays with a million decorations and 10,000 edge servers, beside an empty one (5 minutes)
	@.ci/npm browser
	cargo test $(CARGO_FLAGS) --no-run --test it
	cd tests/browser && node smooth.mjs

lint: ## Formatting and clippy, warnings are errors
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

bench: setup ## Criterion benches, with the table of ratios and growth exponents (some minutes)
	cargo bench $(CARGO_FLAGS) --bench geo --bench discovery --bench accounts --bench devices --bench telemetry

compare: setup ## HTTP beside pgbench and Redis, and sign-ins, under load; writes benches/RESULTS.md (some minutes)
	@.ci/install compare
	cargo bench $(CARGO_FLAGS) --bench compare

fuzz: setup ## Schemathesis against the published OpenAPI of a running server (needs Python and pip)
	@.ci/fuzz

qgis: setup ## Open the analysts' project with QGIS, headless, and read every view with GDAL (installs them)
	@.ci/install qgis
	@.ci/qgis

image: ## Build the image and run it as docker/compose.yaml would, on loopback (installs what it needs; 15 minutes at first)
	@.ci/image

deployment: ## Check what is in docker/ by the schemas of Compose, Kubernetes, systemd and HAProxy
	@.ci/deployment

page: # What the admin page is built on; without it everything else works
	@.ci/npm page || echo "Going on without the admin page."

setup: # PostgreSQL, PostGIS and curl, where they are missing
	@.ci/install base

sqlx: setup ## Renew .sqlx/ after a changed query or migration
	@.ci/sqlx-prepare
