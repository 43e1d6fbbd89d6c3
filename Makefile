# make demo   paint phantom cases, run the workflow on them, print where the reports are
# make test   everything that continuous integration checks
# Both set themselves up: a virtual environment in .venv with the package and its tools.

PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= demo
bin    := $(VENV)/bin
# Snakemake starts `wsi-pipeline`; both come from the environment, activated or not.
export PATH := $(abspath $(bin)):$(PATH)

.PHONY: demo test lint pytest format clean

demo: $(VENV)/.installed
	wsi-pipeline phantom --out $(DEMO)/slides --cases 2 --seed 1
	wsi-pipeline run $(DEMO)/slides/cases.tsv --out $(DEMO)/results

test: lint pytest

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflows
	snakemake --lint

# Two workers suit the smallest machines; the workflow tests start processes of their own.
pytest: $(VENV)/.installed
	python -m pytest --numprocesses 2 --dist loadscope --cov --cov-report term --durations 10
	python -m pytest --doctest-modules wsi_pipeline -q

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflows

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(bin)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .pytest_cache .ruff_cache .coverage* htmlcov
