"""An evaluation that is killed goes on to the very same result; what does not belong to it is never taken over."""

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fairart.plugins
from fairart.corruptions import CorruptionFolder, MadeCorruptions, write_corruptions
from fairart.evaluation import evaluate, remove_partial
from fairart.evaluation.running import runner, scores
from fairart.evaluation.running.partial import PartialResults, Unit
from fairart.fingerprint import classifier_fingerprint, differences, options_fingerprint

PGD = {"eps": 0.12, "eps_step": 0.06, "max_iter": 2}


class Killed(BaseException):
    """Nothing in the library may catch it."""


@pytest.fixture
def run(classifier, digits):
    def evaluated(checkpoint=None, **options):
        options = {
            "attacks": [("pgd", PGD)],
            "corruptions": ["gaussian_noise", "fog"],
            "severities": [2, 5],
            "batch_size": 50,
            **options,
        }
        found = options.pop("classifier", classifier)
        x, y = options.pop("x", digits.x), options.pop("y", digits.y)
        return evaluate(found, x, y, checkpoint=checkpoint, verbose=False, **options)

    return evaluated


@pytest.fixture
def scored(monkeypatch):
    """Counts batches that the model is asked to score; killed before one of them where asked."""

    class Count:
        batches = 0
        kill_at = None

    count, predict = Count(), scores.predict

    def counted(*arguments, **options):
        if count.batches == count.kill_at:
            raise Killed
        count.batches += 1
        return predict(*arguments, **options)

    monkeypatch.setattr(runner, "predict", counted)
    return count


def contents(result, folder):
    return result.save(folder / "evaluation.json").read_bytes()


def test_stopped_at_every_batch_and_gone_on_with_it_is_the_same_file(run, scored, tmp_path):
    whole = contents(run(), tmp_path)
    total = scored.batches
    assert total == 3 + 3 + 4 * 3
    for kill_at in range(total):
        folder = tmp_path / f"killed-{kill_at}"
        scored.batches, scored.kill_at = 0, kill_at
        with pytest.raises(Killed):
            run(folder)
        scored.batches, scored.kill_at = 0, None
        assert contents(run(folder), tmp_path) == whole
        assert scored.batches == total - kill_at, "nothing that was scored is scored again"


def test_stopped_again_and_again_it_gets_to_the_end(run, scored, tmp_path):
    whole = contents(run(), tmp_path)
    for _ in range(scored.batches - 1):
        scored.batches, scored.kill_at = 0, 1
        with pytest.raises(Killed):
            run(tmp_path / "partial")
    scored.batches = 0  # one batch is left
    assert contents(run(tmp_path / "partial"), tmp_path) == whole


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks")
def test_killed_by_the_system_at_random_lines_it_is_the_same_file(tmp_path):
    script = Path(__file__).with_name("kill_often.py")
    done = subprocess.run([sys.executable, script, tmp_path, "0", "16"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "discarded" not in done.stderr
    assert "starting again" not in done.stderr
    killed, ended = map(int, done.stdout.split())
    assert killed == 16
    files = sorted(tmp_path.glob("resumed-*.json"))
    assert len(files) == ended
    assert {file.read_bytes() for file in files} == {(tmp_path / "whole.json").read_bytes()}


def test_a_finished_evaluation_is_not_computed_again_until_its_folder_is_removed(run, scored, tmp_path):
    first = contents(run(tmp_path / "partial"), tmp_path)
    scored.batches = 0
    assert contents(run(tmp_path / "partial"), tmp_path) == first
    assert scored.batches == 0
    remove_partial(tmp_path / "partial")
    assert not (tmp_path / "partial").exists()
    remove_partial(tmp_path / "partial")
    run(tmp_path / "partial")
    assert scored.batches == 18


class Dithered(nn.Module):
    """Draws random numbers in eval mode too, as randomised defences do."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x + 0.3 * torch.randn_like(x))


def test_a_model_that_draws_random_numbers_goes_on_with_the_same_ones(run, scored, classifier, make_classifier, tmp_path):
    random_one = make_classifier(Dithered(classifier.model), preprocessing=(0.3, 0.4))
    whole = contents(run(classifier=random_one), tmp_path)
    assert contents(run(classifier=random_one, seed=1), tmp_path) != whole
    scored.batches = 0
    for kill_at in (2, 4, 8):
        scored.batches, scored.kill_at = 0, kill_at
        with pytest.raises(Killed):
            run(tmp_path / f"partial-{kill_at}", classifier=random_one)
        scored.kill_at = None
        assert contents(run(tmp_path / f"partial-{kill_at}", classifier=random_one), tmp_path) == whole


def changed_weights(classifier, digits):
    with torch.no_grad():
        classifier.model[1].bias[3] += 1e-6
    return {}


def changed_buffer(classifier, digits):
    classifier.model[2].running_mean[0] += 1e-6
    return {}


def changed_pixel(classifier, digits):
    x = digits.x.copy()
    x[7, 0, 2, 3] += 1e-3 if x[7, 0, 2, 3] < 0.5 else -1e-3
    return {"x": x}


OTHERS = {
    "weights": (changed_weights, "another model"),
    "a buffer": (changed_buffer, "another model"),
    "a pixel": (changed_pixel, "another images"),
    "a label": (lambda _, digits: {"y": np.r_[(digits.y[:1] + 1) % 10, digits.y[1:]]}, "another labels"),
    "fewer samples": (lambda _, digits: {"x": digits.x[:90], "y": digits.y[:90]}, "another images; another labels"),
    "seed": (lambda *_: {"seed": 1}, "seed was 0, is 1"),
    "batch size": (lambda *_: {"batch_size": 40}, "batch size was 50, is 40"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_of_another_evaluation_starts_over_and_says_what_differs(run, scored, classifier, digits, tmp_path, case):
    change, told = OTHERS[case]
    run(tmp_path / "partial")
    options = change(classifier, digits)
    with pytest.warns(UserWarning, match=rf"partial belongs to another evaluation \({told}\): starting again"):
        found = run(tmp_path / "partial", **options)
    scored.batches = 0
    assert contents(found, tmp_path) == contents(run(**options), tmp_path)
    fresh = scored.batches
    scored.batches = 0
    run(tmp_path / "partial", **options)
    assert scored.batches == 0
    assert fresh


def test_versions_are_part_of_it(run, tmp_path, monkeypatch):
    run(tmp_path / "partial", attacks=(), corruptions=None, severities=None)
    monkeypatch.setattr("fairart.__version__", "99")
    with pytest.warns(UserWarning, match=r"version of fairart was \S+, is 99"):
        run(tmp_path / "partial", attacks=(), corruptions=None, severities=None)


def test_an_attack_with_other_options_starts_over_and_the_rest_is_kept(run, scored, tmp_path):
    run(tmp_path / "partial")
    scored.batches = 0
    stronger = {"attacks": [("pgd", {**PGD, "max_iter": 3}), ("fgsm", {"eps": 0.1})]}
    with pytest.warns(UserWarning, match=r"attack 'pgd' has other settings \(max_iter was 2, is 3\) and starts again"):
        found = run(tmp_path / "partial", **stronger)
    assert scored.batches == 3 + 3
    assert contents(found, tmp_path) == contents(run(**stronger), tmp_path)


def test_a_corruption_of_other_images_starts_over(run, digits, tmp_path):
    run(tmp_path / "partial")
    other = MadeCorruptions(digits.x, digits.y, corruptions=["gaussian_noise", "fog"], severities=[2, 5], seed=9)
    with pytest.warns(UserWarning, match="corruption seed was 0, is 9") as caught:
        found = run(tmp_path / "partial", corruptions=other)
    assert len(caught) == 4
    assert contents(found, tmp_path) == contents(run(corruptions=other), tmp_path)


def test_a_folder_that_was_written_again_starts_over(run, digits, tmp_path):
    def read():
        return CorruptionFolder(tmp_path / "c", corruptions="fog", severities=[2, 5])

    write_corruptions(digits.x, digits.y, tmp_path / "c", corruptions="fog")
    run(tmp_path / "partial", corruptions=read())
    write_corruptions(digits.x, digits.y, tmp_path / "c", corruptions="fog", seed=1, overwrite=True)
    with pytest.warns(UserWarning, match=r"corruption 'fog/[25]' has other settings \(another file\)") as caught:
        found = run(tmp_path / "partial", corruptions=read())
    assert len(caught) == 2
    assert contents(found, tmp_path) == contents(run(corruptions=read()), tmp_path)


def test_a_plugin_whose_code_changed_starts_over(run, tmp_path, monkeypatch):
    source = (
        "from fairart import hookimpl\n\n"
        "def shift(target, x, y, *, eps: float = 0.1):\n"
        "    return x + {}\n\n"
        "@hookimpl\n"
        "def fairart_register_attacks(register):\n"
        "    register('shift', shift)\n"
    )

    def load(by):
        folder = tmp_path / f"plugins{by}"
        folder.mkdir()
        (folder / "mine.py").write_text(source.format(by))
        manager = fairart.plugins.PluginManager(entry_points=False, strict=True)
        monkeypatch.setattr(fairart.plugins.manager, "_manager", manager)
        manager.load_folder(folder)

    only = {"attacks": ["shift"], "corruptions": None, "severities": None}
    load(0.05)
    run(tmp_path / "partial", **only)
    load(0.1)
    with pytest.warns(UserWarning, match=r"attack 'shift' has other settings \(another code\)"):
        found = run(tmp_path / "partial", **only)
    assert found["shift"].perturbation.max_linf == pytest.approx(0.1, abs=1e-6)


def test_a_surrogate_is_known_again_by_its_weights(run, scored, classifier, make_classifier, tmp_path):
    def attacked(shift):
        torch.manual_seed(0)
        surrogate = make_classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
        with torch.no_grad():
            surrogate.model[1].bias += shift * torch.arange(10)
        attack = ("transfer", {"surrogate": surrogate, "eps": 0.1, "max_iter": 2})
        return run(tmp_path / "partial", attacks=[attack], corruptions=None, severities=None)

    attacked(0)
    scored.batches = 0
    attacked(0)
    assert scored.batches == 0
    with pytest.warns(UserWarning, match=r"attack 'transfer' has other settings \(another surrogate\)"):
        attacked(1)


def damaged_versions(whole):
    """(what is done to it, bytes) of files that a disk may hand back."""
    yield "empty", b""
    yield "text", b"fairart"
    yield "pickle", pickle.dumps({"header": "x"})
    for share in (0.1, 0.5, 0.9, 0.999):
        yield f"cut at {share}", whole[: int(share * len(whole))]
    for place in np.random.default_rng(0).integers(0, len(whole), 25):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        yield f"byte {place}", bytes(flipped)


def test_damaged_files_are_discarded_or_make_no_difference(run, tmp_path):
    options = {"corruptions": None, "severities": None}
    whole = contents(run(tmp_path / "partial", **options), tmp_path)
    (path,) = (tmp_path / "partial").glob("attack-pgd-*.npz")
    good = path.read_bytes()
    warned = 0
    for what, damaged in damaged_versions(good):
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = run(tmp_path / "partial", **options)
        assert contents(found, tmp_path) == whole, what
        warned += any("is damaged and discarded" in str(one.message) for one in caught)
    assert warned >= 25  # a flipped bit in a time stamp harms nobody


def test_a_damaged_state_starts_over(run, tmp_path):
    options = {"corruptions": None, "severities": None}
    whole = contents(run(tmp_path / "partial", **options), tmp_path)
    for text in ("", "{", "[]", '{"format": "other"}', '{"format": "fairart.evaluation.partial", "format_version": 99}'):
        (tmp_path / "partial" / "state.json").write_text(text)
        with pytest.warns(UserWarning, match=r"state\.json is damaged or foreign .*: starting again"):
            assert contents(run(tmp_path / "partial", **options), tmp_path) == whole


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_nothing_is_unpickled(run, tmp_path):
    options = {"corruptions": None, "severities": None}
    run(tmp_path / "partial", **options)
    (path,) = (tmp_path / "partial").glob("clean-*.npz")
    with path.open("wb") as file:
        np.savez(file, header=np.array([Bomb()], dtype=object), predictions=np.zeros(120), confidences=np.zeros(120))
    with pytest.warns(UserWarning, match="is damaged and discarded"):
        run(tmp_path / "partial", **options)


def test_folders_and_files_of_others_are_left_alone(run, scored, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"a folder of its own for partial results, .* holds notes\.txt"):
        run(tmp_path)
    with pytest.raises(ValueError, match=r"must be a folder for partial results, .* is a file"):
        run(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="a folder of its own"):
        remove_partial(tmp_path)
    assert scored.batches == 0
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_what_a_file_manager_leaves_is_no_hindrance_and_stays(run, tmp_path):
    folder = tmp_path / "partial"
    folder.mkdir()
    (folder / ".DS_Store").write_text("mine")
    (folder / ".clean-clean-1a2b3c4d.npz.4711.tmp").write_text("of a process that was killed")
    run(folder, corruptions=None, severities=None)
    assert (folder / "state.json").exists()
    remove_partial(folder)
    assert [file.name for file in folder.iterdir()] == [".DS_Store"]


def test_a_full_disk_does_not_end_the_evaluation(run, tmp_path, monkeypatch):
    whole = contents(run(), tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fairart.evaluation.running.partial.np.savez", full)
    with pytest.warns(
        UserWarning, match="partial cannot be written to .*No space left.*: no further partial results are kept"
    ) as caught:
        found = run(tmp_path / "partial")
    assert len(caught) == 1
    assert contents(found, tmp_path) == whole


def test_labels_of_any_text_have_files_of_their_own(run, tmp_path):
    attacks = {
        label: {"attack": "fgsm", "eps": eps} for label, eps in (("a/b", 0.05), ("a\\b", 0.1), ("ä" * 99, 0.2), ("..", 0.3))
    }
    options = {"attacks": attacks, "corruptions": None, "severities": None}
    whole = contents(run(tmp_path / "partial", **options), tmp_path)
    assert len(list((tmp_path / "partial").glob("attack-*.npz"))) == 4
    assert contents(run(tmp_path / "partial", **options), tmp_path) == whole


def test_a_unit_of_another_evaluation_is_not_taken_over_though_the_state_was_replaced(tmp_path):
    # What a kill leaves that comes between the new state and the removal of the old units.
    unit = Unit("clean", "clean", 3, {}, {"predictions": np.int64})
    old = PartialResults(tmp_path / "p", {"seed": 0})
    old.save(unit, {"predictions": np.array([1, 2, 3])}, 3, now=True)
    kept = (tmp_path / "p" / unit.file).read_bytes()
    with pytest.warns(UserWarning, match="seed was 0, is 1"):
        new = PartialResults(tmp_path / "p", {"seed": 1})
    (tmp_path / "p" / unit.file).write_bytes(kept)
    assert new.load(unit)[1] == 0
    assert old.load(unit)[1] == 3


def test_fingerprints_see_what_numbers_follow_from(classifier, make_classifier, tmp_path):
    same = classifier_fingerprint(classifier)
    assert classifier_fingerprint(classifier) == same
    classifier.model.train()
    assert classifier_fingerprint(classifier) == same, "modes are set by the evaluation"
    classifier.model[3].inplace = True
    assert differences(same, classifier_fingerprint(classifier)) == ["another model"]
    other = make_classifier(classifier.model, preprocessing=(0.3, 0.5))
    assert differences(classifier_fingerprint(classifier), classifier_fingerprint(other)) == ["another preprocessing"]
    wide = make_classifier(classifier.model, clip_values=(0, 255), preprocessing=(0.3, 0.4))
    assert differences(classifier_fingerprint(classifier), classifier_fingerprint(wide)) == [
        "clip values was [0.0, 1.0], is [0.0, 255.0]"
    ]


def test_options_that_cannot_be_compared_equal_nothing(classifier, tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    plain = {"eps": 0.1, "norm": "inf", "steps": (1, 2), "mask": np.eye(2), "textures": str(tmp_path), "surrogate": classifier}
    first = options_fingerprint(plain)
    assert options_fingerprint(plain) == first
    (tmp_path / "a.png").write_bytes(b"22")
    assert differences(first, options_fingerprint(plain)) == ["another textures"]
    assert options_fingerprint({"own": object()}) != options_fingerprint({"own": object()})
