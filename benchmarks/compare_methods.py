"""Train methods side by side and compare them per class on the whole test split, mean and spread over seeds.

    python benchmarks/compare_methods.py --dataset fashion-mnist --per-class 2000 --eps 0.1 --eps-step 0.025 \\
        --epochs 10 --lr 0.03 --seeds 3 --workers 2 --output comparison.json

With ``--per-class 1000 --methods standard at trades fat fair-tat fair-tat-uniform fair-tat-fixed-eps cfa frl bat wat dafa faal``
it compares all methods, in an hour on two cores.

Every method gets the same model, seeds, schedule and budget; nothing is chosen on the test split, the last checkpoint counts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from fairart import create
from fairart.evaluation import evaluate
from fairart.options import parse_number


def make_classifier(data, model_name: str, lr: float, seed: int) -> PyTorchClassifier:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        model = create("model", model_name, input_shape=data.input_shape, nb_classes=data.nb_classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    return PyTorchClassifier(
        model,
        torch.nn.CrossEntropyLoss(),
        data.input_shape,
        data.nb_classes,
        optimizer=optimizer,
        clip_values=(0.0, 1.0),
        preprocessing=data.mean_std(),
        device_type="gpu",
    )


def one_run(args, data, method: str, seed: int) -> dict:
    classifier = make_classifier(data, args.model, args.lr, seed)
    milestones = [args.epochs // 2, args.epochs * 3 // 4]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(classifier.optimizer, milestones, gamma=0.1)
    trainer = create(
        "trainer",
        method,
        classifier=classifier,
        eps=args.eps,
        eps_step=args.eps_step,
        max_iter=args.max_iter,
        augmentation=data.augmentation,
    )
    begin, cpu = time.perf_counter(), time.process_time()
    trainer.fit(
        data.x_train,
        data.y_train,
        batch_size=args.batch_size,
        nb_epochs=args.epochs,
        scheduler=scheduler,
        seed=seed,
        verbose=False,
    )
    trained, used = time.perf_counter() - begin, time.process_time() - cpu
    # The last iterate counts, as in the tables of the papers.
    options = {"eps": args.eps, "eps_step": args.eps_step, "max_iter": 20, "stop_when_fooled": False}
    result = evaluate(trainer.get_classifier(), data.x_test, data.y_test, attacks=[("pgd", options)], seed=seed, verbose=False)
    run = {"method": method, "seed": seed, "train_seconds": trained, "train_cpu_seconds": used}
    for name in ("clean", "pgd"):
        run[name] = {"accuracy": result[name].accuracy, "class_accuracy": result[name].class_accuracy.tolist()}
    line = ", ".join(f"{n} {run[n]['accuracy']:.4f} worst {min(run[n]['class_accuracy']):.4f}" for n in ("clean", "pgd"))
    print(f"{method} seed {seed}: {line} ({trained:.0f} s of training)", flush=True)
    return run


def table(runs: list[dict], classes: tuple[str, ...]) -> str:
    methods = list(dict.fromkeys(run["method"] for run in runs))
    rows = [["class", *(f"{m} {a}" for a in ("clean", "pgd") for m in methods)]]

    def cells(pick) -> list[str]:
        shown = []
        for attack in ("clean", "pgd"):
            for method in methods:
                values = np.array([pick(run[attack]) for run in runs if run["method"] == method]) * 100
                spread = values.std(ddof=1) if len(values) > 1 else float("nan")
                shown.append(f"{values.mean():.1f} ± {spread:.1f}")
        return shown

    for index, name in enumerate(classes):
        rows.append([name, *cells(lambda part, i=index: part["class_accuracy"][i])])
    rows.append(["average", *cells(lambda part: part["accuracy"])])
    rows.append(["worst class", *cells(lambda part: min(part["class_accuracy"]))])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def collect(args, finished: Iterable[dict]) -> list[dict]:
    """All runs; the output file is written anew after each, so that an interrupted comparison keeps what it has."""
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    settings = {key: value for key, value in settings.items() if key not in ("data_root", "output")}
    runs: list[dict] = []
    for run in finished:
        runs.append(run)
        if args.output:
            partial = args.output.with_name(args.output.name + ".part")
            partial.write_text(json.dumps({"settings": settings, "torch": torch.__version__, "runs": runs}, indent=1) + "\n")
            partial.replace(args.output)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["at", "fair-tat"])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-root")
    parser.add_argument("--per-class", type=int)
    parser.add_argument("--model", default="small-cnn")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--eps", type=parse_number, default=8 / 255)
    parser.add_argument("--eps-step", type=parse_number, default=2 / 255)
    parser.add_argument("--max-iter", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1, help="runs at once, one thread each")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    data = create("dataset", args.dataset, data_root=args.data_root)
    if args.per_class:
        data = data.subset(per_class=args.per_class)
    print(f"{data.name}: {len(data.y_train)} training and {len(data.y_test)} test images", flush=True)
    cells = [(args, data, method, seed) for seed in range(args.seeds) for method in args.methods]
    if args.workers == 1:
        runs = collect(args, (one_run(*cell) for cell in cells))
    else:
        # One thread each: several runs at once would otherwise fight for the cores.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(args.workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            runs = collect(args, pool.map(one_run, *zip(*cells, strict=True)))
    text = table(runs, data.classes)
    print(f"\nPercent, mean ± sample standard deviation over {args.seeds} seeds; pgd is PGD-20\n\n{text}")


if __name__ == "__main__":
    main()
