# make demo | test | check | bench | matrix | clean. Needs nothing but Python 3.10 or later with its venv module.

PYTHON ?= python3
VERSIONS ?= 3.10 3.11 3.12 3.13
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
PYTEST = -m pytest -n 2

.PHONY: demo test check bench matrix clean

demo: .venv/with-local
	.venv/bin/python examples/quickstart.py

test: .venv/with-dev
	.venv/bin/python $(PYTEST)

check: .venv/with-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict s3dictionary
	.venv/bin/python -m pytest --doctest-modules s3dictionary tests/test_docs.py

# S3Dictionary 0.13 has the same package name, so it gets a venv of its own.
bench: .venv/with-local .venvs/original/bin/s3dictionary-0.13
	ORIGINAL=.venvs/original/bin/python .venv/bin/python benchmarks/costs.py

.venvs/original/bin/s3dictionary-0.13:
	$(PYTHON) -m venv .venvs/original
	.venvs/original/bin/python $(PIP_INSTALL) S3Dictionary==0.13
	touch $@

# The tests on every Python version there is: pyenv's, else the one on the PATH.
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

clean:
	rm -rf .venv .venvs build dist *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/with-%: setup.cfg | .venv/bin/python
	.venv/bin/python $(PIP_INSTALL) -e '.[$*]'
	touch $@
