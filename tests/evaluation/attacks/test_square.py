"""Square Attack against a loop over single images, and its parts against what they are said to do."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare

from fairart.engine.network import Network
from fairart.evaluation import AttackTarget, evaluate
from fairart.evaluation.attacks.square import _new_ends, _span, square_attack, window_share


def by_hand(network, x, y, *, eps, max_iter, p_init, seed):
    """Algorithms 1 and 2 of the paper, one image at a time in numpy."""
    random = np.random.default_rng(seed)
    channels, height, width = x.shape[1:]

    def margin(image, label):
        with torch.no_grad():
            logits = network(torch.from_numpy(image[None]).float())[0].numpy()
        return logits[label] - np.delete(logits, label).max()

    fooled = np.zeros(len(x), dtype=bool)
    for i, (clean, label) in enumerate(zip(x, y, strict=True)):
        best = np.clip(clean + random.choice([-eps, eps], (channels, 1, width)), 0, 1)
        lowest = margin(best, label)
        for query in range(max_iter):
            if lowest < 0:
                break
            share = p_init / 2 ** sum(int(query / max_iter * 10000) > n for n in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
            side = min(max(round(math.sqrt(share * height * width)), 1), height, width)
            top, left = random.integers(height - side + 1), random.integers(width - side + 1)
            window = np.s_[:, top : top + side, left : left + side]
            proposed = best.copy()
            while np.abs(proposed - best).max() < 1e-7:
                proposed[window] = np.clip(clean[window] + random.choice([-eps, eps], (channels, 1, 1)), 0, 1)
            found = margin(proposed, label)
            if found < lowest:
                best, lowest = proposed, found
        fooled[i] = lowest < 0
    return fooled


@pytest.mark.parametrize(("eps", "max_iter"), [(0.1, 20), (0.12, 50)])
def test_it_fools_as_many_as_the_loop_over_single_images(classifier, digits, eps, max_iter):
    result = evaluate(
        classifier, digits.x, digits.y, attacks=[("square", {"eps": eps, "max_iter": max_iter})], batch_size=64, verbose=False
    )
    right = result["clean"].correct
    network = Network(classifier).eval()
    theirs = by_hand(network, digits.x[right], digits.y[right], eps=eps, max_iter=max_iter, p_init=0.8, seed=1)
    ours = int((~result["square"].correct[right]).sum())
    assert 5 < theirs.sum() < right.sum() - 5, "the case must tell attacks apart"
    assert binomtest(ours, int(right.sum()), theirs.mean()).pvalue > 0.01


def test_the_schedule_is_the_authors():
    shares = [window_share(query, 10000, 0.8) for query in (0, 10, 11, 50, 51, 200, 201, 501, 1001, 2001, 4001, 6001, 8001, 9999)]
    halvings = [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert shares == [0.8 / 2**n for n in halvings]
    assert window_share(5, 100, 0.8) == window_share(500, 10000, 0.8)


def test_windows_start_anywhere_they_fit_equally_often():
    draws = torch.rand(6000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covered = _span(draws, 3, 8)
    assert (covered.sum(dim=1) == 3).all()
    starts = covered.float().argmax(dim=1)
    counts = torch.bincount(starts, minlength=6)
    assert len(counts) == 6
    assert chisquare(counts.numpy()).pvalue > 0.001
    assert _span(draws[:5], 8, 8).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_new_ends_are_uniform_over_those_that_change_something(channels):
    draws = torch.rand(4000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    upper = torch.ones(4000, channels, dtype=torch.bool)
    upper[:, 0] = False
    power = 2 ** torch.arange(channels)
    forced = (_new_ends(draws, upper, ~upper) * power).sum(dim=1)
    now = int((upper[0] * power).sum())
    counts = np.bincount(forced, minlength=2**channels)
    assert counts[now] == 0
    assert chisquare(np.delete(counts, now)).pvalue > 0.001 if channels > 1 else counts[1 - now] == 4000
    free = (_new_ends(draws, torch.zeros_like(upper), torch.zeros_like(upper)) * power).sum(dim=1)
    assert chisquare(np.bincount(free, minlength=2**channels)).pvalue > 0.001


def test_images_of_many_channels_go_too(subject, images_of, target_of):
    classifier = subject((60, 4, 4), 3)
    x, y = images_of(classifier, 3)
    found = square_attack(target_of(classifier, 3), x, y, eps=0.1, max_iter=5)
    assert ((found - x).abs() <= 0.1 + 1e-6).all()
    assert not torch.equal(found, x)


def test_every_pixel_lies_at_the_edge_of_its_box(subject, images_of, target_of):
    classifier = subject((3, 8, 8), 10)
    x, y = images_of(classifier, 5)
    found = square_attack(target_of(classifier, 5), x, y, eps=0.1, max_iter=40)
    low, high = (x - 0.1).clamp(0), (x + 0.1).clamp(max=1)
    assert torch.isclose(found, low).logical_or(torch.isclose(found, high)).all()


def test_restarts_go_on_with_the_same_stream_and_only_help(subject, images_of, target_of):
    classifier = subject(nb_classes=4)
    x, y = images_of(classifier, 30)
    target = target_of(classifier, 30)

    def fooled(**options):
        return target.network(square_attack(target, x, y, eps=0.1, max_iter=5, **options)).argmax(dim=1) != y

    once, often = fooled(), fooled(nb_restarts=4)
    assert (once <= often).all()
    assert once.sum() < often.sum()


def test_without_seeds_the_generator_decides(subject, images_of):
    classifier = subject()
    x, y = images_of(classifier, 4)
    bare = AttackTarget(classifier, Network(classifier).eval())

    def once(seed):
        return square_attack(bare, x, y, max_iter=3, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


def test_a_fooled_sample_is_asked_nothing_more(subject, images_of, target_of):
    classifier = subject(nb_classes=4)
    x, y = images_of(classifier, 20)
    target, sizes = target_of(classifier, 20), []
    target.network.module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    square_attack(target, x, y, eps=0.3, max_iter=30)
    assert sizes[0] == 20
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 20
