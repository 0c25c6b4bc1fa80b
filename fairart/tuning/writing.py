"""The files of a search."""

from __future__ import annotations

import json
from pathlib import Path

from fairart.files import write_text
from fairart.tuning.leak import leak_check
from fairart.tuning.page import search_page
from fairart.tuning.result import TuneResult, chosen_of, importance_of, rows_of
from fairart.tuning.study import Study
from fairart.tuning.tables import to_csv, to_markdown
from fairart.tuning.trial import SETTINGS

__all__ = ["write_result"]


def write_result(study: Study, *, check_leak: bool) -> TuneResult:
    """Write ``trials.csv``, ``trials.md``, ``trials.json``, ``chosen.yaml`` and ``report.html``.

    Args:
        study: the search.
        check_leak: evaluate the chosen trial once on test images, if the search is finished.
    """
    rows, chosen, folder = rows_of(study), chosen_of(study), study.folder
    finished = study.finished()
    files: list[Path] = []
    for place, number in enumerate(chosen):
        picked = json.loads((study.folder_of(number) / SETTINGS).read_text(encoding="utf-8"))
        name = "chosen.yaml" if len(chosen) == 1 else f"chosen-{place}.yaml"
        files.append(study.tuning.chosen(picked).save(folder / name))
    leak = leak_check(study.folder_of(chosen[0]) / "run", folder) if check_leak and finished and chosen else None
    result = TuneResult(
        folder=folder,
        rows=rows,
        chosen=chosen,
        importance=importance_of(study),
        leak=leak,
        files=files,
        finished=finished,
        search=study.tuning.to_dict(),
    )
    for name, text in (
        ("trials.csv", to_csv(result)),
        ("trials.md", to_markdown(result, study.tuning)),
        ("report.html", search_page(result, study.tuning)),
    ):
        files.append(write_text(folder / name, text))
    files.append(folder / "trials.json")
    write_text(folder / "trials.json", json.dumps(result.to_dict(), indent=1) + "\n")
    return result
