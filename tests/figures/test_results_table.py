import json
import math
import pathlib
import re

import pytest

from tfgen.figures import cells, details, headlines, records, table

COMMITTED = [json.loads(path.read_text()) for path in sorted(pathlib.Path(__file__).parents[2].glob("results/*.json"))]


def written(folder, monkeypatch, *made_records):
    """RESULTS.md of some records."""
    monkeypatch.chdir(folder)
    for made in made_records:
        records.record(made["name"], made["values"], **{key: value for key, value in made.items() if key not in
                                                        ("name", "values", "versions", "date")})
    table.write_table()
    return (folder / "RESULTS.md").read_text()


def lines_of(text):
    """The cells of every line of the first table, less its head."""
    table = [line.strip("|") for line in text.partition("## Details")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in table[2:]]


def test_the_committed_table_is_that_of_the_committed_records(tmp_path, monkeypatch, request):
    root = request.config.rootpath
    monkeypatch.setattr(records, "RESULTS", root / "results")
    monkeypatch.chdir(tmp_path)
    table.write_table()
    assert (tmp_path / "RESULTS.md").read_text() == (root / "RESULTS.md").read_text()


def test_each_committed_record_has_a_line_and_its_details(request):
    text = (request.config.rootpath / "RESULTS.md").read_text()
    rows, details = lines_of(text), text.partition("## Details")[2]
    assert len(rows) == len(COMMITTED) == details.count("\n### ")
    links = [re.fullmatch(r"\[(.+)\]\(#(.+)\)", row[0]) for row in rows]
    assert {link[2] for link in links} == {made["name"] for made in COMMITTED}
    for link, row in zip(links, rows):
        assert len(row) == len(table.COLUMNS) and all(row)
        assert any(map(str.isdigit, row[2])) and (row[3] == "none" or any(map(str.isdigit, row[3])))
        assert row[5].startswith(("`tfgen", "`make", "`python"))
        section = details.partition(f'### <a id="{link[2]}"></a>{link[1]}\n')[2].partition("\n### ")[0]
        assert all(f"**{part}:**" in section for part in ("Published", "Data", "Budget", "Seeds", "Versions", "Source"))
        assert "\n|---|" in section and f"(results/{link[2]}.json)" in section


@pytest.mark.parametrize("made", COMMITTED, ids=[made["name"] for made in COMMITTED])
def test_a_record_has_a_headline_and_shows_all_its_values(made):
    assert made["name"] in headlines.HEADLINES
    values, headline = cells.values_of(made), headlines.of(made)
    ours = table.picked(headline.ours, values, headline.best, made["values"])
    # A `*` that takes one class' figure for a mean over classes would be called by its index.
    assert ours and not any("[" in line for line in ours)
    # A benchmark states marks of peers that it does not have, too.
    assert made["name"].startswith("bench-") and headline.targets or set(headline.targets) == set(made.get("marks", {}))
    rows = made["table"] if isinstance(made.get("table"), list) else []
    different = {json.dumps(row["settings"], sort_keys=True) for row in rows if "settings" in row}
    assert len(details.settings_of(made)) >= len(different)
    section = "\n".join(details.section_of(made))
    shown = [key for key in cells.without_spread(values) if key in made["values"]]
    assert shown and all(cells.cell(key, values) in section for key in shown)


def test_records_beside_which_nothing_is_known_get_a_line_too(tmp_path, monkeypatch):
    text = written(tmp_path, monkeypatch, {"name": "speed", "values": {"ratio": 1.234567, "ratio_min": 1.0, "ratio_max": 2.0,
                                           "units": 3}, "title": "Speed", "published": {"value": 1.1, "source": "a paper"}},
                   {"name": "vae", "values": {"elbo": -1.0}, "command": "tfgen reproduce vae", "published": "none"})
    assert lines_of(text) == [
        ["[VAE, Fashion-MNIST](#vae)", headlines.HEADLINES["vae"].measure, "elbo: -1.000", "none", "not recorded",
         "`tfgen reproduce vae`"],
        ["[Speed](#speed)", "ratio", "1.235 (1.000 to 2.000)", "published: 1.1", "not recorded", "none"]]
    assert "| ratio | 1.235 (1.000 to 2.000) |\n| units | 3 |\n" in text and "- **Published:** 1.1. Source: a paper." in text


@pytest.mark.parametrize("name", headlines.HEADLINES)
def test_absent_keys_and_fields_do_no_harm(name):
    for values in ({}, {"x": 1.0}, {"auroc brick, draem": 0.5}, {"ring_gan_modes": 8}, {"gain, 500 labels": 0.01}):
        row = table.line_of({"name": name, "values": values})
        assert len(row) == len(table.COLUMNS) and all(row)
        assert list(details.section_of({"name": name, "values": values}))


def test_a_reference_among_the_rows_is_not_the_best_recipe():
    """Rows of a table may be of training or test images, whose distance is below any recipe's."""
    made = {"name": "gan_zoo", "values": {"frechet_distance cgan": 6.5, "frechet_distance cgan, std": 0.5,
                                          "frechet_distance gan": 50.5, "floor": 0.6},
            "table": [{"recipe": "cgan", "frechet_distance": 6.5}, {"recipe": "gan", "frechet_distance": 50.5},
                      {"recipe": "training images", "frechet_distance": 0.6}]}
    assert table.line_of(made)[2:4] == ("best recipe, cgan: 6.50 ± 0.50", "gan (Goodfellow et al., 2014): 50.50")


@pytest.mark.parametrize("budget, minutes, text", [
    ({"cpu_minutes_each": 20.0}, (12.06, 49.63), "20 CPU minutes per network planned, 12.1 to 49.6 taken"),
    ({"cpu_minutes": 20.0}, (17.63,), "20 CPU minutes per training planned, 17.6 taken"),
    ({"cpu_minutes_each": 5.0}, (5.0, 5.01), "5 CPU minutes per network"),
    ({}, (1.0, 2.0), "1 to 2 CPU minutes per training"),
    ({"steps_at_most": 1500}, (), "1500 steps per training at most"),
    ({"wall_minutes": 3.0}, (), "3 minutes of wall time in all")])
def test_a_budget_has_what_was_planned_and_what_was_taken(budget, minutes, text):
    values = {f"cpu_minutes model {index}": taken for index, taken in enumerate(minutes)}
    assert cells.budget({"values": values, "budget": budget, "seeds": [0]}) == f"{text}, 1 seed"


def test_surfaces_over_two_seeds():
    values = {f"{key} {texture}, {method}{end}": value for key in ("auroc", "aupro", "f1") for texture in headlines.TEXTURES
              for method in ("local statistics", "draem") for end, value in (("", 0.9), (", std", 0.0123))}
    made = {"name": "surface_inspection", "values": values | {"cpu_minutes a training, draem": 4.4}, "seeds": [0, 1],
            "marks": {"auroc": 0.95, "aupro": 0.8}, "missed": {"auroc grass, draem": "grass is hard"},
            "budget": {"steps": {"draem": 8000, "ae_anomaly": 1000}, "trainings": [{"cpu_minutes": 4.5}],
                       "cpu_minutes_a_training": {"draem": 4.4, "ae_anomaly": 0.2}},
            "table": [{"texture": texture, "method": "draem", "seed": seed, "auroc": 0.9} for texture in headlines.TEXTURES
                      for seed in (0, 1)]}
    row = table.line_of(made)
    assert row[2].startswith("draem, AUROC: 0.900 ± 0.012 / 0.900 ± 0.012 / 0.900 ± 0.012<br>draem, AUPRO: 0.900")
    assert row[3].partition("<br>")[2] == "local statistics, AUPRO: 0.900 ± 0.012 / 0.900 ± 0.012 / 0.900 ± 0.012"
    assert "[a target missed](#surface_inspection)" in row[2]
    assert row[4] == "1000 to 8000 steps per training, 0.2 to 4.4 CPU minutes per training, 2 seeds"
    section = "\n".join(details.section_of(made))
    assert "| draem | 0.900 ± 0.012 |" in section and "std" not in section and "| 4.400 |" in section
    assert "Reason: grass is hard." in section and section.count("Reason: the record gives none.") == 2


def test_gains_of_few_labels_have_their_standard_error():
    values = {"from scratch, 100 labels": 0.72, "pre-trained, 100 labels": 0.725, "gain, 100 labels": 0.005,
              "standard error of the gain, 100 labels": 0.002}
    made = {"name": "few_labels", "values": values, "table": {"from scratch": {"100": [0.72, 0.72]}},
            "standard_deviation": {"from scratch, 100 labels": 0.01, "pre-trained, 100 labels": math.nan}}
    row = table.line_of(made)
    assert row[2] == "pre-trained as a VAE: 0.725 / none / none<br>gain ± standard error: 0.0050 ± 0.0020 / none / none"
    assert row[3] == "from scratch: 0.720 ± 0.010 / none / none"
    assert "standard error of the gain" not in "\n".join(details.section_of(made))


def test_the_ring_gets_its_rows():
    values = {f"{name}_{key}": value for name in ("gan", "ring_wgan_gp", "ring_gan", "ring_collapsing_gan")
              for key, value in (("modes", 8), ("high_quality", 0.9))}
    row = table.line_of({"name": "gan_failure_modes", "values": values})
    assert row[2] == "ring, WGAN-GP: 0.9 / 8"
    assert "ring, plain GAN with WGAN-GP's networks: 0.9 / 8<br>ring, plain GAN with small networks: 0.9 / 8" in row[3]
    assert "| ring, WGAN-GP | 8 | 0.9 |" in "\n".join(details.section_of({"name": "gan_failure_modes",
                                                                                "values": values}))


@pytest.mark.parametrize("value, error, text", [
    (93.804, 0.1949, "93.80 ± 0.19"), (90.579, 1.051, "90.6 ± 1.1"), (92.397, 0.00183, "92.40 ± 0.002"),
    (0.7214, 0.0081, "0.7214 ± 0.0081"), (0.805, 0.0133, "0.805 ± 0.013"), (1, 0.0, "1 ± 0"), (0.06, 1e-17, "0.06 ± 0")])
def test_errors_have_two_digits(value, error, text):
    assert cells.cell("x", {"x": value, "x, std": error}) == text


@pytest.mark.parametrize("value, text", [(3, "3"), (0, "0"), (1605913, "1,605,913"), (-1928.4, "-1928"), (12.7971, "12.80"),
                                         (0.986, "0.986"), (0.0200001, "0.02000"), (0.0019999999999999, "0.002"),
                                         (0.99999999999999, "1.000")])
def test_numbers_have_four_digits(value, text):
    assert cells.number(value) == text


def test_a_missed_speed_says_why():
    made = {"name": "bench-vae", "marks": {"bare": 0.97, "torch": 1.5}, "values": {
        "bare_images_per_s": 110.0, "torch_images_per_s": 100.0, "fit_over_bare": 0.9, "fit_16_over_bare": 1.01,
        "fit_over_torch": 1.0, "fit_over_torch_cpu": 1.0, "fit_16_over_torch": 1.6}}
    assert list(cells.missed(made)) == [
        "`fit_over_bare` is 0.9, the target at least 0.97. Reason: `fit` takes time between steps; with "
        "`steps_per_execution=16` the ratio is 1.01",
        "`fit_over_torch` is 1.000, the target at least 1.5. Reason: a bare TensorFlow loop over the same "
        "networks, too, reaches only 1.1 times PyTorch's speed"]
