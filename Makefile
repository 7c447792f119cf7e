PYTHON ?= python3
ARGS ?=
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test screenshots messages faults faults-mutants bench hosts cost lint format clean

help:
	@echo 'make demo     call the contacts of a demo campaign over a simulated phone network'
	@echo '              ARGS="--until-done --contacts 60" ends by itself with a report; ARGS=--help tells more'
	@echo 'make test     check style, migrations and behaviour; ARGS goes to pytest'
	@echo 'make screenshots   make the pictures of the docs anew, with Chromium'
	@echo 'make messages      take new texts into the Italian catalogues, and compile them; needs GNU gettext'
	@echo 'make bench    measure how fast it is; ARGS="--only claims cps --scale 0.01" parts of it, and smaller;'
	@echo '              all of it takes over an hour, of which memory_soak is half: ARGS="--without memory_soak"'
	@echo 'make faults   kill, freeze and mislead the real processes, and judge the calls; ARGS="--runs 200 --seed 7"'
	@echo 'make faults-mutants   see that the suite of faults notices when a guard is missing'
	@echo 'make hosts    two hosts, as network namespaces (root only), cut off from the database and the provider'
	@echo 'make cost     what a call costs the database: rows, transactions, statements, bytes of WAL'
	@echo 'make lint     check style only'
	@echo 'make format   put the code into style'
	@echo 'make clean    remove .venv, .venv-peers and .data, with the database in it'
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
	@exec $(RUN) -m pytest --numprocesses 3 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder $(ARGS)

screenshots: .venv/requirements.txt
	@SCREENSHOTS=docs/pictures REQUIRE_BROWSER=1 exec $(RUN) -m pytest surveycalls/tests/browser/test_pictures.py

messages: .venv/requirements.txt
	@$(RUN) manage.py makemessages --locale it --no-wrap --no-obsolete --add-location file --ignore .venv --ignore bench --verbosity 0
	@$(RUN) manage.py compilemessages --locale it --ignore .venv --verbosity 0

faults: .venv/requirements.txt
	@exec $(RUN) -m bench.faults $(ARGS)

faults-mutants: .venv/requirements.txt
	@exec $(RUN) -m bench.faults.mutants $(ARGS)

hosts: .venv/requirements.txt
	@exec $(RUN) -m bench.hosts $(ARGS)

cost: .venv/requirements.txt
	@exec $(RUN) -m bench.cost $(ARGS)

# The peers that it is compared with, and what draws the chart, have an environment of their own: Django would
# take the peers' psycopg 3 for itself.
.venv-peers/requirements.txt: bench/requirements.txt
	@echo 'Building .venv-peers ...'
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
		--requirement requirements.txt --requirement bench/requirements.txt
	@cp bench/requirements.txt $@

bench: .venv/requirements.txt .venv-peers/requirements.txt
	@exec $(RUN) -m bench $(ARGS)

format: .venv/requirements.txt
	@$(RUN) -m ruff check --fix --quiet .
	@$(RUN) -m ruff format --quiet .

clean:
	rm -rf .venv .venv-peers .data staticfiles .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
