# make demo | test | check | coverage | docs | package | stress | matrix | oldest | sid | matrix-sid | bench |
# bench-quick | contention | faults | release-check | clean.
# Needs nothing but Python 3.10 or later with its venv module.

PYTHON ?= python3
VERSIONS ?= 3.10 3.11 3.12 3.13
# Python compiles what it imports, which is a small part of what is installed.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile
PYTEST = -m pytest -n 3

# The tests start hundreds of programs; without bytecode, each of them would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check coverage docs package release-check stress matrix oldest sid matrix-sid bench bench-quick
.PHONY: contention faults clean stress-models stress-writers stress-network stress-kills stress-interrupts
.PHONY: stress-mutations

demo: .venv/with-local
	@echo "Running examples/quickstart.py on an S3 server of its own:"
	@.venv/bin/python examples/quickstart.py

test: .venv/with-test
	.venv/bin/python $(PYTEST)

# The long forms of the tests with many writers, kills, threads and forks, and of those that interrupt at every moment;
# and a check that the tests notice deliberate breakages. Each part is also a target.
STRESS = S3DICT_STRESS=1 .venv/bin/python -m pytest -v --durations=0

stress: stress-models stress-writers stress-network stress-kills stress-interrupts stress-mutations

# Long random runs against models of what must hold.
stress-models: .venv/with-dev
	S3DICT_STRESS=1 .venv/bin/python $(PYTEST) tests/test_unknown_outcomes.py tests/test_lineage.py \
	  tests/test_state_machine.py tests/test_classes_machine.py tests/test_tasks_machine.py \
	  tests/test_groups_at_any_moment.py tests/test_nested_requests.py tests/test_codec.py tests/test_lease.py

# When 32 writers share one file, each save makes the other 31 start again: the time grows with the square of their
# number.
stress-writers: .venv/with-dev
	$(STRESS) tests/test_many_writers.py -k "no_update and not unreliable"

stress-network: .venv/with-dev
	$(STRESS) tests/test_many_writers.py -k "no_update and unreliable"

stress-kills: .venv/with-dev
	$(STRESS) tests/test_linearizability.py tests/test_many_writers.py tests/test_kills.py tests/test_threads_and_forks.py \
	  tests/test_groups_among_processes.py -k "not no_update"

stress-interrupts: .venv/with-dev
	S3DICT_STRESS=1 .venv/bin/python $(PYTEST) tests/test_interrupts.py tests/test_threads_at_any_moment.py \
	  tests/test_signal_storm.py tests/test_scheduled_threads.py tests/test_costs.py

stress-mutations: .venv/with-dev
	.venv/bin/python tests/mutations.py

check: .venv/with-dev docs
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict s3dictionary tests/typing_cases.py
	.venv/bin/mypy --config-file tests/mypy.ini tests
	.venv/bin/basedpyright
	.venv/bin/zizmor --offline --quiet .github/workflows
	.venv/bin/pre-commit validate-config
	.venv/bin/python -m pytest --doctest-modules s3dictionary tests/test_docs.py tests/test_typing.py

# The quick tests that run in this process. Coverage can't measure those that trace the interpreter, kill or fork.
# From Python 3.12 on, sys.monitoring makes it faster.
MEASURED = answers async autosave blocks changes cli cli_edit clients codec construction delete doctor error_messages errors \
  exits groups lineage loading_saving lost_answers mapping merge notebook refusals rollback run secrets turns versions

coverage: .venv/with-dev
	COVERAGE_CORE=$$(.venv/bin/python -c "import sys; print('sysmon' if hasattr(sys, 'monitoring') else 'ctrace')") \
	  .venv/bin/python $(PYTEST) --cov --cov-report=term:skip-covered $(MEASURED:%=tests/test_%.py)

# Checks before a release: TAG is v and the version, the changelog has the version with a date, and no address in
# setup.cfg is a placeholder.
release-check:
	@version=$$(sed -n 's/^version = //p' setup.cfg); \
	[ "$(TAG)" = "v$$version" ] || { echo "the tag is '$(TAG)', the version in setup.cfg $$version"; exit 1; }; \
	grep -Eq "^## \[$$version\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$$" CHANGELOG.md || \
	  { echo "CHANGELOG.md has no '## [$$version] - year-month-day'"; exit 1; }; \
	! grep -n "example\.org/S3Dictionary" setup.cfg || { echo "setup.cfg still has placeholders"; exit 1; }

# The site, in site/. A broken link is an error.
docs: .venv/with-docs
	rm -rf site
	.venv/bin/python -m sphinx -qE --fail-on-warning --keep-going -d .venv/doctrees docs site
	@echo "The site is in site/index.html"

# The wheel and the sdist, each tested in an empty venv.
package: .venv/with-dev
	rm -rf build dist
	.venv/bin/python -m build >/dev/null
	@for file in dist/*; do \
	  rm -rf .venvs/package && $(PYTHON) -m venv .venvs/package || exit 1; \
	  .venvs/package/bin/python $(PIP_INSTALL) "$$file[local]" || exit 1; \
	  .venvs/package/bin/python examples/quickstart.py || exit 1; \
	  echo "$$file: installs and works"; \
	done

# How far one file goes; writes docs/contention.md.
contention: .venv/with-dev
	.venv/bin/python benchmarks/contention.py

# Writes the tables in docs/faults.md, from the outcome of each fault.
faults: .venv/with-dev
	.venv/bin/python $(PYTEST) tests/test_faults.py --write-faults

# The benchmarks; writes docs/benchmarks.md. The quick form only prints.
bench: .venvs/bench/with-bench .venvs/original/with-0.13
	ORIGINAL=.venvs/original/bin/python .venvs/bench/bin/python -m benchmarks --write docs

bench-quick: .venvs/bench/with-bench .venvs/original/with-0.13
	ORIGINAL=.venvs/original/bin/python .venvs/bench/bin/python -m benchmarks --quick

# A separate venv, because s3fs requires one exact version of botocore. It is installed first; otherwise, pip would try
# all releases of boto3.
.venvs/bench/with-bench: setup.cfg
	$(PYTHON) -m venv .venvs/bench
	.venvs/bench/bin/python $(PIP_INSTALL) 's3fs>=2025'
	.venvs/bench/bin/python $(PIP_INSTALL) -e '.[bench]' \
	  boto3==$$(.venvs/bench/bin/python -c "import botocore; print(botocore.__version__)")
	touch $@

# S3Dictionary 0.13 has the same package name, so it gets another venv, with the same boto3 for a fair comparison.
.venvs/original/with-0.13: .venvs/bench/with-bench
	$(PYTHON) -m venv .venvs/original
	.venvs/original/bin/python $(PIP_INSTALL) S3Dictionary==0.13 \
	  boto3==$$(.venvs/bench/bin/python -c "import boto3; print(boto3.__version__)")
	touch $@

# Python 3.14 and 3.15 from Debian sid, in a folder, for a Linux without them. Needs root and debootstrap.
SID = .venvs/sid
SID_VERSIONS ?= 3.14 3.15
SID_PACKAGES = ca-certificates,procps,python3.14-venv,python3.15-venv
MIRROR ?= $(or $(shell sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)*\(http[^ ]*\) .*/\2/p' /etc/apt/sources.list \
  /etc/apt/sources.list.d/* 2>/dev/null | grep -v security | head -n 1),http://deb.debian.org/debian)

sid: $(SID)/made

$(SID)/made:
	mkdir -p $(SID)
	unshare --mount debootstrap --variant=minbase --include=$(SID_PACKAGES) sid $(SID) $(MIRROR)
	touch $@

matrix-sid: $(SID)/made
	@for version in $(SID_VERSIONS); do \
	  venv=.venvs/$$version-sid; \
	  [ -f $$venv/with-test ] && [ $$venv/with-test -nt setup.cfg ] || { \
	    tools/in_sid.sh $(SID) python$$version -m venv $$venv && \
	    tools/in_sid.sh $(SID) $$venv/bin/python $(PIP_INSTALL) -e '.[test]' && touch $$venv/with-test; } || exit 1; \
	  tools/in_sid.sh $(SID) $$venv/bin/python $(PYTEST) || exit 1; \
	done

# The tests on every installed Python version: pyenv's, or else the one on the PATH.
matrix:
	@for version in $(VERSIONS); do \
	  python=$$(ls -d "$$HOME/.pyenv/versions/$$version".*/bin/python 2>/dev/null | tail -n 1); \
	  python=$${python:-python$$version}; \
	  "$$python" -c "" 2>/dev/null || { echo "Python $$version: not found"; continue; }; \
	  echo "Python $$version: $$python"; \
	  venv=.venvs/$$version; \
	  [ -x $$venv/bin/python ] || "$$python" -m venv $$venv || exit 1; \
	  [ $$venv/with-test -nt setup.cfg ] || \
	    { $$venv/bin/python $(PIP_INSTALL) -e '.[test]' && touch $$venv/with-test; } || exit 1; \
	  $$venv/bin/python $(PYTEST) || exit 1; \
	done

# The tests with the oldest releases that setup.cfg allows of boto3, botocore (with the same numbers) and msgspec.
oldest: .venvs/oldest/with-test
	.venvs/oldest/bin/python $(PYTEST)

.venvs/oldest/with-test: setup.cfg
	[ -x .venvs/oldest/bin/python ] || $(PYTHON) -m venv .venvs/oldest
	lowest=$$(sed -En '/^install_requires/,/^$$/s/^ *([a-z0-9]+)>=([0-9.]+)(; python_version < .*)?$$/\1==\2/p' setup.cfg) && \
	  .venvs/oldest/bin/python $(PIP_INSTALL) -e '.[test]' $$lowest $$(echo $$lowest | grep -o 'boto3==[0-9.]*' | sed s/boto3/botocore/)
	touch $@

clean:
	rm -rf .venv .venvs build dist site *.egg-info

.venv/bin/python:
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/with-%: setup.cfg | .venv/bin/python
	@echo "Installing S3Dictionary with the extra '$*' into .venv, from PyPI: $(or $(INSTALLS_$*),a minute or more)"
	@.venv/bin/python $(PIP_INSTALL) -e '.[$*]'
	@touch $@

INSTALLS_local = boto3 and moto (an S3 server), about 30 packages in about half a minute
