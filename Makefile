# `make demo` and `make test` are all a newcomer needs; each installs what it needs, and says what and why.
BIN := .venv/bin
ARGS ?=
ARCH ?=
MINUTES ?=

.PHONY: demo run test check format lint types bench soak guest deb board image image-test lock reference clean

demo: ## the whole system on this machine: a simulated till and printer, a box, the cloud
	@sh config/environment.sh
	@$(BIN)/python -m tests.demo $(ARGS)

run: ## the same without the simulated till: send to the address it prints, from a real one
	@sh config/environment.sh
	@$(BIN)/python -m tests.demo --no-till $(ARGS)

test: ## every test that fits into minutes
	@sh config/environment.sh tests
	$(BIN)/pytest -n 4 --dist loadfile -m "not slow and not guest and not board and not image" $(ARGS)

check: ## format, lint, types, layering, tests
	@sh config/environment.sh tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 4 --dist loadfile -m "not slow and not guest and not board and not image" $(ARGS)

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

deb: ## Debian packages of the box for this machine's architecture; ARCH=arm64 for the boards
	@sh config/environment.sh board
	@sh systemd/board/build-deb.sh bookworm $(ARCH)
	@sh systemd/board/build-deb.sh trixie $(ARCH)

board: ## the package and its updates on fresh Debians with systemd, in containers (root)
	@sh config/environment.sh board
	$(BIN)/pytest -m board -v -s --timeout 3600 -p no:xdist tests/board $(ARGS)

image: ## a flashable image for Raspberry Pi 3, 4 and Zero 2 W (root; half an hour the first time, then minutes)
	@sh config/environment.sh image
	@sh systemd/image/build.sh

image-test: ## boots that image in an emulated board: prints, is acknowledged, loses its power, loses nothing
	@sh config/environment.sh image
	$(BIN)/pytest -m image -v -s --timeout 3600 -p no:xdist tests/image $(ARGS)

lock: ## write requirements.lock, and the box's own, anew from setup.cfg
	uv pip compile setup.cfg --all-extras --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock
	uv pip compile setup.cfg --extra box --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock -o systemd/board/requirements.lock

reference: ## docs/configuration.md, from the settings that the programs read
	$(BIN)/python -m config.reference > docs/configuration.md

clean:
	rm -rf .venv build *.egg-info out
