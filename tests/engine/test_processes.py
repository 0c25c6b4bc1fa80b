"""A run shared by two processes is the run of one: same counts, same plan, same weights."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fairart import draws
from fairart.draws import Part, PartGenerator
from fairart.engine.data.sources import batch_slices
from fairart.engine.processes import ONE_PROCESS, FabricProcesses, ProcessLostError

sys.path.insert(0, str(Path(__file__).parent))
import shared_runs
from shared_runs import assert_alike

PATIENCE = 300


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """Train in two processes, started by Fabric, and give what each found."""
    fabric_module = pytest.importorskip("lightning_fabric")

    def launch(*arguments, function=shared_runs.train_all):
        folder = tmp_path_factory.mktemp("shared")
        fabric = fabric_module.Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
        fabric.launch(shared_runs.Leaving(function), str(folder), *arguments)
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]

    return launch


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
def test_two_processes_train_what_one_does_in_float64(launched):
    methods = list(shared_runs.RUNS)
    first, second = launched(methods, torch.float64, 2)
    for method in methods:
        alone = shared_runs.train(None, method, torch.float64, 2)
        assert_alike(first[method], second[method], tolerance=0)
        assert_alike(alone, first[method], tolerance=1e-9)


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
def test_two_processes_with_micro_batches_train_what_one_does_without(launched):
    # Unequal parts: one process takes its 25 or 15 samples in three pieces, the other one too; sums across the batch agree.
    methods = ["at", "frl", "mart", "faal", "trades"]
    first, second = launched(methods, torch.float64, 2, 3)
    for method in methods:
        alone = shared_runs.train(None, method, torch.float64, 2)
        assert_alike(first[method], second[method], tolerance=0)
        assert_alike(alone, first[method], tolerance=1e-9)


def test_two_processes_train_what_one_does_in_float32(launched):
    methods = ["at", "fair-tat", "trades", "wat"]
    first, second = launched(methods, torch.float32, 1)
    for method in methods:
        # The KL starts where it is flat: there rounding turns the sign of a pixel or two, which moves a weight by 1e-6 to 2e-5,
        # by the seed. Cross-entropy keeps to the rounding.
        tolerance = 1e-5 if method in ("trades", "wat") else 1e-6
        alone = shared_runs.train(None, method, torch.float32, 1)
        for name, weight in alone["weights"].items():
            np.testing.assert_array_equal(first[method]["weights"][name], second[method]["weights"][name])
            np.testing.assert_allclose(first[method]["weights"][name], weight, rtol=0, atol=tolerance)
        mine, theirs = alone["history"][0], first[method]["history"][0]
        assert mine["robust"] == theirs["robust"]


def test_with_dropout_and_unequal_parts_a_resumed_run_is_the_uninterrupted_one(launched):
    first, second = launched(function=shared_runs.resume_with_dropout)
    assert first["from"].endswith("(2 epochs)")
    assert first["epochs"] == second["epochs"] == 3
    assert first["largest"] == second["largest"] == 0


def test_a_checkpoint_that_the_first_process_refuses_is_refused_in_all(launched):
    first, second = launched(function=shared_runs.refuse_a_checkpoint)
    assert "is of another fit: seed was 0, is 1" in first[0]
    assert "has checkpoints already" in first[1]
    for mine, theirs in zip(first, second, strict=True):
        assert theirs == f"CheckpointError: the first process refused to begin: {mine}"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [10, 11, 64, 101])
def test_parts_cover_a_batch_without_overlap(size, total):
    class Fabric:
        world_size, all_reduce, broadcast = size, None, None

        def __init__(self, rank):
            self.global_rank = rank

    parts = [FabricProcesses(Fabric(rank)).part(total) for rank in range(size)]
    if size == 1:
        assert parts == [None]
        return
    rows = [row for part in parts for row in range(part.first, part.stop)]
    assert rows == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("draw", [draws.rand, draws.randn])
def test_parts_see_the_rows_of_the_whole(draw):
    def rows(part):
        generator = PartGenerator()
        generator.manual_seed(4)
        generator.part = part
        shape = (len(part) if part else 7, 3)
        drawn = draw(shape, generator=generator, device=torch.device("cpu"), dtype=torch.float32)
        return drawn, torch.rand(1, generator=generator)

    whole, after = rows(None)
    for part in (Part(0, 3, 7), Part(3, 7, 7)):
        mine, later = rows(part)
        torch.testing.assert_close(mine, whole[part.first : part.stop], rtol=0, atol=0)
        assert torch.equal(later, after)


def test_whole_numbers_of_a_part_are_those_of_the_whole():
    generator = PartGenerator()
    generator.manual_seed(1)
    whole = draws.randint(9, (6, 1), generator=generator, device=torch.device("cpu"))
    generator.manual_seed(1)
    generator.part = Part(2, 6, 6)
    mine = draws.randint(9, (4, 1), generator=generator, device=torch.device("cpu"))
    assert torch.equal(mine, whole[2:])


def test_a_draw_that_is_not_one_row_a_sample_is_left_alone():
    generator = PartGenerator()
    generator.manual_seed(1)
    expected = torch.rand(5, generator=torch.Generator().manual_seed(1))
    generator.part = Part(0, 3, 6)
    assert torch.equal(draws.rand((5,), generator=generator, device=torch.device("cpu"), dtype=torch.float32), expected)


def test_a_remainder_too_small_for_every_process_joins_the_batch_before():
    assert [s.stop - s.start for s in batch_slices(23, 10, smallest=4)] == [10, 13]
    assert [s.stop - s.start for s in batch_slices(24, 10, smallest=4)] == [10, 10, 4]


def test_a_batch_too_small_for_the_processes_is_refused(classifier_with_two_processes):
    trainer, x, y = classifier_with_two_processes
    with pytest.raises(ValueError, match="at least 2 samples for each of the 2 processes, got 3"):
        trainer.fit(x, y, batch_size=3, nb_epochs=1, verbose=False)


@pytest.fixture
def classifier_with_two_processes():
    from fairart.trainers import ATTrainer

    class Fabric:
        world_size, global_rank, all_reduce = 2, 0, None

        def broadcast(self, value, src):
            return value

    x, y = shared_runs.digits(60)
    return ATTrainer(shared_runs.make_classifier(torch.float32, seed=0), fabric=Fabric()), x, y


def test_what_is_no_fabric_is_refused():
    with pytest.raises(TypeError, match=r"launched lightning\.fabric\.Fabric, got int"):
        FabricProcesses(2)


class Broken:
    """A Fabric whose collectives fail as gloo's do."""

    world_size, global_rank = 2, 0

    def __init__(self, message):
        self.message = message

    def all_reduce(self, *args, **kwargs):
        raise RuntimeError(self.message)

    broadcast = barrier = all_reduce


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda processes: processes.reduce_(torch.ones(2)), id="sum"),
        pytest.param(lambda processes: processes.same(1), id="broadcast"),
        pytest.param(lambda processes: processes.gathered(1), id="gather"),
        pytest.param(lambda processes: processes.wait(), id="wait"),
    ],
)
def test_a_process_that_is_gone_is_told_from_other_errors(call):
    gone = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242"
    with pytest.raises(ProcessLostError, match="another of the 2 processes of this run ended"):
        call(FabricProcesses(Broken(gone)))
    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        call(FabricProcesses(Broken("out of memory")))


def test_what_gloo_says_of_a_killed_process_is_understood(tmp_path):
    context = multiprocessing.get_context("spawn")
    crew = [context.Process(target=shared_runs.lose_the_other, args=(rank, str(tmp_path))) for rank in range(2)]
    for process in crew:
        process.start()
    for process in crew:
        process.join(PATIENCE)
    assert [process.exitcode for process in crew] == [0, -signal.SIGKILL]
    assert (tmp_path / "told").read_text().startswith("ProcessLostError: another of the 2 processes of this run ended")


def test_one_process_changes_nothing():
    loss = torch.tensor(2.0)
    assert ONE_PROCESS.part(9) is None
    assert ONE_PROCESS.share(loss, None) is loss
    assert ONE_PROCESS.reduce_(loss) is loss
    assert ONE_PROCESS.same(5) == 5


def test_a_checkpoint_within_an_epoch_is_not_counted_once_for_each_process(tmp_path, classifier_with_two_processes):
    from fairart.engine import CheckpointError, Checkpointing
    from fairart.trainers import ATTrainer

    several, x, y = classifier_with_two_processes
    batches = iter(range(4))

    def stop(images, generator):
        if next(batches) == 3:
            raise KeyboardInterrupt
        return images

    alone = ATTrainer(shared_runs.make_classifier(torch.float32, seed=0), augmentation=stop)
    options = {"batch_size": 10, "nb_epochs": 1, "seed": 0, "verbose": False}
    with pytest.raises(KeyboardInterrupt):
        alone.fit(x, y, checkpoint=Checkpointing(tmp_path, every_minutes=0), **options)
    several.augmentation = stop
    with pytest.raises(CheckpointError, match="within an epoch, where only a fit in one process can go on"):
        several.fit(x, y, checkpoint=Checkpointing(tmp_path, resume=True), **options)
