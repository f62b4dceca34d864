# Everything happens in .venv, which `make env` builds from pyproject.toml and the exact versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: env demo test quick lint sources

env: .venv/ready

# The editable install links file by file (so that mypy follows it): it is made anew when a file comes or goes.
.venv/ready: pyproject.toml constraints.txt .venv/sources
	@echo "installing the packages of constraints.txt into .venv: some minutes the first time"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--config-settings editable_mode=strict --editable '.[dev]'
	touch $@

.venv/sources: sources | $(BIN)/python
	@find spaces search dashboard -type f ! -name '*.pyc' | LC_ALL=C sort > $@.new
	@cmp --silent $@.new $@ && rm $@.new || mv $@.new $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

demo: env  ## search the embedded digits, export the winner, say how to open it
	$(BIN)/convsearch run --study demo-$$(date +%Y%m%d-%H%M%S)
	@echo "(first: . .venv/bin/activate)"

test: env  ## the whole specification, three files at a time: much of it waits for other processes
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

quick: env  ## in a little over a minute: each test that needs neither Keras nor a process of its own (tests/conftest.py)
	$(BIN)/python -m pytest --quick --numprocesses 2

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy -p convsearch.spaces -p convsearch.search -p convsearch.dashboard -p benchmarks -p docs
