# Two commands are enough: `make serve` and `make test`. Both set themselves up with plain pip.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
ARGS   ?=

.PHONY: serve test ask lint bench vectors mini browser clean

serve: $(VENV)/core
	$(BIN)/qizhen serve --open $(ARGS)

ask: $(VENV)/core
	@test -d var/index/releases || $(BIN)/qizhen index build
	@$(BIN)/qizhen ask "$(Q)" $(ARGS)

# Tests of one file share a server or an index, so they stay together.
test: lint browser
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/all
	$(PIP) -e ".[benchmarks]"
	$(BIN)/python tests/benchmarks/answers.py $(ARGS)
	$(BIN)/python tests/benchmarks/search_quality.py $(ARGS)
	$(BIN)/python tests/benchmarks/claims.py
	$(BIN)/python tests/benchmarks/drug_names.py
	$(BIN)/python tests/benchmarks/answers_over_http.py
	$(BIN)/python tests/benchmarks/releases.py
	$(BIN)/python tests/benchmarks/scale.py

# Vectors of the passages of kb_data, kept with it: after every change of its texts or of the encoder `accurate`.
vectors: $(VENV)/core
	$(BIN)/qizhen-finetune vectors --kb kb_data

# A model of 11 million parameters, trained and tuned on kb_data in var/mini: about three quarters of an hour on two cores.
MINI := $(BIN)/qizhen-finetune
mini: $(VENV)/all
	$(MINI) data build --kb kb_data --texts --out var/mini/data --fields 适应症 --per-section 60 \
		--longest-answer 600 --longest-evidence 160 --mix closed=0.5,cited=0.01,refusal=0.48,contrast=0.01
	$(MINI) data build --kb kb_data --out var/mini/refusals --fields 适应症 --per-section 120 --longest-evidence 0 --mix refusal=1 --seed 8
	$(MINI) tokenizer train --kb kb_data --asking --pieces 8000 --out var/mini/tokenizer
	$(MINI) train qizhen-mini-base
	$(MINI) train qizhen-mini
	$(MINI) calibrate --questions var/mini/data/samples.jsonl --questions var/mini/refusals/samples.jsonl \
		--base var/mini/base --adapter var/mini/adapter
	$(MINI) evaluate --questions var/mini/data/samples.jsonl --terms kb_data/questions/dev.jsonl --kb kb_data --generator local \
		--base var/mini/base --adapter var/mini/adapter --only-scored --out var/mini/figures

# The browser tests need Debian's chromium and a Chinese font, those of the database a PostgreSQL, which they start themselves.
DEBIAN := chromium fonts-noto-cjk fontconfig postgresql
browser:
	@if command -v chromium >/dev/null && fc-list 2>/dev/null | grep -qi cjk && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(DEBIAN) >/dev/null; \
	else echo "浏览器和数据库的测试需要 chromium、中文字体和 PostgreSQL，请先安装：sudo apt-get install $(DEBIAN)" >&2; fi

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/all: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[llm,finetune,postgres,dev]"
	@touch $@ $(VENV)/core

clean:
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis
