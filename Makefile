PYTHON ?= python3.11
DATA ?= digits
RECIPE ?= vae
# Digits are few and small: more passes, smaller batches, and grey levels as such.
SETTINGS ?= $(if $(filter digits,$(DATA)),--epochs 100 --batch-size 32 $(if $(findstring vae,$(RECIPE)),--set \
  likelihood=discretised_logistic),--epochs 5)
OUT ?= runs/demo-$(RECIPE)-$(DATA)
BIN = .venv/bin
OLDEST = vae or dcgan or cyclegan or ae_anomaly or progan

.PHONY: venv demo test test-all test-extras oldest lint bench results catalogue docs models torture
venv: .venv/installed
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev,ui]'
	touch $@

demo: venv
	rm -rf $(OUT)
	$(BIN)/tfgen train $(RECIPE) --data $(DATA) $(SETTINGS) --picture-every 25 --out $(OUT)
	$(BIN)/tfgen sample $(OUT) --out $(OUT)/samples.png
	$(BIN)/tfgen reconstruct $(OUT) --out $(OUT)/reconstructions.png
	$(BIN)/tfgen export $(OUT) --to saved_models/$(RECIPE)
	@echo "look at the pictures in $(OUT); the SavedModel is in saved_models/$(RECIPE)"

# Of what takes turns, a tenth each day.
test: venv
	$(BIN)/python -m pytest -n 2 --rotate
# Without turns; slow tests, real training, come with `-m slow`. In two parts: processes that hold the graphs of all tests would
# outgrow 24 GB.
test-all: venv
	$(BIN)/python -m pytest -n 2 --ignore tests/test_conformance.py
	$(BIN)/python -m pytest -n 2 tests/test_conformance.py
# What needs further packages: metrics and models beside implementations of others, the notebooks, the site. Of torch-mimicry's
# dependencies none but PyTorch is for its networks; the others are for its data, metrics and tests.
test-extras: venv
	$(BIN)/pip install -q -c constraints.txt -e '.[reference,notebooks,docs]'
	$(BIN)/pip install -q -c constraints.txt --no-deps torch-mimicry
	$(BIN)/python -m pytest tests/metrics/test_references.py tests/references tests/samplers/test_denoising.py
	$(BIN)/python -m pytest -m slow tests/test_notebooks.py
	$(BIN)/mkdocs build --strict
# The oldest versions that pyproject.toml allows: the command line, and a recipe of each kind.
oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest tests/cli tests/test_seeds.py tests/test_disks.py
	.venv-oldest/bin/python -m pytest tests/test_conformance.py -k "$(OLDEST)"
.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install -q -c constraints-oldest.txt -e '.[dev]'
	touch $@
# Trains the models of saved_models/ that are not trained yet (about 90 minutes on one core), and writes their cards.
models: venv
	$(BIN)/python apps/starter_models.py
# Kills and resumes a tiny run of every recipe (over an hour); each must end as the unbroken run does.
torture: venv
	$(BIN)/python -m benchmarks.torture
lint: venv
	$(BIN)/ruff check .
bench: venv
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.bench --cores 2 --only bench-vae bench-dcgan bench-wgan-gp
results: venv
	$(BIN)/tfgen results
# The site of docs/ and of the docstrings, in site/.
docs: venv
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict
# What `tfgen list` shows, and docs/verbs.md: made anew when a recipe or a verb changes.
catalogue: venv
	$(BIN)/tfgen catalogue
