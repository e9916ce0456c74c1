# Needs Python 3.11 or newer with pip, and make. Everything else goes into .venv, and `make clean` takes it away.
PYTHON ?= python3
DURATION ?= 60s
VENV := .venv
BIN := $(VENV)/bin
PIP := $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python

.PHONY: help demo test faults faults-short check format schema constraints clean

help:
	@echo "make demo    the worker against a simulated Census workspace (DURATION=60s)"
	@echo "make test    all tests"
	@echo "make faults  the worker under kills, power loss, bad disks, hostile servers (faults-short: in 5 minutes)"
	@echo "make check   format, lint, types, layers, dependencies, the committed schema, the compose file"
	@echo "make format  mends format and imports;  make schema  writes watchlist.schema.json"

# --without-pip: Debian's Python comes without the part that puts pip into a virtual environment
$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=python3.12")'
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(BIN)/.installed
	@$(BIN)/notifier demo --duration $(DURATION)

test: $(BIN)/.installed
	$(BIN)/pytest -n 2 --dist worksteal

faults: $(BIN)/.installed
	$(BIN)/python -m faults

faults-short: $(BIN)/.installed
	$(BIN)/python -m faults --short --jobs 2

check: $(BIN)/.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/notifier schema | diff - watchlist.schema.json
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: $(BIN)/.installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

schema: $(BIN)/.installed
	$(BIN)/notifier schema > watchlist.schema.json

constraints:
	rm -rf $(VENV)
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PIP) install --quiet --upgrade --editable '.[dev]'
	{ echo "# Exact versions for CI and the container: \`make constraints\` writes it. Names and versions only."; \
	  $(PIP) freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+=='; } > constraints.txt
	touch $(BIN)/.installed

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
