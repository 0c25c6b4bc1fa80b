"""``fairart corrupt``: a folder that reads as the data set's corruptions, gone on with, and clear refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fairart import create
from fairart.corruptions import CORRUPTION_VERSION, CorruptionFolder, MadeCorruptions, textures

LIMITED = ("--limit", 20, "--seed", 3, "--device", "cpu")


@pytest.fixture
def corrupt(fairart_command, tmp_path):
    return lambda *arguments: fairart_command("corrupt", "digits", "--output", tmp_path / "made", *LIMITED, *arguments)


def test_the_folder_reads_as_what_is_made_of_the_test_images(corrupt, tmp_path):
    code, out, err = corrupt("--corruptions", "fog,contrast", "--set", "dataset.split_seed=5")
    assert (code, err) == (0, "")
    assert out == f"2 corruptions of 20 images, 5 severities each, are in {tmp_path / 'made'}\n"
    data = create("dataset", "digits", split_seed=5)
    keep = np.sort(np.random.default_rng(3).permutation(len(data.y_test))[:20])
    made = MadeCorruptions(data.x_test[keep], data.y_test[keep], corruptions="fog", severities=[4], seed=3)
    (expected, labels), *_ = made.batches("fog", 4)
    folder = CorruptionFolder(tmp_path / "made", corruptions="fog", input_shape=(1, 8, 8))
    (images, classes), *_ = folder.batches("fog", 4)
    np.testing.assert_allclose(images, expected, atol=0.501 / 255)
    assert classes.tolist() == labels.tolist()
    note = json.loads((tmp_path / "made" / "made.json").read_text())
    assert (note["dataset"], note["seed"], note["version"]) == ("digits", 3, CORRUPTION_VERSION)
    assert "not CIFAR-10-C" in note["source"]


def test_it_is_gone_on_with_or_refused(corrupt, tmp_path):
    assert corrupt("--corruptions", "fog", "--quiet") == (0, "", "")
    before = (tmp_path / "made" / "fog.npy").stat().st_mtime_ns
    code, out, _ = corrupt("--corruptions", "fog,pixelate", "--json")
    assert code == 0
    assert json.loads(out)["corruptions"] == ["fog", "pixelate"]
    assert (tmp_path / "made" / "fog.npy").stat().st_mtime_ns == before
    code, _, err = corrupt("--corruptions", "fog", "--seed", 4)
    assert code == 2
    assert "was made with corruption seed 3 and not 4, other images, other labels; give another folder, or overwrite" in err
    assert corrupt("--corruptions", "fog", "--seed", 4, "--overwrite")[0] == 0
    (tmp_path / "made" / "made.json").unlink()
    assert "not made by fairart" in corrupt("--corruptions", "fog", "--overwrite")[2]


def test_without_pictures_of_frost_nothing_is_written_and_one_line_says_what_to_do(corrupt, tmp_path, monkeypatch):
    monkeypatch.setattr(textures, "_PACKAGE", "a_package_that_nobody_has")
    code, out, err = corrupt()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--textures FOLDER" in err
    assert "--corruptions all,-frost" in err
    assert not (tmp_path / "made").exists()


def test_frost_of_a_folder(corrupt, tmp_path):
    (tmp_path / "frost").mkdir()
    grey = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "frost" / "a.png")
    assert corrupt("--corruptions", "frost", "--textures", tmp_path / "frost")[0] == 0
    assert np.load(tmp_path / "made" / "frost.npy").shape == (100, 8, 8, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["corrupt"], "no data set given"),
        (["corrupt", "digits"], "--output FOLDER"),
        (["corrupt", "digitz", "--output", "x"], "did you mean 'digits'"),
        (["corrupt", "digits", "--output", "x", "--corruptions", "smog"], "did you mean 'fog'"),
        (["corrupt", "digits", "--output", "x", "--corruptions", "fog", "--set", "snow.depth=1"], "snow"),
        (["corrupt", "digits", "--output", "x", "--corruptions", "frost", "--set", "frost.texture=a"], "textures"),
        (["corrupt", "digits", "--output", "x", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_requests(fairart_command, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = fairart_command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.iterdir())
