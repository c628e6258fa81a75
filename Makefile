# make demo    the main job on an embedded default (no torch, no data needed)
# make check   the inner loop: lint, format, types, import order, doctests, docs, links; under a minute
# make test    everything: check, tests, real browser
# make docs    regenerate docs/reference and build the site into site/
# make leaderboard            docs/leaderboard.md anew, about 20 minutes; DATA=DIR names the data folder
# make leaderboard QUICK=1    the same with fewer draws and worlds, about a minute, into leaderboard-quick/

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo check test docs bench leaderboard clean
.DELETE_ON_ERROR:

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.core: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

# torch first and pinned: CPU builds exist for this version, and nothing later may pull another.
.venv/.torch: | $(BIN)/python
	$(PIP) torch==2.13.0
	@touch $@

.venv/.dev: pyproject.toml .venv/.torch | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ .venv/.core

demo: .venv/.core
	$(BIN)/stepcredit demo

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --doctest-modules --doctest-glob='*.md' --ignore=docs/reference src docs README.md tests/house
	$(BIN)/python tools/reference.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

test: .venv/.dev check
	$(BIN)/pytest -n 2 tests

docs: .venv/.dev
	$(BIN)/python tools/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: .venv/.core
	$(BIN)/stepcredit bench speed

BOARD := $(BIN)/stepcredit bench leaderboard --jobs 2 $(if $(DATA),--data $(DATA))

leaderboard: .venv/.dev
ifdef QUICK
	$(BOARD) --quick -o leaderboard-quick/leaderboard.md --measured leaderboard-quick/measured.json
else
	$(BOARD) -o docs/leaderboard.md --measured src/stepcredit/bench/measured.json
endif

clean:
	rm -rf .venv site demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
