"""docs/weights.md is executed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.servers.hub import Hub, Model, pipeline

PAGE = (Path(__file__).parents[2] / "docs" / "weights.md").read_text("utf-8")


def test_python_example_fetches_a_model(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with all of it here."""
    pytest.importorskip("huggingface_hub")
    hub.models["Wan-AI/Wan2.1-T2V-1.3B-Diffusers"] = Model(pipeline())
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    folder = names["folder"]
    assert isinstance(folder, Path)
    assert (folder / "model_index.json").is_file()
    whole = capsys.readouterr().out.splitlines()[-1].split()
    assert whole[-1] == whole[-3]
