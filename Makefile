# Every target builds what it needs; `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help setup train sweep test lint tensorboard app live bench audit lock clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
XDIST := -n logical --maxprocesses 4 --dist worksteal

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## build .venv with everything that requirements.lock pins

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@echo "Installing into .venv: about 7 GB, some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

train: $(READY) ## train the recipe to start from; ARGS="key=value …"
	$(BIN)/python -m sign_cnn.train data=auto $(ARGS)

sweep: $(READY) ## run the main study, or go on; ARGS="sweep=…": another
	$(BIN)/python -m sign_cnn.train -m data=auto hydra/launcher=joblib $(or $(ARGS),sweep=design)

test: lint ## linters, types and the whole test suite
	$(BIN)/python -m pytest $(XDIST)

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tensorboard: $(READY) ## show the curves of all runs
	$(BIN)/tensorboard --logdir outputs

app: $(READY) ## open the web page, on this machine alone
	$(BIN)/streamlit run sign_cnn/app/streamlit_app.py $(ARGS)

live: ## open the live page, which reads the camera in the browser alone (needs npm)
	npm install --no-package-lock --prefix docs/live
	cp sign_cnn/app/hands.onnx docs/live
	@echo "Open http://localhost:8600"
	$(PYTHON) -m http.server 8600 --bind localhost --directory docs/live

bench: $(READY) ## measure speed; ARGS=step: a part of it
	$(BIN)/python -m scripts.bench $(ARGS)

audit: $(READY) ## known vulnerabilities of what is installed
	$(BIN)/pip-audit --skip-editable --progress-spinner off

lock: $(READY) ## pin every dependency anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --generate-hashes \
	  $(addprefix --extra ,app export download joblib ray submitit search dev) \
	  --prerelease if-necessary-or-explicit --no-header --no-annotate --quiet --output-file requirements.lock

clean: ## remove caches of tools; data, runs and .venv stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find sign_cnn tests scripts -name __pycache__ -type d -exec rm -rf {} +
