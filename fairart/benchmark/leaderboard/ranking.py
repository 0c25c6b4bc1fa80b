"""Rows of a leaderboard: each method over its seeds, with intervals, ordered by the worst class under the strongest attack."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairart.benchmark.leaderboard.reading import CORRUPTIONS, Standing
from fairart.statistics.over_seeds import MeanInterval, mean_interval

__all__ = ["Board", "Number", "Row", "boards"]

CLEAN = "clean"
PARTS = ("average", "worst")


@dataclass(frozen=True, kw_only=True)
class Number:
    """One accuracy of a row.

    Args:
        over_seeds: mean, spread and 95 % interval, shares in [0, 1].
        leading: it is the highest mean of its column, or its interval overlaps that of the highest one.
        doubtful: a sanity check failed for some seed.
        names: of the worst class, most frequent first; empty for averages.
    """

    over_seeds: MeanInterval
    leading: bool = False
    doubtful: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method.

    Args:
        name: as tables call it.
        seeds: number of its runs.
        numbers: (attack, part) -> accuracy, ``part`` being ``"average"`` or ``"worst"``.
        seconds: of training, mean over seeds; NaN if not known.
        standing: its run with the lowest seed.
    """

    name: str
    seeds: int
    numbers: Mapping[tuple[str, str], Number]
    seconds: float
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Board:
    """The methods of one data set and model.

    Args:
        title: data set and model, and the budget of training where there are several.
        attacks: columns, the strongest one last.
        images: attack -> test images.
        order: the column that rows are ordered by: attack and part.
        rows: best first.
        comparisons: lines of the planned comparisons.
    """

    title: str
    attacks: tuple[str, ...]
    images: Mapping[str, int]
    order: tuple[str, str]
    rows: tuple[Row, ...]
    comparisons: tuple[Mapping[str, str], ...] = ()


def boards(standings: Sequence[Standing], comparisons: Sequence[Mapping[str, str]] = ()) -> list[Board]:
    """A board for each data set, model and budget of training (images and epochs): rows of two budgets do not compare.

    Args:
        standings: the cells.
        comparisons: lines of the planned comparisons of all tables, by the names of the tables' own data sets and models.
    """
    tables: dict[str, dict[str, list[Standing]]] = {}
    for standing in standings:
        tables.setdefault(standing.table, {}).setdefault(standing.budget, []).append(standing)
    return [
        _board(table, budget if len(budgets) > 1 else "", several, comparisons)
        for table, budgets in tables.items()
        # The one with the most methods first.
        for budget, several in sorted(budgets.items(), key=lambda item: -len({one.row for one in item[1]}))
    ]


def _board(table: str, budget: str, standings: Sequence[Standing], comparisons: Sequence[Mapping[str, str]]) -> Board:
    title = f"{table}: {budget}" if budget else table
    attacks = _columns(standings)
    images = {name: max(one.measured[name].images for one in standings if name in one.measured) for name in attacks}
    by_row: dict[str, list[Standing]] = {}
    for standing in standings:
        by_row.setdefault(standing.row, []).append(standing)
    numbers = {name: _numbers(several, attacks, images) for name, several in by_row.items()}
    leading = {key: _leading({name: row[key] for name, row in numbers.items() if key in row}) for key in _keys(attacks)}
    rows = [_row(name, several, numbers[name], leading) for name, several in by_row.items()]
    attack = next((name for name in reversed(attacks) if name not in (CORRUPTIONS, CLEAN)), CLEAN)
    order = attack, "worst"
    rows.sort(key=lambda row: (-row.numbers[order].over_seeds.mean if order in row.numbers else math.inf, row.name))
    there = {row.name for row in rows}
    planned = tuple(line for line in comparisons if _of(line, table) and {line["method"], line["baseline"]} <= there)
    return Board(title=title, attacks=attacks, images=images, order=order, rows=tuple(rows), comparisons=planned)


def _of(line: Mapping[str, str], name: str) -> bool:
    # The tables of a grid call npz:folder/photos.npz by its whole name.
    table = line["table"]
    first, comma, rest = table.partition(", ")
    return table == name or f"{first.rpartition(':')[2].rpartition('/')[2].removesuffix('.npz')}{comma}{rest}" == name


def _columns(standings: Sequence[Standing]) -> tuple[str, ...]:
    """Clean first, corruptions second, then attacks, AutoAttack last."""
    names = dict.fromkeys(name for standing in standings for name in standing.measured)

    def place(name: str) -> int:
        return 0 if name == CLEAN else 1 if name == CORRUPTIONS else 3 if name.startswith("autoattack") else 2

    return tuple(sorted(names, key=place))


def _keys(attacks: Sequence[str]) -> list[tuple[str, str]]:
    return [(attack, part) for attack in attacks for part in PARTS]


def _numbers(
    standings: Sequence[Standing], attacks: Sequence[str], images: Mapping[str, int]
) -> dict[tuple[str, str], tuple[MeanInterval, bool, tuple[str, ...]]]:
    found = {}
    for attack in attacks:
        # A cell measured on fewer images than the others does not compare.
        of_attack = [one.measured[attack] for one in standings if attack in one.measured]
        measured = [one for one in of_attack if one.images == images[attack]]
        if not measured:
            continue
        doubtful = any(one.doubtful for one in measured)
        names = tuple(name for name, _ in Counter(name for one in measured for name in one.worst_names).most_common(2))
        for part in PARTS:
            over_seeds = mean_interval([getattr(one, part) for one in measured], limits=(0.0, 1.0))
            found[attack, part] = over_seeds, doubtful, names if part == "worst" else ()
    return found


def _leading(column: Mapping[str, tuple[MeanInterval, bool, tuple[str, ...]]]) -> set[str]:
    if not column:
        return set()
    best = max(column, key=lambda name: column[name][0].mean)
    low = column[best][0].interval[0]
    # One seed has no interval, and nothing can be told apart from it.
    return {best, *(name for name, (number, *_) in column.items() if number.interval[1] >= low)}


def _row(
    name: str,
    standings: Sequence[Standing],
    numbers: Mapping[tuple[str, str], tuple[MeanInterval, bool, tuple[str, ...]]],
    leading: Mapping[tuple[str, str], set[str]],
) -> Row:
    seconds = [one.seconds for one in standings if one.seconds is not None]
    return Row(
        name=name,
        seeds=len(standings),
        numbers={
            key: Number(over_seeds=over_seeds, leading=name in leading[key], doubtful=doubtful, names=names)
            for key, (over_seeds, doubtful, names) in numbers.items()
        },
        seconds=sum(seconds) / len(seconds) if seconds else math.nan,
        standing=min(standings, key=lambda one: one.seed),
    )
