# Thin on purpose: each target is a line or two over scripts/ and the `polyscene` command.
.PHONY: setup demo test check bench serve clean

PYTHON ?= python3
BIN := .venv/bin

setup: .venv/.installed  ## .venv with polyscene and its tools in it
.venv/.installed: pyproject.toml constraints.txt scripts/setup
	PYTHON=$(PYTHON) scripts/setup

demo: setup  ## fetch MovieLens 1M, train, evaluate, serve; prints the URL, runs until interrupted
	$(BIN)/polyscene demo

test: setup  ## the whole default suite
	scripts/test

check: setup  ## format, lint, types, import rules, size bars
	scripts/check

bench: setup  ## every figure that the docs quote
	$(BIN)/python -m bench.figures

serve: setup  ## serve the workspace in ./workspace
	$(BIN)/polyscene serve

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
