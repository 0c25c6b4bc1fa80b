"""The leaderboard as one self-contained page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairart.benchmark.leaderboard.ranking import PARTS, Board, Number, Row, boards
from fairart.benchmark.leaderboard.reading import CORRUPTIONS, read_standings
from fairart.errors import OptionError
from fairart.files import write_text
from fairart.reporting.page import rendered

__all__ = ["leaderboard_page", "write_leaderboard"]

TITLE = "Leaderboard"


def leaderboard_page(folders: Iterable[str | Path], *, title: str = TITLE) -> str:
    """The page as text: a table for each data set and model, the planned comparisons, and the configuration of every row.

    Args:
        folders: written by ``fairart benchmark``.
        title: of the page.

    Raises:
        OptionError: a folder without tables of a benchmark, damaged tables, or no finished cell at all.
    """
    standings, comparisons = read_standings(folders)
    if not standings:
        raise OptionError("no cell of these benchmarks is finished, so there is nothing to rank")
    found = boards(standings, comparisons)
    return rendered("leaderboard.html", title=title, boards=[_board(board, place) for place, board in enumerate(found)])


def write_leaderboard(folders: Iterable[str | Path], path: str | Path, *, title: str = TITLE) -> Path:
    """Write the page of :func:`leaderboard_page`, all of it or nothing.

    Args:
        folders: written by ``fairart benchmark``.
        path: file; its folder must exist.
        title: of the page.
    """
    return write_text(Path(path), leaderboard_page(folders, title=title))


def _board(board: Board, place: int) -> dict[str, Any]:
    attack, part = board.order
    groups = [{"name": _heading(name, board.images[name]), "parts": list(PARTS)} for name in board.attacks]
    ordered = 1 + board.attacks.index(attack) * len(PARTS) + PARTS.index(part)
    return {
        "id": f"board-{place}",
        "title": board.title,
        "lead": _lead(board),
        "groups": groups,
        "ordered": ordered,
        "rows": [_row(board, row, f"config-{place}-{number}") for number, row in enumerate(board.rows)],
        "comparisons": [_comparison(line) for line in board.comparisons],
    }


def _heading(attack: str, images: int) -> str:
    name = "corruptions, mean" if attack == CORRUPTIONS else attack
    return f"{name}, {images} images"


def _lead(board: Board) -> str:
    seeds = sorted({row.seeds for row in board.rows})
    counted = f"{seeds[0]} seeds" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    versions = ", ".join(sorted({row.standing.fairart for row in board.rows if row.standing.fairart}))
    made = f" Trained with fairart {versions}." if versions else ""
    sizes = sorted({row.standing.parameters for row in board.rows if row.standing.parameters})
    network = f" The network has {' or '.join(f'{size:,}' for size in sizes)} parameters." if sizes else ""
    return (
        f"Accuracy in per cent, mean over {counted} and its 95 % interval (Student's, over seeds). First ordered by the worst "
        f"class, {board.order[0]}.{network}{made}"
    )


def _row(board: Board, row: Row, anchor: str) -> dict[str, Any]:
    keys = [(attack, part) for attack in board.attacks for part in PARTS]
    return {
        "name": row.name,
        "anchor": anchor,
        "seeds": row.seeds,
        "cells": [_cell(row.numbers.get(key)) for key in keys],
        "seconds": "" if math.isnan(row.seconds) else f"{row.seconds:.0f}",
        "settings": _said(row.standing.settings),
        "config": row.standing.config,
        "file": f"cells/{row.standing.cell}/config.yaml",
    }


def _cell(number: Number | None) -> dict[str, Any]:
    if number is None:
        return {"text": "", "value": None, "interval": "", "names": "", "leading": False, "doubtful": False}
    found = number.over_seeds
    low, high = found.interval
    return {
        "text": f"{100 * found.mean:.1f}",
        "value": found.mean,
        "interval": "" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}",
        "names": ", ".join(number.names),
        "leading": number.leading,
        "doubtful": number.doubtful,
    }


def _said(settings: Mapping[str, Any]) -> str:
    given = {name.rpartition(".")[2]: value for name, value in settings.items() if value is not None}
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in given.items())


def _comparison(line: Mapping[str, str]) -> Sequence[str]:
    return [
        f"{line['method']} against {line['baseline']}",
        line["attack"],
        re.sub("^worst$", "worst class", line["part"]),
        _points(line["difference"]),
        f"{_points(line['low'])} to {_points(line['high'])}" if line["low"] else "",
        f"{float(line['p_holm']):.2g}" if line["p_holm"] else "",
        line["verdict"],
    ]


def _points(share: str) -> str:
    return f"{100 * float(share):+.1f}" if share else ""
