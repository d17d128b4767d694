# For machines without ROS 2: everything comes from PyPI into one virtual environment.
# On a robot, colcon builds the package; this file is not needed there.

PYTHON ?= python3
VENV ?= .venv
SOURCE ?=
DEVICE ?= cuda
MINUTES ?= 30
OUT ?= .gpu/out
DATA ?=
VIEW ?=

BIN := $(VENV)/bin
ALL := $(VENV)/.installed-ros,train,test

# A sourced ROS 2 must not reach into the virtual environment, which has one of its own.
ifdef ROS_DISTRO
unexport AMENT_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH RMW_IMPLEMENTATION ROS_DISTRO
endif

# Two workers, each with a domain of DDS and one thread. Each goes through one half of the tests, so
# that files stay together and share what they set up; who has done takes of what the other has left.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: help venv lint test test-all test-slow test-jazzy demo docs gpu gpu-carry generate clean

help:
	@echo "make test        ruff, mypy and pytest, without the slow tests"
	@echo "make test-all    the same with the slow tests"
	@echo "make test-jazzy  pytest with the rclpy and Fast DDS of ROS 2 Jazzy, in $(VENV)-jazzy"
	@echo "make demo        play sample frames to the node; SOURCE= a folder, a video or a camera;"
	@echo "                 VIEW=1 shows the answers live in a browser"
	@echo "make gpu         test and measure all on a GPU; DEVICE= MINUTES= OUT= DATA=, see docs/gpu.md"
	@echo "make gpu-carry   fetch and pack into .gpu what a machine without a network needs; DATA="
	@echo "make docs        build the documentation as a site into .site"
	@echo "make generate    write config/perception.yaml and the pages that follow from the code"
	@echo "make venv        only make the virtual environment, for training and development"
	@echo "make clean       remove what tools left behind; virtual environments stay"
	@echo
	@echo "PYTHON=$(PYTHON) makes VENV=$(VENV) when it is first needed."

venv: $(ALL)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sosd_ros training docs

test: lint
	$(PYTEST) -m "not slow"
	@echo "Slow tests are left out; \`make test-all\` runs them."

test-all: lint
	$(PYTEST)

test-slow: venv
	$(PYTEST) -m slow

# One virtual environment cannot hold both generations: their modules have the same names.
test-jazzy: BIN := $(VENV)-jazzy/bin
test-jazzy:
	$(MAKE) $(VENV)-jazzy/.installed-ros-jazzy,train,test VENV=$(VENV)-jazzy
	$(PYTEST)

# `make venv` has installed all that the demo needs. Without it: with what the demo builds an engine
# of, where there is no GPU; small beside torch.
comma := ,
demo: $(or $(wildcard $(ALL)),$(VENV)/.installed-ros$(comma)engines$(if $(VIEW),$(comma)view))
	$(BIN)/python -m sosd_ros.demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(VIEW),--view)

# By the virtual environment, or where there is none by the Python that has torch.
gpu:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m sosd_ros.checks.gpu --out $(OUT) \
	    --minutes $(MINUTES) --device $(DEVICE) $(if $(DATA),--data $(DATA))

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

gpu-carry:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m sosd_ros.checks.gpu.carry $(if $(DATA),--data $(DATA))

generate: venv
	$(BIN)/python docs/generate.py

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find launch sosd_ros test training -name __pycache__ -prune -exec rm -rf {} +

# The file's name ends in the extras that are installed.
$(VENV)/.installed-%: setup.py pyproject.toml
	@test "$$(uname -sm)" = "Linux x86_64" || { \
	    echo "error: PyPI has ROS 2 for Linux on x86-64 only; elsewhere build with colcon" >&2; \
	    exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" || { \
	    echo "error: $(PYTHON) is not Python 3.10 or newer; name one: make PYTHON=python3.11" >&2; \
	    exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	    echo "error: no virtual environment could be made in $(VENV); on Debian and Ubuntu:" \
	        "apt install python3-venv" >&2; \
	    exit 1; }
	@echo "Installing into $(VENV), once; torch is large."
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[$*]'
	@touch $@
