# Needs Python 3.11 or newer with pip, and make. Everything else goes into .venv, and `make clean` takes it away.
PYTHON ?= python3
DURATION ?= 60s
JOBS ?= 2
WORKERS ?= 6
VENV := .venv
BIN := $(VENV)/bin
PIP := $(PYTHON) -m pip --disable-pip-version-check --python
# What comes from an index is one of the files whose hashes are committed, and a wheel: an sdist would bring build
# requirements of its own, which nothing checks. pip refuses whatever has another hash, and what is not in the list.
INSTALL = install --quiet --require-hashes --only-binary :all: --requirement

# Else whatever the tests import, and the command that they start, is compiled anew by each process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-replicas test test-fast test-browser test-postgresql bench faults faults-short mutants check format schema constraints sbom audit clean

help:
	@echo "make demo    the worker against a simulated Census workspace (DURATION=60s)"
	@echo "make demo-replicas  three workers at one PostgreSQL, one of them killed (Debian: postgresql)"
	@echo "make test    all tests; those of the status page need a Chromium, some a PostgreSQL (as root on Debian installed)"
	@echo "make test-fast  in a minute: those without processes of the worker, and without the slow ones"
	@echo "make bench   measures what it costs and how quick it is, three quarters of an hour (ROWS=\"rest burst\"); docs/performance.md"
	@echo "make faults  the worker under kills, power loss, bad disks, hostile servers (faults-short: a little of each)"
	@echo "make mutants which changes to the code no test would notice (FILES=\"notifier/judging/diff.py\"); CONTRIBUTING.md"
	@echo "make check   format, lint, types, layers, dependencies, the committed schema, the compose file"
	@echo "make sbom    a CycloneDX bill of materials of what is installed in production: dist/sbom.cdx.json"
	@echo "make audit   known holes in what is installed in production; asks PyPI's database, so it needs the internet"
	@echo "make format  mends format and imports;  make schema  writes watchlist.schema.json"

# --without-pip: Debian's Python comes without the part that puts pip into a virtual environment
$(BIN)/.installed: pyproject.toml constraints/dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=python3.12")'
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PIP) $(BIN)/python $(INSTALL) constraints/dev.txt
	$(PIP) $(BIN)/python install --quiet --no-index --no-deps --no-build-isolation --editable .
	$(PIP) $(BIN)/python check
	touch $@

demo: $(BIN)/.installed
	@$(BIN)/notifier demo --duration $(DURATION)

demo-replicas: $(BIN)/.installed
	@$(BIN)/python -m faults.demo

# More processes than processors: most of the slow tests wait for processes of their own.
test: $(BIN)/.installed
	@tests/browser/chromium
	@tests/postgres/postgresql
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# What a change is tried with while it is made: no process of the worker, and nothing that takes long.
test-fast: $(BIN)/.installed
	$(BIN)/pytest -n 3 --dist worksteal -m 'not slow' tests/unit tests/integration

test-browser: $(BIN)/.installed
	@tests/browser/chromium
	$(BIN)/pytest tests/browser

test-postgresql: $(BIN)/.installed
	@tests/postgres/postgresql
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m postgresql

bench: $(BIN)/.installed .venv-peers/.installed
	@$(BIN)/python -m benchmarks $(ROWS)

# Clients to compare with; without them the rest of the table is measured all the same.
.venv-peers/.installed: benchmarks/peers/requirements.txt
	rm -rf .venv-peers
	$(PYTHON) -m venv --without-pip .venv-peers
	-$(PIP) .venv-peers/bin/python install --quiet --requirement $< && touch $@

faults: $(BIN)/.installed
	$(BIN)/python -m faults --jobs 2

faults-short: $(BIN)/.installed
	$(BIN)/python -m faults --short --jobs 2

# TESTS: test files beside those that name or import a module. Interrupted, it goes on where it was.
mutants: $(BIN)/.installed-mutants
	@$(BIN)/python -m tests.mutants $(FILES) --jobs $(JOBS) --tests $(TESTS)

$(BIN)/.installed-mutants: $(BIN)/.installed constraints/mutants.txt
	$(PIP) $(BIN)/python $(INSTALL) constraints/mutants.txt
	touch $@

check: $(BIN)/.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/notifier schema | diff - watchlist.schema.json
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/docker-compose.postgresql.yml

format: $(BIN)/.installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

schema: $(BIN)/.installed
	$(BIN)/notifier schema > watchlist.schema.json

# The newest versions that pyproject.toml allows, for every Python and platform at once, with the hash of each file of
# them. Names, versions and hashes only: where the files come from is for whoever installs them to say.
LOCK = build/supply/bin/uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make constraints'
constraints: build/supply/.installed
	mkdir -p build/constraints
	$(LOCK) --upgrade --extra dev --extra bench --extra postgresql --output-file build/constraints/dev.txt pyproject.toml
	$(LOCK) --constraint build/constraints/dev.txt --extra postgresql --output-file build/constraints/worker.txt pyproject.toml
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) --constraint build/constraints/dev.txt --output-file build/constraints/build.txt -
	$(LOCK) --constraint build/constraints/dev.txt --group pyproject.toml:mutants --output-file build/constraints/mutants.txt
	$(LOCK) --upgrade --group pyproject.toml:supply --output-file build/constraints/supply.txt
	mv build/constraints/*.txt constraints/

# What is installed in production, and the tools that look at it, each in an environment of its own.
build/production/.installed: $(BIN)/.installed constraints/worker.txt
	rm -rf build/production
	$(PYTHON) -m venv --without-pip build/production
	$(PIP) build/production/bin/python $(INSTALL) constraints/worker.txt
	$(BIN)/python -m hatchling build --target wheel --directory build/production/wheel
	$(PIP) build/production/bin/python install --quiet --no-index --no-deps build/production/wheel/*.whl
	$(PIP) build/production/bin/python check
	touch $@

build/supply/.installed: constraints/supply.txt
	rm -rf build/supply
	$(PYTHON) -m venv --without-pip build/supply
	$(PIP) build/supply/bin/python $(INSTALL) constraints/supply.txt
	touch $@

sbom: build/production/.installed build/supply/.installed
	mkdir -p dist
	build/supply/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-format JSON --output-file dist/sbom.cdx.json build/production/bin/python
	@$(PYTHON) -c 'import json; b = json.load(open("dist/sbom.cdx.json")); print("dist/sbom.cdx.json:", \
		b["bomFormat"], b["specVersion"] + ",", len(b["components"]), "components")'

audit: build/production/.installed build/supply/.installed
	$(PIP) build/production/bin/python freeze --exclude census-notifier > build/production.txt
	build/supply/bin/pip-audit --strict --no-deps --disable-pip --requirement build/production.txt

clean:
	rm -rf $(VENV) .venv-peers dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
