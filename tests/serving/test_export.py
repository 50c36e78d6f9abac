"""What an export proves before it is named."""

import numpy as np
import pytest
from cases import tiny

from tfgen.errors import Failure
from tfgen.serving import examples, export
from tfgen.serving.forms import Form


def test_an_export_that_differs_from_the_model_is_not_named(tmp_path, monkeypatch):
    """One output off by 0.01: the verb and the output are told, and no version is left."""
    run = export.run

    def wrong(live, name, inputs):
        made = run(live, name, inputs)
        return made | {"latents": made["latents"] + np.float32(0.01)} if name == "encode" else made

    monkeypatch.setattr(export, "run", wrong)
    with pytest.raises(Failure, match="the exported 'encode' differs from the model by 0.01 in 'latents'"):
        export.export(tiny("vae"), tmp_path / "served")
    assert not list((tmp_path / "served").glob("*"))


def test_pictures_are_kept_only_when_asked_for(tmp_path):
    """Every grey level comes back; an export without pictures has no file of them."""
    levels = np.arange(4 * 64).astype(np.uint8).reshape(4, 8, 8, 1)
    form = Form(signatures=("encode",), warmup_batch_sizes=())
    path = export.export(tiny("vae"), tmp_path, form=form, pictures={"images": levels, "labels": np.arange(4)})
    found = examples.read_pictures(path)
    np.testing.assert_array_equal(found["images"] * 255.0, levels.astype("float32"))
    assert found["images"].dtype == np.float32 and found["labels"].tolist() == [0, 1, 2, 3]
    assert examples.read_pictures(export.export(tiny("vae"), tmp_path, form=form)) == {}
