# make ask Q="…"   answers a question        make test   runs the tests        make chat   opens the page
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RECORDED := recorded:evals/recorded/replies.jsonl
export Q

.PHONY: ask chat test lint evals bench clean

ask: $(VENV)/installed
	@$(BIN)/safety-assistant ask "$$Q"

chat: $(VENV)/installed
	@$(BIN)/safety-assistant chat

test: $(VENV)/installed
	$(BIN)/pytest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

evals: $(VENV)/installed
	$(BIN)/python -m evals run evals/questions/held_out.jsonl --out evals/runs/held_out
	$(BIN)/python -m evals report evals/runs/held_out/result.json >/dev/null
	$(BIN)/python -m evals run evals/questions/fresh.jsonl --out evals/runs/fresh
	$(BIN)/python -m evals run evals/questions/fresh.jsonl --model $(RECORDED) --out evals/runs/fresh_model
	$(BIN)/python -m evals follow-ups --model $(RECORDED) --keep

bench: $(VENV)/installed
	$(BIN)/python -m evals.bench

# The environment is made again when the lock or the project's requirements change.
$(VENV)/installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=python3.11")'
	@echo "Making the environment in $(VENV) from constraints.txt; this takes a minute or two …" >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt >&2
	@touch $@

clean:
	rm -rf $(VENV) index/built dist
