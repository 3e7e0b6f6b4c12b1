"""The built-in model at run time: what it draws, what it refuses, and that it is a network and not a renderer."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vidorch_local.mini import model as run_time
from vidorch_local.mini.model import FRAMES, MAX_STEPS, SIZE, Mini, Stopped, upscale
from vidorch_local.mini.words import understand

FOLDER = Path(run_time.__file__).parent
GOLDEN = Path(__file__).with_name("golden.npz")
BALL = understand("a red ball rolling left")


def saved(path, arrays, meta):
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    return path


@pytest.fixture
def parts():
    """The arrays and the meta data of the shipped weights, to be spoilt."""
    with np.load(FOLDER / "weights.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, json.loads(str(arrays.pop("meta")))


def test_a_clip_has_the_promised_shape(rolling):
    """24 frames of 64 by 64 in three bytes per pixel."""
    assert (FRAMES, SIZE, SIZE, 3) == rolling.shape
    assert np.uint8 == rolling.dtype


def test_the_same_seed_gives_the_same_bytes(mini, rolling):
    """A clip is a function of the reading, the steps and the seed."""
    assert np.array_equal(rolling, mini.generate(BALL, seed=1))


def test_another_seed_gives_another_clip(mini, rolling):
    """The seed decides where the object is, not only some noise on it."""
    other = mini.generate(BALL, seed=2)
    assert np.abs(other.astype(int) - rolling).max() > 60


def test_the_words_decide_what_is_drawn(mini, rolling):
    """With the same noise, another prompt gives another picture."""
    other = mini.generate(understand("a blue triangle falling on a light background"), seed=1)
    assert np.abs(other.astype(int) - rolling).mean() > 60


def test_the_stages_are_reported_in_order(mini):
    """Progress goes through encode, denoise and decode, each from 0 to 1."""
    heard = []
    mini.generate(BALL, seed=1, steps=2, on_progress=lambda stage, share: heard.append((stage, share)))
    assert [
        ("encode", 0.0),
        ("encode", 1.0),
        ("denoise", 0.0),
        ("denoise", 0.5),
        ("denoise", 1.0),
        ("decode", 0.0),
        ("decode", 1.0),
    ] == heard


def test_it_stops_between_steps_when_asked(mini):
    """`should_stop` is looked at before each step; nothing is drawn after it says so."""
    asked = []
    with pytest.raises(Stopped):
        mini.generate(BALL, seed=1, steps=8, should_stop=lambda: len(asked) > 3 or asked.append(1))
    assert 4 == len(asked)


def test_a_reading_outside_the_world_is_refused(mini):
    """The model itself draws nothing for a prompt of which it understood no object or motion."""
    with pytest.raises(ValueError, match="no object and no motion"):
        mini.generate(understand("a dragon in a castle"), seed=1)


@pytest.mark.parametrize("steps", [0, -1, MAX_STEPS + 1])
def test_steps_out_of_range_are_refused(mini, steps):
    """The number of steps has limits, and the message names them."""
    with pytest.raises(ValueError, match=f"from 1 to {MAX_STEPS}"):
        mini.generate(BALL, seed=1, steps=steps)


def test_numpy_gives_what_torch_gave(mini):
    """The outputs of the torch network, kept in a file, come out of the NumPy one to 1e-4."""
    golden = np.load(GOLDEN, allow_pickle=False)
    net = mini.network
    crossed, pooled = net.encode(golden["tokens"])
    for name, image in (("without_image", None), ("with_image", golden["image"])):
        out = net.denoise(golden["x"], float(golden["t"]), crossed, pooled, image)
        np.testing.assert_allclose(out[0], golden[name], atol=1e-4)
    np.testing.assert_allclose(
        net.decode(golden["low"], golden["tokens"][0])[::6], golden["sharp"], atol=1e-4
    )


@pytest.mark.torch
def test_numpy_equals_torch_live(mini):
    """The torch network, filled with the shipped weights, gives what the NumPy network gives."""
    from mini_training.golden import compare

    assert compare(mini.network) < 1e-4


def test_zeroed_weights_break_it(mini):
    """There is nothing but the network: without its weights it draws no clip of its world."""
    from mini_training.checker import look

    dead = run_time.Mini(
        run_time.Network({k: np.zeros_like(v) for k, v in mini.network.weights.items()}, mini.meta["config"]),
        mini.guidance,
        mini.meta,
    )
    assert look(dead.generate(BALL, seed=1)).shape is None


def test_a_zeroed_file_is_refused(tmp_path, parts):
    """A file of zeros is told from a trained one when it is read."""
    arrays, meta = parts
    zeroed = {name: np.zeros_like(a) for name, a in arrays.items()}
    with pytest.raises(ValueError, match="no trained weights"):
        Mini.load(saved(tmp_path / "w.npz", zeroed, meta | {"checksum": Mini.checksum(zeroed)}))


def test_a_changed_file_is_refused(tmp_path, parts):
    """One weight that differs is noticed."""
    arrays, meta = parts
    name = "blocks.0.qkv.weight"
    arrays[name] = arrays[name] + np.float16(0.01)
    with pytest.raises(ValueError, match="checksum"):
        Mini.load(saved(tmp_path / "w.npz", arrays, meta))


def test_a_truncated_file_is_refused(tmp_path):
    """Half a file is an error that names the file."""
    whole = (FOLDER / "weights.npz").read_bytes()
    (tmp_path / "w.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cannot be read from .*w\.npz"):
        Mini.load(tmp_path / "w.npz")


def test_a_missing_file_is_refused(tmp_path):
    """No file is the same kind of error as a bad one."""
    with pytest.raises(ValueError, match="cannot be read"):
        Mini.load(tmp_path / "none.npz")


def test_another_version_is_refused(tmp_path, parts):
    """Weights of another format are not tried."""
    arrays, meta = parts
    with pytest.raises(ValueError, match="vidorch-mini-1 was expected"):
        Mini.load(saved(tmp_path / "w.npz", arrays, meta | {"format": "vidorch-mini-0"}))


def test_the_weights_file_is_small_and_says_where_it_comes_from(mini):
    """At most 9.5 MB, with the command that made it, the date and the clips seen."""
    assert (FOLDER / "weights.npz").stat().st_size <= run_time.LARGEST_FILE
    assert {"command", "date", "clips_seen", "steps", "config"} <= set(mini.meta)
    assert run_time.DEFAULT_STEPS == mini.meta["steps"]


def test_run_time_imports_neither_torch_nor_the_training():
    """A fresh process that draws a clip has loaded no torch, no training, and nothing else from outside but NumPy."""
    code = (
        "import sys; from vidorch_local.mini.words import understand; assert 'numpy' not in sys.modules;"
        "from vidorch_local.mini.model import Mini; Mini.load().generate(understand('a red ball falling'), seed=1, steps=1);"
        "print(*sorted({m.partition('.')[0] for m in sys.modules if m.partition('.')[0] in"
        " ('torch', 'mini_training', 'PIL', 'scipy', 'av', 'onnxruntime')}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=FOLDER.parents[1],
    )
    assert "" == ran.stdout.strip()


def test_run_time_source_imports_only_numpy_and_the_standard_library():
    """By its syntax, too; so neither renderer nor checker can be reached from the package that is shipped."""
    allowed = set(sys.stdlib_module_names) | {"numpy"}
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {a.name.partition(".")[0] for a in node.names} <= allowed, path
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.partition(".")[0] in allowed, path
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), path


def test_frames_are_shown_at_256(rolling):
    """Upscaling keeps the number of frames and the mean colour."""
    big = upscale(rolling)
    assert (FRAMES, 256, 256, 3) == big.shape
    assert np.uint8 == big.dtype
    assert abs(float(big.mean()) - float(rolling.mean())) < 1
