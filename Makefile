# make demo   paint phantom cases, run the workflow on them, print where the reports are
# make docs   paint the gallery and build the documentation site in site/
# make screenshots  take the pictures of docs/images anew; needs Chromium or Chrome
# make test   everything that continuous integration checks
# make spatialdata  tests that SpatialData opens our stores, in an environment of its own (cached; network)
# make audit  known weaknesses of what is installed, as a report; needs the network, never fails
# All set themselves up: a virtual environment in .venv with the package and its tools.

PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= demo
bin    := $(VENV)/bin
# Snakemake starts `wsi-pipeline`; both come from the environment, activated or not.
export PATH := $(abspath $(bin)):$(PATH)

.PHONY: demo docs screenshots test spatialdata audit lint pytest format clean

demo: $(VENV)/.installed
	wsi-pipeline phantom --out $(DEMO)/slides --cases 2 --seed 1
	wsi-pipeline run $(DEMO)/slides/cases.tsv --out $(DEMO)/results

test: lint pytest docs

# --strict: a warning, such as a link to nowhere, is an error.  Nothing is fetched.
docs: $(VENV)/.installed
	rm -rf docs/gallery site
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && python docs/gallery.py "$$work"
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "open site/index.html"

screenshots: $(VENV)/.installed
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT \
	&& wsi-pipeline phantom --out "$$work/slides" --cases 1 --seed 1 --section vertical \
	   --width-mm 2 --height-mm 1.6 \
	&& wsi-pipeline run "$$work/slides/cases.tsv" --out "$$work/results" \
	&& PYTHONPATH=tests:tests/report python docs/screenshots.py "$$work/results"

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflows
	snakemake --lint

# Two workers suit the smallest machines; the workflow tests start processes of their own.
pytest: $(VENV)/.installed
	python -m pytest --numprocesses 2 --dist loadscope --cov --cov-report term --durations 10
	python -m pytest --doctest-modules wsi_pipeline -q \
	  --ignore wsi_pipeline/spatial_data.py --ignore wsi_pipeline/stages/export_spatialdata.py

# SpatialData wants other libraries than the tests; WSI_SPATIALDATA_ENV names another folder for them.
spatialdata: $(VENV)/.installed
	python -m pytest -m spatialdata tests/stages/test_stage_spatialdata.py

# In an environment of its own: what audits must not change what is audited.
audit: $(VENV)/.installed
	-$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet 'pip-audit>=2.7,<3' \
	&& $(VENV)/audit/bin/pip-audit --progress-spinner off --timeout 15 \
	   --path "$$($(bin)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflows

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(bin)/pip install --quiet --editable '.[dev,docs]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) docs/gallery site .mypy_cache .pytest_cache .ruff_cache .coverage* htmlcov
