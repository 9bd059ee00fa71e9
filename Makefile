# Every command of the project. `make demo` and `make test` each work as the first one after `git clone`.
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-sanitized test-live test-stack test-boot test-appliance live-packages lint ext bench soak package lock audit clean

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
PIP := $(VENV_PYTHON) -m pip --quiet --quiet --disable-pip-version-check
PYTEST := $(VENV_PYTHON) -m pytest
CORE := $(wildcard fastpath/*.pyx fastpath/*.pxd fastpath/*.h) fastpath/_build.py
LOCK := deploy/package/requirements.lock
APPLIANCE := tests/boot/test_appliance.py
LIVE_PACKAGES := baresip-core docker-compose e2fsprogs ethtool faketime iproute2 libcap2-bin lintian mandoc openssl \
	poppler-utils prometheus prometheus-alertmanager qpdf rpm rsyslog rsyslog-gnutls strace systemd util-linux valgrind
BOOT_PACKAGES := binutils iproute2 mmdebstrap openssh-client systemd-container util-linux

# Prints the requirements that pyproject.toml lists under a dotted name, one a line.
REQUIREMENTS = $(VENV_PYTHON) -c 'import functools, sys, tomllib; \
	print(*functools.reduce(dict.get, sys.argv[1].split("."), tomllib.load(open("pyproject.toml", "rb"))), sep="\n")'

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/ext  ## what legwatch says about a small clinic's calls
	@$(VENV)/bin/legwatch scan deploy/demo/clinic.pcap || [ $$? -eq 1 ]
	@echo; echo "What each call really was: deploy/demo/README.md. A capture of your own: $(VENV)/bin/legwatch scan FILE"

test: $(VENV)/test  ## unit, property, golden and source tests; no root, no server
	@$(PYTEST) -m "not live and not boot" $(ARGS)

test-sanitized: $(VENV)/test  ## fuzzing corpora, properties and the demo under AddressSanitizer and UBSan
	@$(VENV_PYTHON) -m tests.sanitizers $(ARGS)

test-live: live-packages $(VENV)/test $(VENV)/package  ## namespaces, live rings, real servers; as root, installs Debian packages
	@REQUIRE_LIVE=1 $(PYTEST) -m live $(ARGS)

test-stack: live-packages $(VENV)/test  ## the way of an alert through real servers; as root
	@REQUIRE_LIVE=1 $(PYTEST) -m live tests/live/test_stack.py $(ARGS)

test-boot: boot-packages package $(VENV)/test  ## the package and the service on a machine that boots; as root
	@REQUIRE_LIVE=1 $(PYTEST) -m boot --ignore $(APPLIANCE) $(ARGS)

test-appliance: boot-packages package $(VENV)/test  ## a bare Debian becomes a sensor, by Ansible and by cloud-init; as root
	@REQUIRE_LIVE=1 $(PYTEST) -m boot $(APPLIANCE) $(ARGS)

live-packages: root
	@deploy/apt-install.sh $(LIVE_PACKAGES)

boot-packages: root
	@deploy/apt-install.sh $(BOOT_PACKAGES)

root:
	@[ "$$(id -u)" -eq 0 ] || { echo "legwatch: this makes network namespaces: run it as root" >&2; exit 1; }

lint: $(VENV)/test  ## ruff, mypy, cython-lint, layering and documentation checks
	@$(PYTEST) tests/test_sourcecode.py tests/test_layering.py tests/test_docs.py

ext: $(VENV)/ext  ## build the Cython core in place

bench: $(VENV)/ext  ## every figure beside the C floor, its limit and its goal; live ones as root
	@$(VENV_PYTHON) -m benchmarks $(ARGS)

soak: $(VENV)/ext  ## a sensor under mixed traffic, MINUTES=30 long: what has to stay flat; as root
	@$(VENV_PYTHON) -m benchmarks.soak --minutes $(or $(MINUTES),30)

package: $(VENV)/package  ## .deb, .rpm, wheel, sdist and bill of materials, into dist/; no root
	@echo "Making packages: about a minute."
	@$(VENV_PYTHON) -m deploy.package

lock: $(VENV)/package  ## choose the versions anew that a package brings: the newest that pyproject.toml allows
	@$(VENV)/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --output-file $(LOCK) pyproject.toml

audit: $(VENV)/package  ## ask PyPI's advisories about what a package brings; without an answer it fails
	@$(VENV)/bin/pip-audit --strict --require-hashes --disable-pip --requirement $(LOCK)

clean:  ## remove everything that a build or a test made
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rm -f fastpath/*.so $(patsubst %.pyx,%.c,$(wildcard fastpath/*.pyx))
	@find sensor fastpath deploy tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@deploy/bootstrap.sh $(VENV)

# Build requirements go into the environment itself, so that a change to the core later compiles only what it touched.
define INSTALL
	@echo "Installing legwatch into $(VENV) and compiling its core: about a minute, once."
	@$(REQUIREMENTS) build-system.requires > $(VENV)/build.txt
	@$(PIP) install --requirement $(VENV)/build.txt
	@$(PIP) install --no-build-isolation --editable .
endef
define COMPILE
	@$(VENV_PYTHON) -W ignore -c "from setuptools import setup; setup()" --quiet build_ext --inplace
endef

$(VENV)/ext: pyproject.toml $(CORE) | $(VENV)/pyvenv.cfg
	$(if $(filter pyproject.toml,$?),$(INSTALL),$(COMPILE))
	@touch $@

$(VENV)/package: pyproject.toml | $(VENV)/ext
	@echo "Installing the tools that make packages."
	@$(REQUIREMENTS) project.optional-dependencies.package > $(VENV)/package.txt
	@$(PIP) install --requirement $(VENV)/package.txt
	@touch $@

$(VENV)/test: pyproject.toml | $(VENV)/ext
	@echo "Installing the test tools."
	@$(REQUIREMENTS) project.optional-dependencies.test > $(VENV)/test.txt
	@$(PIP) install --requirement $(VENV)/test.txt
	@touch $@
