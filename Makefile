# Every target builds what it needs; `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help setup train sweep test lint tensorboard app live site npm bench audit lock clean

PYTHON ?= python3
BIN := .venv/bin
EXTRAS ?= lean
TORCH_BACKEND ?=
LEAN := download joblib
READY := .venv/.ready-$(EXTRAS)
ALL := .venv/.ready-all
PORT ?= 8600
SITE ?= docs/live/site
NPM_INSTALL := npm install --fetch-retries=0 --fetch-timeout=30000 --silent --no-package-lock --prefix docs/live
# npm trusts its own authorities alone.
ifdef SSL_CERT_FILE
export NODE_EXTRA_CA_CERTS ?= $(SSL_CERT_FILE)
endif
HAND_MODELS := $(or $(HAND_MODELS_DIR),data/hand_models)
XDIST := -n logical --maxprocesses 4 --dist worksteal
comma := ,

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## build .venv for training; EXTRAS=all installs everything, TORCH_BACKEND=cpu PyTorch without CUDA

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# requirements.lock pins the versions; its hashes are those of PyPI's files.
.venv/.ready-%: pyproject.toml requirements.lock | $(BIN)/uv
	@echo "Installing into .venv: some GB, a minute or two"
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND) --no-verify-hashes) \
	  --constraint requirements.lock --editable '.[$(subst $() ,$(comma),$(if $(filter lean,$*),$(LEAN),$*))]'
	@touch $@

train: $(READY) ## train the default recipe; ARGS="key=value …" changes settings
	$(BIN)/python -m sign_cnn.train data=auto $(ARGS)
	@echo "Next: make tensorboard (its curves), make app (a page that reads your hand), make sweep (compares 24 configurations, three seeds each)"

sweep: $(READY) ## run the main study, or continue it; ARGS="sweep=…" runs another
	$(BIN)/python -m sign_cnn.train -m data=auto hydra/launcher=joblib $(or $(ARGS),sweep=design)

test: lint ## run linters, type checks and the whole test suite
	$(BIN)/python -m pytest $(XDIST)

lint: $(ALL) ## run ruff, mypy, and Biome on the live page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v npm >/dev/null && $(NPM_INSTALL); then npm run --silent --prefix docs/live lint; \
	else echo "npm or its packages are missing: docs/live is not linted"; fi

tensorboard: $(READY) ## show the curves of all runs
	$(BIN)/tensorboard --logdir outputs

app: .venv/.ready-app ## open the web page, served on this machine only
	$(BIN)/streamlit run sign_cnn/app/streamlit_app.py $(ARGS)

live: site ## serve the live page, which reads the camera entirely in the browser; PORT=8600 (needs npm)
	@$(PYTHON) -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || \
	  { echo "Port $(PORT) is taken, or is none: make live PORT=8601"; exit 1; }
	@echo "Open http://localhost:$(PORT)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

site: npm $(HAND_MODELS)/hand_landmark_full.tflite ## build the live page in docs/live/site, for any static host
	$(NPM_INSTALL)
	rm -rf $(SITE) && mkdir -p $(SITE)
	npm run --silent --prefix docs/live build -- --outdir=$(abspath $(SITE))
	cp docs/live/*.html $(wildcard docs/live/*.css docs/live/*.txt) sign_cnn/app/hands.onnx \
	  sign_cnn/app/motion.onnx $(HAND_MODELS)/*.tflite $(SITE)
	cd docs/live/node_modules && cp @litertjs/core/wasm/litert_wasm_internal.* @litertjs/core/wasm/litert_wasm_compat_internal.* \
	  onnxruntime-web/dist/ort-wasm-simd-threaded.wasm $(abspath $(SITE))

npm:
	@command -v npm >/dev/null || { echo "The live page needs npm, which comes with Node.js (https://nodejs.org)"; exit 1; }

$(HAND_MODELS)/hand_landmark_full.tflite:
	$(MAKE) --no-print-directory $(BIN)/uv
	VIRTUAL_ENV=.venv $(BIN)/uv run --quiet --no-project --with numpy --with pillow python -m sign_cnn.hands.finder

bench: $(ALL) ## measure speed; ARGS=step measures one part
	$(BIN)/python -m scripts.bench $(ARGS)

audit: $(ALL) ## list known vulnerabilities of what is installed
	$(BIN)/pip-audit --skip-editable --progress-spinner off

lock: | $(BIN)/uv ## pin all dependencies anew
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --generate-hashes --extra all \
	  --prerelease if-necessary-or-explicit --no-header --no-annotate --quiet --output-file requirements.lock

clean: ## remove caches of tools, but not data, runs and .venv
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find sign_cnn tests scripts -name __pycache__ -type d -exec rm -rf {} +
