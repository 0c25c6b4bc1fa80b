"""``fairart evaluate`` as a user meets it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from fairart import create
from fairart.corruptions import write_corruptions
from fairart.evaluation import EvaluationResult
from fairart.evaluation.running import scores

CORRUPTED = ("--attack", "none", "--corruptions", "fog,contrast", "--severities", "1,5")
QUICK = ("--set", "pgd.max_iter=2", "--limit", "60")


def test_the_table_the_file_and_the_budget_of_the_run(fairart_command, trained):
    code, out, err = fairart_command("evaluate", trained, "--attack", "pgd", "--attack", "fgsm", *QUICK)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert list(result) == ["clean", "pgd", "fgsm"]
    assert len(result.labels) == 60
    # Trained at eps 0.1, so attacked at eps 0.1, not at the attack's own default.
    assert result["pgd"].config["options"] == {
        "eps": 0.1,
        "eps_step": 0.05,
        "max_iter": 2,
        "num_random_init": 1,
        "stop_when_fooled": True,
        "norm": "inf",
    }
    assert result["fgsm"].config["options"] == {"eps": 0.1, "norm": "inf"}
    assert result.config["trainer"] == "at"


def test_the_accuracy_is_that_of_the_trained_weights(fairart_command, trained, train, tmp_path):
    def accuracy(folder):
        return json.loads(fairart_command("evaluate", folder, "--json", *QUICK)[1])["results"][1]["accuracy"]

    train("at", tmp_path / "longer", "--epochs", "8", "--per-class", "60", "--quiet")
    assert accuracy(tmp_path / "longer") > accuracy(trained) + 0.1


def test_json_repeats_and_seeds_differ(fairart_command, trained):
    def run(*flags):
        code, out, err = fairart_command("evaluate", trained, "--json", *QUICK, *flags)
        assert (code, err) == (0, "")
        return json.loads(out)

    first = run()
    assert run() == first
    for one, other in zip(run("--batch-size", "7")["results"], first["results"], strict=True):
        # Sums in batches of another size may differ in the last digit that is kept.
        assert one.pop("confidences") == pytest.approx(other.pop("confidences"), rel=1e-4)
        assert one == other
    assert run("--seed", "1")["labels"] != first["labels"]


def test_options_given_beat_those_of_the_run(fairart_command, trained):
    out = fairart_command("evaluate", trained, "--json", *QUICK, "--set", "pgd.eps=8/255")[1]
    assert json.loads(out)["results"][1]["config"]["options"]["eps"] == 8 / 255


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--atack", "pgd"], "unknown flag --atack; did you mean '--attack'"),
        (["--attack", "pdg"], "there is no attack 'pdg'; did you mean 'pgd'"),
        (["--set", "fgsm.eps=1"], "'fgsm' is not among the attacks, certificates and defences of this evaluation"),
        (["--set", "pgd.max_itr=1"], "attack 'pgd' has no option 'max_itr'; did you mean 'max_iter'"),
        (["--set", "pgd.eps=-1"], "eps must be >= 0"),
        (["--attack", "pgd", "--attack", "pgd"], "two attacks are labelled 'pgd'"),
        (["--limit", "0"], "limit expects a whole number >= 1, or 100/class for so many of each class, got '0'"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--corruptions", "smog"], "there is no corruption 'smog'; did you mean 'fog'"),
        (
            ["--corruptions", "fog", "--severities", "0,1"],
            "--severities: expects whole numbers from 1 to 5 with commas, got '0,1'",
        ),
        (["--severities", "1"], "--severities goes with --corruptions or --corruptions-dir"),
        (["--reference", "a.json"], "--reference goes with --corruptions or --corruptions-dir"),
        (["--corruptions", "fog", "--reference", "no/such.json"], "no/such.json: No such file or directory"),
        (["--corruptions", "fog", "--set", "fogg.level=1"], "options are set for 'fogg'"),
        (["--corruptions", "frost", "--set", "frost.textures=no/such"], "frost: there is no folder no/such"),
        (["--corruptions-dir", "no/such"], "there is no folder no/such"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(fairart_command, trained, flags, told):
    before = (trained / "evaluation.json").read_bytes() if (trained / "evaluation.json").exists() else None
    code, out, err = fairart_command("evaluate", trained, *flags)
    assert (code, out) == (2, "")
    assert err.startswith("fairart: error: ")
    assert err.count("\n") == 1
    assert told in err
    assert before is None or (trained / "evaluation.json").read_bytes() == before


def test_corruptions_stand_below_the_attacks_and_in_the_file(fairart_command, trained):
    code, out, err = fairart_command("evaluate", trained, *CORRUPTED, "--limit", "60")
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert "60 images made by fairart, not CIFAR-10-C (version 1, seed 0)" in out
    assert list(result) == ["clean"]
    assert list(result.corruptions) == [("fog", 1), ("fog", 5), ("contrast", 1), ("contrast", 5)]
    np.testing.assert_array_equal(result.corruptions["fog", 1].labels, result.labels)


def test_a_reference_gives_the_mean_corruption_error(fairart_command, trained, tmp_path):
    fairart_command("evaluate", trained, *CORRUPTED, "--limit", "60")
    reference = shutil.copy(trained / "evaluation.json", tmp_path / "reference.json")
    code, out, _ = fairart_command("evaluate", trained, *CORRUPTED, "--limit", "60", "--reference", reference)
    assert code == 0
    assert f"mCE 100.0 % of the errors in {reference}" in out
    flags = ("--attack", "none", "--corruptions", "fog", "--severities", "1,5", "--limit", "60", "--reference", reference)
    found = json.loads(fairart_command("evaluate", trained, "--json", *flags)[1])
    assert found["config"]["mean_corruption_error"] == {"reference": str(reference), "value": 1.0}
    code, _, err = fairart_command("evaluate", trained, *flags[:3], "snow", *flags[4:])
    assert code == 2
    assert "reference.json cannot be the reference of this evaluation: there is no result of snow/1, snow/5" in err


@pytest.fixture(scope="module")
def corrupted_folder(tmp_path_factory):
    data = create("dataset", "digits", data_root=None)
    folder = tmp_path_factory.mktemp("corrupted") / "digits-c"
    return write_corruptions(data.x_test, data.y_test, folder, corruptions="fog,contrast")


def test_a_folder_is_read_at_the_images_that_are_attacked(fairart_command, trained, corrupted_folder):
    flags = ("--corruptions-dir", corrupted_folder, "--severities", "3", "--limit", "40")
    code, _, err = fairart_command("evaluate", trained, "--attack", "fgsm", *flags)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert result.corruptions.names == ("contrast", "fog")
    assert not result.corruptions.source["own_labels"]
    np.testing.assert_array_equal(result.corruptions["fog", 3].labels, result.labels)


def test_a_folder_of_other_images_comes_with_its_own_labels(fairart_command, trained, tmp_path):
    data = create("dataset", "digits", data_root=None)
    write_corruptions(data.x_train[:50], data.y_train[:50], tmp_path / "c", corruptions="fog")
    code, out, _ = fairart_command("evaluate", trained, "--attack", "none", "--corruptions-dir", tmp_path / "c", "--limit", "30")
    assert code == 0
    assert "30 images made by fairart, not CIFAR-10-C (version 1, seed 0), read from" in out
    assert "with their own labels" in out


FOLDER_DAMAGES = {
    "missing": ("fog.npy", lambda path: path.unlink()),
    "truncated": ("fog.npy", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "wrong shape": ("fog.npy", lambda path: np.save(path, np.load(path)[:, :7])),
    "wrong type": ("fog.npy", lambda path: np.save(path, np.load(path).astype(np.float32))),
    "fewer images": ("fog.npy", lambda path: np.save(path, np.load(path)[:-5])),
    "no labels": ("labels.npy", lambda path: path.unlink()),
    "labels out of range": ("labels.npy", lambda path: np.save(path, np.load(path) + 1)),
    "labels no integers": ("labels.npy", lambda path: np.save(path, np.load(path) / 2)),
}


@pytest.mark.parametrize("damage", FOLDER_DAMAGES)
def test_a_damaged_folder_of_corruptions_is_named_before_any_work(
    fairart_command, trained, corrupted_folder, tmp_path, monkeypatch, damage
):
    monkeypatch.setattr("fairart.evaluation.running.runner.predict", None)
    folder = tmp_path / "c"
    shutil.copytree(corrupted_folder, folder)
    name, break_it = FOLDER_DAMAGES[damage]
    break_it(folder / name)
    code, out, err = fairart_command("evaluate", trained, "--corruptions", "contrast,fog", "--corruptions-dir", folder)
    assert (code, out) == (2, "")
    assert err.startswith("fairart: error: ")
    assert err.count("\n") == 1
    assert str(folder / name) in err
    assert not (trained / "evaluation.partial").exists()


class Interrupted:
    """Ctrl-C before one of the batches that are scored; counts them."""

    def __init__(self, monkeypatch):
        self.batches, self.at, predict = 0, None, scores.predict

        def counted(*arguments, **options):
            if self.batches == self.at:
                raise KeyboardInterrupt
            self.batches += 1
            return predict(*arguments, **options)

        monkeypatch.setattr("fairart.evaluation.running.runner.predict", counted)


def test_an_interrupted_evaluation_goes_on_to_the_same_file(fairart_command, trained, tmp_path, monkeypatch):
    folder, scored = tmp_path / "run", Interrupted(monkeypatch)
    shutil.copytree(trained, folder)
    flags = (*QUICK, "--corruptions", "fog", "--severities", "2", "--batch-size", "20")
    fairart_command("evaluate", folder, *flags)
    whole, total = (folder / "evaluation.json").read_bytes(), scored.batches
    (folder / "evaluation.json").write_text("of an older one")
    scored.batches, scored.at = 0, 4
    code, _, err = fairart_command("evaluate", folder, *flags)
    assert (code, (folder / "evaluation.json").read_text()) == (130, "of an older one")
    assert "evaluation.json in" in err
    assert "is as it was before; the same command resumes" in err
    scored.batches, scored.at = 0, None
    code, _, err = fairart_command("evaluate", folder, *flags, "--quiet")
    assert (code, err) == (0, "")
    assert scored.batches == total - 4
    assert (folder / "evaluation.json").read_bytes() == whole
    assert not (folder / "evaluation.partial").exists()


def test_restart_starts_over(fairart_command, trained, tmp_path, monkeypatch):
    folder, scored = tmp_path / "run", Interrupted(monkeypatch)
    shutil.copytree(trained, folder)
    fairart_command("evaluate", folder, *QUICK)
    total, scored.batches, scored.at = scored.batches, 0, 1
    fairart_command("evaluate", folder, *QUICK)
    scored.batches, scored.at = 0, None
    fairart_command("evaluate", folder, *QUICK, "--restart")
    assert scored.batches == total
    scored.batches, scored.at = 0, 1
    fairart_command("evaluate", folder, *QUICK)
    scored.at = None
    code, _, err = fairart_command("evaluate", folder, *QUICK, "--seed", "1")
    assert code == 0
    assert err.startswith("fairart: warning: ")
    assert "belongs to another evaluation (another images; another labels; seed was 0, is 1): starting again" in err


def test_training_again_takes_the_partial_evaluation_away(fairart_command, train, tmp_path, monkeypatch):
    train("at", tmp_path / "run", "--quiet")
    Interrupted(monkeypatch).at = 1
    fairart_command("evaluate", tmp_path / "run", *QUICK)
    assert (tmp_path / "run" / "evaluation.partial").is_dir()
    train("at", tmp_path / "run", "--quiet", "--overwrite")
    assert not (tmp_path / "run" / "evaluation.partial").exists()


def test_on_a_terminal_both_tables_are_drawn(fairart_command, trained, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    out = fairart_command("evaluate", trained, *CORRUPTED, "--limit", "30")[1]
    assert all(word in out for word in ("worst class", "clean: no attack", "severity 5", "images made by fairart"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_cuda_where_there_is_none_is_said_before_anything_is_loaded(fairart_command, trained, monkeypatch):
    monkeypatch.setattr("fairart.runs.build.build_dataset", None)
    code, _, err = fairart_command("evaluate", trained, "--device", "cuda")
    assert code == 2
    assert err == "fairart: error: device 'cuda': torch finds no CUDA device; use 'cpu' or 'auto'\n"


def _truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "no config": ("config.yaml", lambda path: path.unlink()),
    "foreign config": ("config.yaml", lambda path: path.write_text("services:\n  web: {}\n")),
    "config no YAML": ("config.yaml", lambda path: path.write_text("a: [1,\n")),
    "other model": ("model.safetensors", lambda path: _other_model(path)),
    "half the weights": ("model.safetensors", _truncated),
    "no weights": ("model.safetensors", lambda path: path.unlink()),
    "weights no safetensors": ("model.safetensors", lambda path: path.write_bytes(b"PK\x03\x04 a zip perhaps")),
    "weights of another program": ("model.safetensors", lambda path: _foreign_weights(path)),
    "half a line": ("history.jsonl", _truncated),
    "no history": ("history.jsonl", lambda path: path.unlink()),
    "history no epochs": ("history.jsonl", lambda path: path.write_text("{}\n")),
}


def _other_model(path):
    config = path.with_name("config.yaml")
    config.write_text(config.read_text().replace("small-cnn", "preact-resnet-18"))


def _foreign_weights(path):
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_named(fairart_command, trained, tmp_path, damage):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    name, break_it = DAMAGES[damage]
    break_it(folder / name)
    code, out, err = fairart_command("evaluate", folder, *QUICK)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert name in err


def test_a_run_has_to_be_said_and_to_be_there(fairart_command, tmp_path):
    assert "no run given" in fairart_command("evaluate")[2]
    assert f"there is no folder '{tmp_path}/none'" in fairart_command("evaluate", tmp_path / "none")[2]
    assert "is not a run of fairart" in fairart_command("evaluate", tmp_path)[2]


def test_a_run_in_l2_is_attacked_in_l2(train, fairart_command, tmp_path):
    code, _, _ = train("at", tmp_path / "run", "--norm", "2", "--eps", "0.4", "--eps-step", "0.2")
    assert code == 0
    for extra, eps in ((), 0.4), (("--eps", "0.2"), 0.2):
        code, _, err = fairart_command("evaluate", tmp_path / "run", "--attack", "pgd", "--attack", "fgsm", *QUICK, *extra)
        assert (code, err) == (0, "")
        result = EvaluationResult.load(tmp_path / "run" / "evaluation.json")
        assert {str(result[name].budget) for name in ("pgd", "fgsm")} == {f"L2, eps {eps:g}"}
    code, _, err = fairart_command("evaluate", tmp_path / "run", "--attack", "square", "--limit", "5")
    assert code != 0
    assert "is an L2 radius" in err


def test_certificates_stand_in_file_and_table(fairart_command, trained):
    flags = ("--certificate", "smoothing", "--certificate", "ibp", "--set", "smoothing.n=100", "--set", "ibp.halvings=3")
    code, out, err = fairart_command("evaluate", trained, "--attack", "none", "--limit", "40", *flags)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert "ibp: certified in L-inf, of the model itself" in out
    assert list(result.certificates) == ["smoothing", "ibp"]
    assert result.certificates["smoothing"].config["options"]["n"] == 100
    # Trained at eps 0.1, so certified up to eps 0.1, not to the certificate's own default.
    assert result.certificates["ibp"].config["options"]["eps"] == 0.1


def test_an_option_of_a_certificate_that_does_not_run_is_refused(fairart_command, trained):
    code, _, err = fairart_command("evaluate", trained, "--set", "smoothing.n=5")
    assert code == 2
    assert "'smoothing' is not among the attacks, certificates and defences of this evaluation" in err


def test_defences_stand_in_file_table_comparison_and_page(fairart_command, trained, tmp_path):
    flags = ("--defence", "jpeg", "--defence", "feature-squeezing", "--set", "jpeg.quality=20", "--sanity-samples", "0")
    code, out, err = fairart_command("evaluate", trained, *QUICK, *flags)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert list(result.defences) == ["jpeg", "feature-squeezing"]
    assert result.defences["jpeg"].config["options"] == {"quality": 20}
    # Trained at eps 0.1, so attacked at eps 0.1 behind the defence as well.
    assert result.defences["jpeg"]["pgd"].bpda.config["options"]["eps"] == 0.1
    assert "jpeg: jpeg(quality=20); not random; coder: Pillow" in out
    assert not (trained / "evaluation.partial").exists()
    code, out, _ = fairart_command("compare", trained)
    assert code == 0
    assert "input defences" in out
    assert "jpeg, pgd" in out
    code, _, _ = fairart_command("report", trained, "--output", tmp_path / "page.html")
    assert code == 0
    assert '<section id="defences"' in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--defence", "jpg"], "there is no defence 'jpg'; did you mean 'jpeg'"),
        (["--defence", "jpeg", "--set", "jpeg.quality=high"], "defence 'jpeg': quality expects int, got 'high'"),
        (["--defence", "jpeg", "--set", "jpeg.quality=101"], "quality must be >= 1 and <= 100, got 101"),
        (["--defence", "jpeg", "--defence", "jpeg"], "two defences are labelled 'jpeg'"),
        (["--set", "jpeg.quality=10"], "'jpeg' is not among the attacks, certificates and defences of this evaluation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_defence_is_told_in_one_line(fairart_command, trained, flags, told):
    code, out, err = fairart_command("evaluate", trained, *flags)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert told in err
