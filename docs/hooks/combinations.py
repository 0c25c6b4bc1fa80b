"""Which parts go together: every pair is run for two batches or refused, and the table in docs/methods.md is written from that.

python docs/hooks/combinations.py
"""

from __future__ import annotations

import itertools
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from fairart import registered
from fairart.trainers import FairnessTrainer
from fairart.trainers.parts import PART_OF_KIND

PAGE = Path(__file__).parents[1] / "methods.md"
BEGIN, END = "<!-- combinations: written by docs/hooks/combinations.py -->", "<!-- end of combinations -->"
OBJECTIVES = ("at", "trades")
"""What a pair without an objective is tried over: one without a boundary term, then one with it."""

Part = tuple[str, str]
"""Kind and registered name."""


def parts(kind: str) -> list[Part]:
    """The built-in parts of a kind."""
    return [(kind, name) for name, entry in registered(kind).items() if entry.plugin == "fairart"]


def pairs() -> Iterator[tuple[Part, Part]]:
    """Every pair of parts of different kinds."""
    for one, other in itertools.combinations(PART_OF_KIND, 2):
        yield from itertools.product(parts(one), parts(other))


def trained(chosen: dict[str, str]) -> FairnessTrainer:
    """A trainer with some parts, after two batches of random images.

    Args:
        chosen: kind -> registered name.

    Raises:
        ValueError: the parts make no method.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
        model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss, shape = torch.nn.CrossEntropyLoss(), (1, 4, 4)
    classifier = PyTorchClassifier(model, loss, shape, 3, optimizer=optimizer, clip_values=(0.0, 1.0), device_type="cpu")
    trainer = FairnessTrainer(classifier, **chosen, eps=0.1, max_iter=2, hold_out=0.25)
    x = np.random.default_rng(0).random((12, *shape)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="weight averaging took in none")
        trainer.fit(x, np.arange(12) % 3, batch_size=5, nb_epochs=1, seed=0, verbose=False)
    return trainer


def reason(one: Part, other: Part) -> str | None:
    """Why two parts do not go together; None where they train.

    Args:
        one: a part.
        other: a part of another kind.
    """
    chosen, told = dict([one, other]), None
    for objective in (chosen["objective"],) if "objective" in chosen else OBJECTIVES:
        try:
            trained({"objective": objective, **chosen})
        except ValueError as error:
            told = _general(str(error))
        else:
            return None
    return told


def _general(text: str) -> str:
    """A refusal without the names of the parts and without its advice."""
    sentence = re.sub(r"^\w+: ", "", text).partition(". Take")[0]
    return re.sub(r"(\w+) '[\w-]+' of plugin 'fairart'", lambda found: f"the {found[1].replace('_', ' ')}", sentence)


def table() -> str:
    """Objectives against all other parts, and what stands for all other pairs, as Markdown."""
    found = {pair: reason(*pair) for pair in pairs()}
    reasons = sorted({text for text in found.values() if text})
    letter = {text: chr(ord("a") + place) for place, text in enumerate(reasons)}
    objectives = parts("objective")
    lines = [
        "| | " + " | ".join(name for _, name in objectives) + " |",
        "| --- |" + " :---: |" * len(objectives),
    ]
    for kind in PART_OF_KIND:
        for part in parts(kind) if kind != "objective" else []:
            cells = [found[objective, part] for objective in objectives]
            lines.append(f"| `{kind}={part[1]}` | " + " | ".join(letter[cell] if cell else "+" for cell in cells) + " |")
    others = {pair: text for pair, text in found.items() if pair[0][0] != "objective"}
    refused = [f"{one[1]} with {other[1]} ({letter[text]})" for (one, other), text in others.items() if text]
    lines += [
        "",
        f"`+` trains; {'; '.join(f'*{letter[text]}*: {text}' for text in reasons)}.",
        "",
        f"Of the {len(others)} pairs of parts that are no objective, over at or trades, "
        + (f"these are refused: {', '.join(refused)}." if refused else "every one trains."),
    ]
    return "\n".join(lines)


def written(page: str, text: str) -> str:
    """A page with the table between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the marks {BEGIN!r} and {END!r} in the page")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
