# `make` lists what there is. Everything made here lies in .venv and .local, but for the compiled module.
.DEFAULT_GOAL := help
.PHONY: help setup demo test-unit test-integration test test-all test-servers coverage test-fresh chaos fuzz bench bench-full bench-micro bench-kpis plots docs lint format lock audit clean

python := .venv/bin/python
coverage := $(python) -m coverage
parallel := --numprocesses 4 --dist loadfile --no-loadscope-reorder
pytest := $(python) -m pytest $(parallel)
# The temporary files of everything below.
export TMPDIR := $(CURDIR)/.local/tmp

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install all that is needed; a second run only looks
	@dev/setup/setup.sh

demo: ## Run the pipeline with simulated traffic until Ctrl-C (SECONDS=30: so long; RATE=500)
	@dev/setup/setup.sh demo
	@$(python) -m dev.demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RATE),--rate $(RATE))

test-unit: ## Tests that start no server, in seconds (ARGS: pytest's)
	@dev/setup/setup.sh python
	@$(pytest) -m "not slow" tests/unit tests/contract $(ARGS)

test-integration: setup ## Tests against a real broker and a real database (BROKER=apache|embedded|apache-3.9|apache-2.8, SERVER=mysql-9.7 choose the servers; ARGS)
	@$(python) -m dev
	@$(pytest) -m "not slow" --ignore tests/unit --ignore tests/contract $(ARGS)

test: setup ## Lint, types and all of these tests (BROKER, SERVER, ARGS)
	@$(python) -m dev
	@$(MAKE) --no-print-directory lint
	@$(pytest) -m "not slow" $(ARGS)

test-all: setup ## All of `make test`, and the long tests and variants that it leaves out
	@for kafka in apache-3.9 apache-2.8; do dev/setup/fetch_kafka.sh $$kafka || echo "$$kafka could not be fetched: its tests skip."; done
	@$(python) -m dev
	@$(MAKE) --no-print-directory lint
	@$(pytest) $(ARGS)

test-servers: ## All tests on each database server (SERVERS='mysql-9.7 mariadb-11.8' chooses them; ARGS)
	@status=0; for server in $(or $(SERVERS),mariadb-10.11 mariadb-11.8 mysql-8.0.31 mysql-9.7); do \
		echo "On $$server:"; SERVER=$$server $(MAKE) --no-print-directory test-all || status=1; \
	done; exit $$status

coverage: setup ## Branch coverage of the tests of `make test`, in workers and commands too; fails where a folder is below 95 % (BROKER, ARGS)
	@$(python) -m dev
	@$(coverage) erase
	@$(coverage) run -m pytest $(parallel) -m "not slow" $(ARGS); tests=$$?; \
	$(coverage) combine --quiet && $(coverage) report || exit; \
	for folder in agents models source pipeline db; do \
		printf '%-8s ' $$folder; \
		$(coverage) report --include="$$folder/*" --format=total || tests=1; \
	done; exit $$tests

test-fresh: ## The same on a bare Debian, as root (DEBIAN=trixie PYTHON=python3.14 JAVA=1 WHAT='demo SECONDS=10')
	@dev/setup/fresh.sh

chaos: setup ## Random faults under traffic and a table of the outcome (ROUNDS=200 SEED=1 BROKERS=3 SERVER=… BROKER=…)
	@$(python) -m tests.chaos.campaign --rounds $(or $(ROUNDS),28) --seed $(or $(SEED),1) --brokers $(or $(BROKERS),1)

fuzz: setup ## Mutated values against the decoding rules (VALUES=1000000 SEED=1)
	@$(python) -m tests.contract.fuzz --values $(or $(VALUES),1000000) --seed $(or $(SEED),1)

bench: setup ## This app beside others, in minutes (WHAT=latency|ordinary|partitions|workers|rows|traffic|network|servers|bad|refused|duplicates|catalogue|codecs|backlog|outage|restarts: itself alone; ROUNDS=5 SCALE=0.1)
	@benchmarks/peers/setup.sh
	@$(python) -m benchmarks $(or $(WHAT),quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SCALE),--scale $(SCALE))

bench-full: setup ## All peers and scenarios, more than an hour on a quiet machine (ROUNDS=5)
	@benchmarks/peers/setup.sh
	@$(python) -m benchmarks full $(if $(ROUNDS),--rounds $(ROUNDS))

bench-micro: setup ## Each stage of the pipeline by itself, nothing else running
	@$(python) -m pytest benchmarks/micro -o addopts= --benchmark-columns=median,iqr,rounds

bench-kpis: setup ## What the sales sums cost an insert, and how soon the views answer (ROWS=1000000)
	@$(python) -m benchmarks.kpis $(if $(ROWS),--rows $(ROWS))

plots: setup ## Draw the results of the benchmarks into docs/plots
	@$(python) -m benchmarks.plots

docs: setup ## Write the parts of the documentation that are made from the code
	@$(python) -m dev.docs

lint: setup ## Lint, formatting and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

format: setup ## Format, and fix what the linter can
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

lock: setup ## Write requirements.lock and requirements-build.lock, with hashes, and the list of licences
	@.venv/bin/uv pip compile -q --generate-hashes --no-header --no-emit-index-url --no-annotate \
		--python-version 3.11 -o requirements.lock requirements.txt
	@.venv/bin/uv pip compile -q --generate-hashes --no-header --no-emit-index-url --no-annotate \
		--python-version 3.11 -o requirements-build.lock requirements-build.txt
	@$(python) -m dev.docs.licences >docs/licences.md

audit: setup ## Look the locked packages up among known vulnerabilities (needs the network)
	@.venv/bin/uv tool run pip-audit==2.10.1 --strict --disable-pip --no-deps -r requirements.lock

clean: ## Remove all that was made here
	rm -rf .venv .local .mypy_cache .pytest_cache .ruff_cache .hypothesis build models/*.so models/_whole_events.c source/records/*.so source/records/_scan.c source/build
	find . -name __pycache__ -prune -exec rm -rf {} +
