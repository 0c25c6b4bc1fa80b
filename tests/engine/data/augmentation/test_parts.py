"""What the augmentations draw, against formulas and independent references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

from fairart import create
from fairart.draws import Part, PartGenerator
from fairart.engine.data.augmentation import AugmentationChain, EachSample, Mixing
from fairart.engine.data.augmentation.mixing import symmetric_beta
from fairart.errors import OptionError, PolicyError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(n, *shape, generator=seeded(seed), dtype=dtype)


NAMES = ["crop-flip", "randaugment", "trivialaugment", "augmix", "random-erasing"]
MIXING = ["mixup", "cutmix"]


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n=st.integers(1, 9),
    shape=st.sampled_from([(1, 8, 8), (3, 5, 11), (3, 32, 32)]),
    seed=st.integers(0, 1000),
    first=st.integers(0, 8),
)
def test_images_stay_in_range_and_a_part_gets_the_draws_of_the_whole(
    name: str, n: int, shape: tuple[int, ...], seed: int, first: int
) -> None:
    augmentation, x = create("augmentation", name), images(n, *shape, seed=seed)
    whole = augmentation.images(x, seeded(seed))
    assert whole.shape == x.shape
    assert whole.min() >= 0
    assert whole.max() <= 1
    part = Part(min(first, n - 1), n, n)
    generator = PartGenerator()
    generator.manual_seed(seed)
    generator.part = part
    torch.testing.assert_close(augmentation.images(x[part.first :], generator), whole[part.first :], rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    names=st.sampled_from([["mixup"], ["cutmix"], ["mixup", "cutmix"], ["cutmix", "mixup"]]),
    alpha=st.floats(0.05, 4.0),
    probability=st.floats(0, 1),
    n=st.integers(1, 12),
    nb_classes=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_soft_labels_sum_to_one_and_belong_to_two_samples(
    names: list[str], alpha: float, probability: float, n: int, nb_classes: int, seed: int
) -> None:
    parts = [create("augmentation", name, alpha=alpha, probability=probability) for name in names]
    x, y = images(n, 3, 6, 7, seed=seed, dtype=torch.float64), torch.randint(nb_classes, (n,), generator=seeded(seed))
    mixed, labels, shares = AugmentationChain(parts).mixed(x, y, nb_classes, seeded(seed))
    assert mixed.min() >= 0
    assert mixed.max() <= 1
    assert shares.min() >= 0
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(n, dtype=torch.float64))
    assert int((shares > 0).sum(dim=1).max()) <= 2
    torch.testing.assert_close(shares.gather(1, labels[:, None])[:, 0], shares.amax(dim=1))
    if probability == 0:
        assert torch.equal(mixed, x)
        assert torch.equal(labels, y)


@pytest.mark.parametrize("alpha", [0.3, 0.4, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    drawn = symmetric_beta(alpha, 20_000, generator=seeded(1), device=torch.device("cpu")).numpy()
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_the_smallest_uniform_number_gives_a_share() -> None:
    class Zero(PartGenerator):
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fairart.draws.rand", lambda shape, **_: torch.tensor([[0.0, 0.0], [0.0, 0.5]], dtype=torch.float64))
        drawn = symmetric_beta(0.3, 2, generator=Zero(), device=torch.device("cpu"))
    assert drawn.tolist() == [1.0, 0.0]


def test_mixup_is_the_weighted_mean_with_its_partner() -> None:
    x = images(50, 1, 4, 4, dtype=torch.float64)
    mixed, partner, share = create("augmentation", "mixup").mixed(x, seeded(3))
    weight = share[:, None, None, None]
    torch.testing.assert_close(mixed, weight * x + (1 - weight) * x[partner])
    assert sorted(partner.tolist()) == list(range(50))


def test_cutmix_paints_one_rectangle_and_shares_by_its_area() -> None:
    x = torch.arange(40.0)[:, None, None, None].expand(40, 1, 9, 12) / 40
    mixed, partner, share = create("augmentation", "cutmix").mixed(x, seeded(4))
    for row, image in enumerate(mixed[:, 0]):
        if partner[row] == row:
            continue
        box = image == x[partner[row], 0, 0, 0]
        assert (box | (image == x[row, 0, 0, 0])).all()
        assert float(share[row]) == pytest.approx(1 - float(box.double().mean()))
        lines, columns = box.any(dim=1), box.any(dim=0)
        assert int(box.sum()) == int(lines.sum()) * int(columns.sum()), "a rectangle"
    assert 0.2 < float(share.mean()) < 0.9


def test_erasing_paints_one_rectangle_of_the_right_size_in_its_share_of_the_images() -> None:
    x = torch.full((2000, 1, 24, 24), 0.5)
    made = create("augmentation", "random-erasing", probability=0.25, value=1.0).images(x, seeded(5))[:, 0] == 1
    erased = made.flatten(1).any(dim=1)
    assert 0.2 < float(erased.double().mean()) < 0.3
    areas = made[erased].flatten(1).double().mean(dim=1).numpy()
    assert areas.min() > 0.01
    assert areas.max() < 0.36
    # Uniform between the bounds, but for the rounding of the sides.
    assert stats.kstest(areas, stats.uniform(0.02, 0.31).cdf).statistic < 0.08
    for box in made[erased][:100]:
        assert int(box.sum()) == int(box.any(dim=0).sum()) * int(box.any(dim=1).sum())


def test_erasing_with_noise_paints_valid_values() -> None:
    x = torch.zeros(20, 3, 16, 16)
    made = create("augmentation", "random-erasing", probability=1.0, value="random").images(x, seeded(6))
    assert made.max() <= 1
    assert len(made[made > 0].unique()) > 100


def test_each_image_has_an_operation_of_its_own_and_all_occur_alike() -> None:
    seen: list[Tensor] = []
    trivial = create("augmentation", "trivialaugment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "fairart.engine.data.augmentation.automatic.apply_operations",
            lambda x, names, chosen, magnitudes, **_: (seen.append(chosen), x)[1],
        )
        trivial.images(images(5600, 1, 4, 4), seeded(7))
    counts = np.bincount(seen[0].numpy(), minlength=14)
    assert stats.chisquare(counts).pvalue > 0.01


def test_randaugment_of_strength_nothing_only_changes_values_that_have_no_strength() -> None:
    x = images(64, 3, 8, 8)
    made = create("augmentation", "randaugment", num_ops=1, magnitude=0).images(x, seeded(8))
    # Identity, moves by 0 and factors of 1 leave an image; posterize to 8 bits, equalize and autocontrast change it.
    unchanged = (made - x).abs().flatten(1).amax(dim=1) < 1e-6
    assert 0.5 < float(unchanged.double().mean()) < 0.95


def test_augmix_is_a_convex_mean_of_an_image_and_its_chains() -> None:
    grey = torch.full((32, 3, 6, 6), 0.5)
    made = create("augmentation", "augmix", severity=1, depth=1).images(grey, seeded(9))
    # Severity 1 draws the lowest level alone: nothing moves, and these operations leave grey as it is, or nearly so.
    torch.testing.assert_close(made, grey, rtol=0, atol=0.04)
    assert create("augmentation", "augmix", depth=2, width=1).images(grey, seeded(9)).shape == grey.shape


def test_a_transform_of_torchvision_draws_for_every_image_by_itself() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4).expand(64, 1, 4, 4) / 16
    flips = EachSample(v2.RandomHorizontalFlip(0.5))
    state = torch.get_rng_state()
    made = flips.images(x, seeded(1))
    assert torch.equal(state, torch.get_rng_state())
    flipped = (made == x.flip(3)).flatten(1).all(dim=1)
    assert bool((flipped | (made == x).flatten(1).all(dim=1)).all())
    assert 16 < int(flipped.sum()) < 48
    generator = PartGenerator()
    generator.manual_seed(1)
    generator.part = Part(20, 64, 64)
    assert torch.equal(flips.images(x[20:], generator), made[20:])


def test_a_transform_that_makes_another_shape_is_named() -> None:
    with pytest.raises(
        PolicyError, match=r"augmentation CenterCrop.*expected an image \(1, 4, 4\) torch.float32, got \(1, 2, 2\)"
    ):
        EachSample(v2.CenterCrop(2)).images(images(2, 1, 4, 4), seeded())


def test_of_two_that_mix_each_sample_gets_one() -> None:
    class Painted(Mixing):
        def __init__(self, value: float) -> None:
            self.value = value

        def mixed(self, x: Tensor, generator: torch.Generator) -> Any:
            return torch.full_like(x, self.value), torch.zeros(len(x), dtype=torch.int64), torch.full((len(x),), self.value)

    chain = AugmentationChain([Painted(0.25), Painted(1.0)])
    y = torch.tensor([0] + [1] * 399)
    mixed, labels, shares = chain.mixed(images(400, 1, 2, 2), y, 3, seeded(2))
    first = mixed[:, 0, 0, 0] == 0.25
    assert 150 < int(first.sum()) < 250
    assert torch.equal(labels, torch.where(first, 0, y))
    torch.testing.assert_close(shares[1:, 1], torch.where(first, 0.25, 1.0)[1:])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((torch.zeros(4, 1, 2, 2), torch.zeros(4), torch.ones(4)), "rows"),
        ((torch.zeros(4, 1, 2, 2), torch.zeros(3, dtype=torch.int64), torch.ones(4)), "rows"),
        ((torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64), torch.ones(4, 1)), "shares"),
        ((torch.zeros(4, 1, 2, 3), torch.zeros(4, dtype=torch.int64), torch.ones(4)), "floating-point images"),
    ],
)
def test_what_mixes_must_give_rows_and_shares(answer: tuple[Tensor, ...], told: str) -> None:
    class Odd(Mixing):
        def mixed(self, x: Tensor, generator: torch.Generator) -> Any:
            return answer

    with pytest.raises(PolicyError, match=told):
        AugmentationChain([Odd()]).mixed(images(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64), 2, seeded())


@pytest.mark.parametrize("clip_values", [(0.0, 255.0), (-1.0, 3.0), (np.zeros((3, 1, 1)), np.full((3, 1, 1), 2.0))], ids=str)
def test_other_clip_values_are_scaled_and_scaled_back(clip_values: Any) -> None:
    low, high = (torch.as_tensor(value, dtype=torch.float64) for value in clip_values)
    x = images(8, 3, 8, 8, dtype=torch.float64)
    part = create("augmentation", "randaugment")
    made = AugmentationChain([part], scaling=clip_values)(low + x * (high - low), seeded(3))
    # Where rounding moves a value over the threshold of an operation, one pixel may differ.
    close = torch.isclose(made, low + part.images(x, seeded(3)) * (high - low), atol=1e-6)
    assert float(close.double().mean()) > 0.98
    assert bool((made >= low).all() and (made <= high).all())


def test_bad_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"smallest must be at most largest, got 0\.5 and 0\.4"):
        create("augmentation", "random-erasing", smallest=0.5, largest=0.4)
    with pytest.raises(OptionError, match=r"augmentation 'mixup': alpha must be > 0, got 0"):
        create("augmentation", "mixup", alpha=0)
    with pytest.raises(OptionError, match="magnitude must be >= 0 and <= 30, got 31"):
        create("augmentation", "randaugment", magnitude=31)
    assert math.isclose(create("augmentation", "random-erasing").aspect, 10 / 3)
