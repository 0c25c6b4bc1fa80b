"""What holds for every attack: its budget, the clip values, the seed, small batches, few classes, other units."""

import random

import numpy as np
import pytest
import torch
from art.defences.postprocessor import Rounded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairart import registered
from fairart.errors import OptionError
from fairart.evaluation import evaluate
from fairart.evaluation.attacks.specs import resolve_attacks

from .conftest import QUICK

NAMES = sorted(QUICK)
FREE = {"spatial"}
BOUNDED = sorted(set(NAMES) - {"spatial", "deepfool", "cw", "boundary", "hop-skip-jump"})
MINIMAL = ["deepfool", "cw", "boundary", "hop-skip-jump"]
BY_SAMPLE = ["fgsm", "pgd", "square", "deepfool", "cw", "boundary", "hop-skip-jump", "spatial", "transfer"]
IN_L2 = ["apgd-ce", "apgd-dlr", "deepfool", "cw", "boundary", "hop-skip-jump", "art-autoattack", "autoattack"]
UNITS = {"fgsm", "square", "deepfool", "spatial", "apgd-ce", "pgd"}


def budget(name, eps):
    return {} if name in FREE else {"eps": eps}


def test_no_built_in_is_left_out():
    built_in = {name for name, entry in registered("attack").items() if entry.plugin == "fairart"}
    assert built_in - {"autoattack"} == set(NAMES) - {"autoattack"}


@pytest.mark.parametrize("name", NAMES)
def test_output_is_inside_eps_and_clip_values(name, subject, quick, target_of, images_of):
    slow = name in {"cw", "boundary", "art-autoattack", "autoattack", "spatial"}

    @settings(max_examples=6 if slow else 20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(
        st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.5]),
        st.sampled_from([(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-0.5, 2.5)]),
        st.sampled_from([(1, 8, 8), (3, 8, 8), (1, 9, 7), (2, 6, 11)]),
        st.sampled_from([2, 3, 10]),
        st.integers(1, 4),
    )
    def check(share, clip_values, shape, nb_classes, number):
        classifier = subject(shape, max(nb_classes, 3) if name == "apgd-dlr" else nb_classes, clip_values)
        span = clip_values[1] - clip_values[0]
        eps = share * span
        with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
            patch.setattr("warnings.warn", lambda *_, **__: None)
            (spec,) = resolve_attacks([(name, {**budget(name, eps), **quick(name, classifier)})])
            spec = spec.checked(classifier)
            x, y = images_of(classifier, number)
            target = target_of(classifier, number)
            torch.manual_seed(0)
            found = spec.run(target, x.clone(), y)
        assert found.shape == x.shape
        assert found.dtype == x.dtype
        held = spec.hold(found, x, target.network.clip_values)
        limit = (eps if name not in FREE else np.inf) + 1e-5 * span
        for output in (held, *([found] if name in BOUNDED else [])):
            assert output.min() >= clip_values[0] - 1e-5 * span
            assert output.max() <= clip_values[1] + 1e-5 * span
            assert (output - x).abs().max() <= limit

    check()


@pytest.mark.parametrize("name", sorted(set(IN_L2) & set(NAMES)))
def test_an_l2_budget_holds_in_l2(name, subject, quick, images_of):
    classifier = subject()
    x, y = images_of(classifier, 4)
    options = {**quick(name, classifier), "norm": 2, "eps": 0.7}
    spec = resolve_attacks([(name, options)])[0].checked(classifier)
    assert (spec.order, spec.radius, spec.eps) == (2, 0.7, np.inf)
    result = evaluate(classifier, x.numpy(), y.numpy(), attacks=[(name, options)], verbose=False)
    change = result[name].perturbation
    assert change.share_changed > 0
    assert change.max_linf <= 0.7 + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_something_and_fools_a_model_where_it_can(name, subject, quick, images_of):
    classifier = subject(nb_classes=4)
    x, y = images_of(classifier, 12)
    options = {**budget(name, 0.6), **quick(name, classifier)}
    result = evaluate(classifier, x.numpy(), y.numpy(), attacks=[(name, options)], verbose=False)
    assert result["clean"].accuracy == 1
    assert result[name].perturbation.share_changed > 0
    assert result[name].accuracy < 1
    assert name in result.table()


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_result_and_leaves_the_process_as_it_was(name, subject, quick, images_of):
    classifier = subject(nb_classes=4)
    x, y = images_of(classifier, 6)
    attacks = [(name, {**budget(name, 0.2), **quick(name, classifier)})]
    weights = {key: value.clone() for key, value in classifier.model.state_dict().items()}
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    results = []
    for _ in range(2):
        np.random.rand(3)  # noqa: NPY002
        np.random.set_state(("MT19937", before[1], *np.random.get_state()[2:]))  # noqa: NPY002
        result = evaluate(classifier, x.numpy(), y.numpy(), attacks=attacks, seed=4, verbose=False)
        results.append((result[name].predictions, result[name].perturbation))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[2]
    assert all(torch.equal(value, weights[key]) for key, value in classifier.model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in classifier.model.parameters())


@pytest.mark.parametrize("name", BY_SAMPLE)
def test_the_batch_a_sample_falls_into_does_not_matter(name, subject, quick, images_of):
    classifier = subject(nb_classes=4)
    x, y = images_of(classifier, 7)
    attacks = [(name, {**budget(name, 0.2), **quick(name, classifier)})]
    whole, parts = (
        evaluate(classifier, x.numpy(), y.numpy(), attacks=attacks, batch_size=size, verbose=False)[name] for size in (7, 3)
    )
    np.testing.assert_array_equal(whole.predictions, parts.predictions)
    assert whole.perturbation.mean_linf == pytest.approx(parts.perturbation.mean_linf, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_alone_and_a_batch_without_any_right_sample(name, subject, quick, images_of):
    classifier = subject(nb_classes=4)
    x, y = images_of(classifier, 3)
    attacks = [(name, {**budget(name, 0.6), **quick(name, classifier)})]
    alone = evaluate(classifier, x[:1].numpy(), y[:1].numpy(), attacks=attacks, verbose=False)[name]
    assert alone.perturbation.nb_attacked == 1
    wrong = evaluate(classifier, x.numpy(), (y.numpy() + 1) % 4, attacks=attacks, verbose=False)[name]
    assert wrong.perturbation.nb_attacked == 0
    assert wrong.accuracy == 0


@pytest.mark.parametrize("name", sorted(UNITS | (set(MINIMAL) - {"boundary"})))
def test_inputs_of_another_range_give_the_same_result(name, subject, quick, images_of):
    results = []
    for span in (1.0, 255.0):
        classifier = subject(nb_classes=4, clip_values=(0.0, span))
        x, y = images_of(classifier, 10)
        options = {**budget(name, 0.2 * span), **quick(name, classifier)}
        if "eps_step" in resolve_attacks([(name, options)])[0].options:
            options["eps_step"] = 0.07 * span
        results.append(evaluate(classifier, x.numpy(), y.numpy(), attacks=[(name, options)], verbose=False)[name])
    assert (results[0].predictions == results[1].predictions).mean() >= 0.9
    assert results[1].perturbation.mean_linf == pytest.approx(255 * results[0].perturbation.mean_linf, rel=0.1)


def test_postprocessing_of_the_classifier_hides_nothing(subject, images_of):
    plain, rounded = subject(nb_classes=4), subject(nb_classes=4)
    rounded.postprocessing_defences = [Rounded(decimals=1)]
    x, y = images_of(plain, 10)
    attacks = [("deepfool", {"eps": 0.3}), ("apgd-ce", {"eps": 0.3, **QUICK["apgd-ce"]})]
    first, second = (evaluate(one, x.numpy(), y.numpy(), attacks=attacks, verbose=False) for one in (plain, rounded))
    for name in ("deepfool", "apgd-ce"):
        np.testing.assert_array_equal(first[name].predictions, second[name].predictions)


@pytest.mark.parametrize("name", ["square", "boundary", "hop-skip-jump", "art-autoattack"])
def test_what_needs_clip_values_says_so(name, subject, images_of):
    classifier = subject(clip_values=None)
    x, y = images_of(classifier, 2)
    if name == "square":
        change = evaluate(classifier, x.numpy(), y.numpy(), attacks=[(name, QUICK[name])], verbose=False)[name].perturbation
        assert change.max_linf == pytest.approx(8 / 255, rel=1e-4)
        return
    with pytest.raises(OptionError, match="needs to know the range of the inputs"):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=[name], verbose=False)


@pytest.mark.parametrize(
    ("name", "shape", "nb_classes", "message"),
    [
        ("square", (64,), 10, "needs images"),
        ("spatial", (64,), 10, "needs images"),
        ("art-autoattack", (64,), 10, "needs images"),
        ("apgd-dlr", (1, 8, 8), 2, "needs 3 classes or more, the classifier has 2.* use 'apgd-ce'"),
    ],
)
def test_a_classifier_that_it_cannot_attack_is_refused_before_any_work(name, shape, nb_classes, message, subject, images_of):
    classifier = subject(shape, nb_classes)
    x, y = images_of(classifier, 2)
    calls = []
    classifier.model.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(OptionError, match=message):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=["fgsm", name], verbose=False)
    assert not calls


def test_flat_inputs_can_be_attacked_where_no_image_is_needed(subject, images_of):
    classifier = subject((64,), 4)
    x, y = images_of(classifier, 4)
    names = ["fgsm", "pgd", "apgd-ce", "deepfool", "hop-skip-jump", "boundary", "cw"]
    attacks = [(name, {"eps": 0.3, **QUICK[name]}) for name in names]
    result = evaluate(classifier, x.numpy(), y.numpy(), attacks=attacks, verbose=False)
    assert all(result[name].perturbation.share_changed > 0 for name in names)
