# `make demo` and `make test` are all a newcomer needs; each installs what it needs, and says what and why.
BIN := .venv/bin
ARGS ?=
MINUTES ?=

.PHONY: demo run test check format lint types bench soak guest image lock reference clean

demo: ## the whole system on this machine: a simulated till and printer, a box, the cloud
	@sh config/environment.sh
	@$(BIN)/python -m tests.demo $(ARGS)

run: ## the same without the simulated till: send to the address it prints, from a real one
	@sh config/environment.sh
	@$(BIN)/python -m tests.demo --no-till $(ARGS)

test: ## every test that fits into minutes
	@sh config/environment.sh tests
	$(BIN)/pytest -n 4 --dist loadfile -m "not slow and not guest and not board" $(ARGS)

check: ## format, lint, types, layering, tests
	@sh config/environment.sh tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 4 --dist loadfile -m "not slow and not guest and not board" $(ARGS)

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: ## what we measure ourselves against; figures go to bench/RESULTS.md
	@sh config/environment.sh bench
	@$(BIN)/python -m bench $(ARGS)

soak: ## the long campaigns: hours of kills, crash states and fuzzing
	@sh config/environment.sh tests
	$(BIN)/pytest -m slow --timeout 7200 $(ARGS)

guest: ## the virtual machine with a real USB gadget loop
	@sh config/environment.sh guest
	@$(BIN)/python -m tests.guest $(ARGS)

image: ## a flashable image for the boards
	@echo "not yet: the flashable image comes with the board's units"

lock: ## write requirements.lock anew from setup.cfg
	uv pip compile setup.cfg --all-extras --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock

reference: ## docs/configuration.md, from the settings that the programs read
	$(BIN)/python -m config.reference > docs/configuration.md

clean:
	rm -rf .venv build *.egg-info out
