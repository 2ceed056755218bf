# The words to learn: setup, demo, check, test, soak, bench.
PYTHON ?= python3
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE # what was compiled once is kept: tests start hundreds of processes

.PHONY: setup demo check lint units all-units test soak bench lock clean

setup:
	@$(PYTHON) tools/setup.py

demo: setup
	$(BIN)/wattkeeper demo

check: setup
	@$(MAKE) --no-print-directory -j 2 lint units

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

units:
	$(BIN)/pytest tests/unit tests/tidy -m "not slow and not soak" -n 2 --hypothesis-profile brief

all-units:
	$(BIN)/pytest tests/unit tests/tidy -m "not soak" -n 2 --dist loadfile

test: setup
	@$(PYTHON) tools/system_packages.py
	@$(MAKE) --no-print-directory -j 2 lint all-units
	$(BIN)/pytest tests/conformance tests/golden -m "not soak and not alone" -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest tests/conformance -m "alone and not soak"
	$(BIN)/pytest tests/journeys -m "not soak" -n 2 --dist worksteal

soak: setup
	@$(PYTHON) tools/system_packages.py
	$(BIN)/pip install -q --require-hashes -r requirements/fuzz.txt || echo "the fuzzer is left out"
	$(BIN)/pytest -m soak --hypothesis-profile exploring

bench: setup
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file || exit 1; done

lock: setup
	$(BIN)/python tools/lock.py

clean:
	rm -rf .venv build var frontend/node_modules src/wattkeeper/interfaces/web/static/built
