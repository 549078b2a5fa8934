# The commands of README.md and docs/. All set up .venv first, and only once.
PYTHON ?= python3
BIN := .venv/bin

PYTHONS := 3.11 3.12 3.13

CHECKS := mediapipe tflm timm loggers ray arm64 android web
# Two processes, one TensorFlow thread each; who is done takes tests from the other.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test fast proof proof-sample proof-fuzz dist coverage mutation format lint help docs figures pictures notebooks check-pythons check-wheel $(addprefix check-,$(CHECKS))
.DEFAULT_GOAL := help

help:
	@echo "make demo    train on real digits, export to TFLite and ONNX, verify every file (about 3 minutes)"
	@echo "make test    ruff, mypy and the everyday tests (3 to 6 minutes)"
	@echo "make fast    ruff, mypy and the quick ones of these (a minute)"
	@echo "make proof   all other tests that need no foreign engine (up to 45 minutes)"
	@echo "make proof-sample  five minutes of these, chosen by the commit"
	@echo "make proof-fuzz  200 hostile files of each of thirteen kinds (5 minutes)"
	@echo "make coverage  the everyday tests again, and which lines they run; fails below the floor of pyproject.toml"
	@echo "make mutation  thirty faults, one at a time: are they noticed? (half an hour)"
	@echo "make notebooks  run the notebooks of examples/ and keep their outputs (ten minutes)"
	@echo "make docs    the site in build/docs, which opens from the disk; every warning is an error"
	@echo "make pictures  the pictures of README and site, from a real run (needs chromium)"
	@echo "make figures  measure what is missing or older than the code, write the tables (idle machine; FIGURES=training, ANEW=1)"
	@echo "make format  let ruff rewrite the sources"
	@echo "make check-NAME  NAME of $(CHECKS): fetch a target's engine or a peer (once) and run the checks on it"
	@echo "make check-pythons  the quick tests on other versions of Python that are here"
	@echo "make dist    source distribution and wheel in dist/, checked (half a minute); TAG=v0.1.0 for a release"
	@echo "make check-wheel  the wheel outside of the clone, on PYTHONS, here $(PYTHONS) (three minutes each)"

.venv/installed: setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version); try make PYTHON=python3.12 ..."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "error: no venv in this Python; on Debian: apt-get install python3-venv"; rm -rf .venv; exit 2; }
	@echo "installing TensorFlow and the export tools into .venv (once; 3.5 GB)"
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[all]'
	@touch $@

# Names are dated: nothing that an earlier demo made is overwritten.
demo: RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)
demo: .venv/installed
	$(BIN)/keras-resnet train --recipe digits-resnet8 -o $(RUN)
	$(BIN)/keras-resnet evaluate --model $(RUN)/model.keras --data digits --json $(RUN)/evaluation.json
	$(BIN)/python -m export --model $(RUN)/model.keras -o $(RUN)/export \
	  --artifact tflite:float32 --artifact tflite:int8 --artifact onnx:float32
	@echo
	@echo "The run, the files and report.html are in $(RUN). Next, with '. .venv/bin/activate':"
	@echo "  keras-resnet verify $(RUN)/export/*-int8.tflite --model $(RUN)/model.keras   check a file again"
	@echo "  keras-resnet export all --model $(RUN)/model.keras          every format and precision"
	@echo "  keras-resnet models                              the networks"
	@echo "  keras-resnet train --recipe fast --data DIR"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(PYTEST) -m 'not proof and not check'

fast: lint
	$(PYTEST) -m 'not slow and not proof and not check'

proof: .venv/installed
	$(PYTEST) -m proof --record-proof

# Another part for every commit; CI runs it.
proof-sample: .venv/installed
	$(PYTEST) -m proof --sample=300

# FUZZ_FILES=1000 for more, FUZZ_SEED=1 for others.
proof-fuzz: .venv/installed
	$(PYTEST) -rP -m fuzz tests/export/test_fuzzing.py

coverage: .venv/installed
	$(PYTEST) -m 'not proof and not check' --no-budgets --cov --cov-report=term:skip-covered

mutation: .venv/installed
	$(BIN)/python tools/mutation.py run

# A check that skips is none: the variable turns its skips into failures.
$(addprefix check-,$(CHECKS)): check-%: .venv/installed
	$(BIN)/python tools/environment.py $*
	KERAS_RESNET_CHECK=$* $(BIN)/python -m pytest -s -m '' -k $* tests/export/test_at_target.py tests/export/test_tags_and_values.py tests/test_at_peers.py \
	  tests/test_lamb.py tests/test_check_loggers.py tests/test_check_ray.py \
	  tests/export/test_boxes_on_boards.py tests/export/test_masks_on_boards.py

# Their outputs are kept in the repository; CIFAR10_DIR and RESNET20_WEIGHTS spare two downloads.
notebooks: .venv/installed
	$(BIN)/python tools/environment.py notebooks
	.venv-notebooks/bin/python tools/notebooks.py $(NOTEBOOKS)

# In an environment beside .venv, which stays as it is.
docs: .venv/installed
	$(BIN)/python tools/tables.py --check
	$(BIN)/python tools/environment.py docs
	.venv-docs/bin/python -m sphinx -q -W --keep-going -b html docs build/docs
	KERAS_RESNET_CHECK=site $(BIN)/python -m pytest -q -m '' tests/test_site.py
	@echo "open build/docs/index.html"

# On an idle machine; CIFAR10_DIR, MLPERF_DIR and DATA_DIR name folders. Trainings go on where they were stopped.
figures: .venv/installed
	$(BIN)/python tools/figures.py $(FIGURES) $(if $(ANEW),--anew)

pictures: .venv/installed
	$(BIN)/python tools/pictures.py

check-pythons: .venv/installed
	$(BIN)/python tools/pythons.py 3.12 3.13

# Needs no .venv. TAG reaches the program through its environment, never through a shell's line.
dist:
	$(PYTHON) tools/environment.py dist
	.venv-dist/bin/python tools/distributions.py

check-wheel: dist
	.venv-dist/bin/python tools/pythons.py --wheel $(PYTHONS)

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
