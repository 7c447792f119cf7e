PYTHON ?= python3
ARGS ?=
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint format clean

help:
	@echo 'make demo     call the contacts of a demo campaign over a simulated phone network'
	@echo '              ARGS="--until-done --contacts 60" ends by itself with a report; ARGS=--help tells more'
	@echo 'make test     check style, migrations and behaviour; ARGS goes to pytest'
	@echo 'make lint     check style only'
	@echo 'make format   put the code into style'
	@echo 'make clean    remove .venv and .data, with the database in it'
	@echo 'All need Python 3.11 or newer with venv; PYTHON=python3.12 names another one than python3.'

# The copy is written last, so an installation that broke off begins anew.
.venv/requirements.txt: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'surveycalls needs Python 3.11 or newer; $(PYTHON) is not. Name another: make PYTHON=python3.12 ...' >&2; \
		exit 1; }
	@echo 'Building .venv ...'
	@$(PYTHON) -m venv .venv
	@$(RUN) -m pip install --quiet --quiet --disable-pip-version-check --requirement requirements.txt
	@cp requirements.txt $@

demo: .venv/requirements.txt
	@exec $(RUN) manage.py demo $(ARGS)

lint: .venv/requirements.txt
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --check --quiet .

test: lint
	@$(RUN) manage.py makemigrations --check --dry-run --verbosity 0 || { \
		echo 'The models have changes without a migration: .venv/bin/python manage.py makemigrations' >&2; \
		exit 1; }
	@exec $(RUN) -m pytest --numprocesses 2 --dist loadfile $(ARGS)

format: .venv/requirements.txt
	@$(RUN) -m ruff check --fix --quiet .
	@$(RUN) -m ruff format --quiet .

clean:
	rm -rf .venv .data staticfiles .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
