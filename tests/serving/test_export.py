"""What an export proves before it is named."""

import numpy as np
import pytest
from cases import tiny

from tfgen.errors import Failure
from tfgen.serving import export


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
