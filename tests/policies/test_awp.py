"""AWP: how far the weights move, that they come back, and that batch-norm sees each batch once."""

import copy

import pytest
import torch
from torch import nn

from fairart import create


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def task():
    module, generator = network(), torch.Generator().manual_seed(1)
    x, y = torch.rand(20, 6, generator=generator), torch.randint(3, (20,), generator=generator)
    return module, lambda: nn.functional.cross_entropy(module(x), y)


def test_each_matrix_moves_by_gamma_of_its_norm_along_its_gradient_and_vectors_stay(task):
    module, loss = task
    before = copy.deepcopy(module.state_dict())
    gradients = dict(zip(dict(module.named_parameters()), torch.autograd.grad(loss(), list(module.parameters())), strict=True))
    module.load_state_dict(before)
    with create("weight_perturbation", "awp", gamma=0.02).perturbed(module, loss, epoch=0):
        for name, weight in module.named_parameters():
            moved = weight.detach() - before[name]
            if weight.ndim > 1:
                expected = 0.02 * before[name].norm() * gradients[name] / gradients[name].norm()
                torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-4)
            else:
                assert not moved.any()


def test_the_loss_rises_and_the_gradient_is_that_of_the_moved_weights(task):
    module, loss = task
    module.eval()
    at_rest = torch.autograd.grad(loss(), list(module.parameters()))
    level = loss().item()
    with create("weight_perturbation", "awp", gamma=0.05).perturbed(module, loss, epoch=0):
        value = loss()
        value.backward()
    assert value.item() > level
    assert not torch.allclose(module[0].weight.grad, at_rest[0])


def test_weights_come_back_bit_for_bit_and_batch_norm_moves_once(task):
    module, loss = task
    before = copy.deepcopy(module.state_dict())
    with create("weight_perturbation", "awp").perturbed(module, loss, epoch=0):
        loss()
    assert all(torch.equal(before[name], value) for name, value in module.named_parameters())
    assert module[1].num_batches_tracked == 1


def test_no_perturbation_before_the_end_of_the_warm_up(task):
    module, loss = task
    calls = []
    awp = create("weight_perturbation", "awp", warm_up=2)
    for epoch in range(4):
        with awp.perturbed(module, lambda: calls.append(1) or loss(), epoch=epoch):
            pass
    assert len(calls) == 2


def test_a_weight_that_the_loss_does_not_reach_stays(task):
    module, loss = task
    module.add_module("unused", nn.Linear(2, 2))
    module.forward = lambda x: module[3](module[2](module[1](module[0](x))))
    before = module.unused.weight.clone()
    with create("weight_perturbation", "awp").perturbed(module, loss, epoch=0):
        assert torch.equal(module.unused.weight, before)
