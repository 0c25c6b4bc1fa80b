import itertools
import struct
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from fairart.engine import EpochRecord
from fairart.reporting.plots import (
    accuracy_per_class,
    cfps_across_models,
    confusion_matrix,
    epsilon_per_class_over_epochs,
    save_png,
    target_distribution_over_epochs,
)
from fairart.reporting.plots.style import DPI, LONGEST, PALETTE, short_names
from fairart.statistics import ConfusionMatrix, EpochStatistics


@pytest.fixture
def results(made):
    return {
        method: [made.evaluation(made.rates(10 * index + seed)) for seed in range(3)]
        for index, method in enumerate(("at", "fair-tat"))
    }


def values(results, method, attack):
    return 100 * np.array([run[attack].class_accuracy for run in results[method]])


def bars(axes):
    return {container.get_label(): container for container in axes.containers if isinstance(container[0], Rectangle)}


def size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def texts(figure):
    """Every text that is drawn, with its box in dots."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            hidden |= {label for tick in ticks if not low <= tick.get_loc() <= high for label in (tick.label1, tick.label2)}
    shown = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible() and t not in hidden]
    return [(text, text.get_window_extent()) for text in shown]


def test_bars_are_the_means_and_whiskers_the_spread(results):
    figure = accuracy_per_class(results)
    assert len(figure.axes) == 2
    for axes, attack in zip(figure.axes, ("clean", "pgd"), strict=True):
        found = bars(axes)
        assert list(found) == ["at", "fair-tat"]
        whiskers = [c.lines[2][0].get_segments() for c in axes.containers if not isinstance(c[0], Rectangle)]
        for method, segments in zip(found, whiskers, strict=True):
            numbers = values(results, method, attack)
            heights = [bar.get_height() for bar in found[method]]
            np.testing.assert_allclose(heights, numbers.mean(axis=0))
            lengths = [segment[1, 1] - segment[0, 1] for segment in segments]
            np.testing.assert_allclose(lengths, 2 * numbers.std(axis=0, ddof=1))


def test_the_worst_class_of_each_method_is_outlined_and_its_value_written(results):
    figure = accuracy_per_class(results)
    for axes, attack in zip(figure.axes, ("clean", "pgd"), strict=True):
        for method, container in bars(axes).items():
            worst = values(results, method, attack).mean(axis=0).argmin()
            assert [bar.get_linewidth() > 1 for bar in container] == [k == worst for k in range(10)]
            assert f"{values(results, method, attack).mean(axis=0).min():.0f}" in [text.get_text() for text in axes.texts]


def test_panels_say_what_they_show_with_units(results):
    figure = accuracy_per_class(results, attacks=["pgd"], titles={"pgd": "under PGD-20"}, title="digits")
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "under PGD-20"
    assert axes.get_ylabel() == "accuracy in %"
    assert axes.get_xlabel() == "class"
    assert figure.get_suptitle() == "digits (3 seeds: mean ± sample std)"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    overall = [run["pgd"].accuracy for run in results["at"]]
    assert legend[0] == f"at: {100 * np.mean(overall):.1f}±{100 * np.std(overall, ddof=1):.1f} % overall"


def test_one_seed_has_no_whiskers_and_an_absent_class_no_bar(made):
    figure = accuracy_per_class({"at": [made.evaluation({"clean": [np.nan, 0.5, 0.25]})]})
    assert "no spread" in figure.get_suptitle()
    container = bars(figure.axes[0])["at"]
    assert [bar.get_linewidth() > 1 for bar in container] == [False, False, True]
    assert all(not c.lines[2][0].get_segments() for c in figure.axes[0].containers if not isinstance(c[0], Rectangle))


def test_budgets_are_shown_as_the_mean_over_seeds(made):
    histories = [made.history(seed) for seed in range(3)]
    figure = epsilon_per_class_over_epochs(*histories, base=0.15)
    shown = figure.axes[0].images[0].get_array()
    expected = np.mean([[epoch["epsilons"] for epoch in history] for history in histories], axis=0).T
    np.testing.assert_allclose(shown, expected)
    assert figure.get_suptitle().endswith("(mean of 3 seeds)")
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written[:10] == [f"{value:.3f}" for value in expected[:, -1]]


def test_targets_are_weighted_by_how_many_samples_aim(made):
    history = made.history(0)
    shown = target_distribution_over_epochs(history).axes[0].images[0].get_array()
    support = np.arange(1, 11) / 55
    for column, epoch in enumerate(history):
        table = np.array(epoch["target_probabilities"])
        expected = [sum(support[i] * table[i, j] for i in range(10)) for j in range(10)]
        np.testing.assert_allclose(shown[:, column], expected)
    np.testing.assert_allclose(shown.sum(axis=0), 1)


def test_records_and_their_dictionaries_give_the_same_picture(tmp_path):
    records = [
        EpochRecord(
            statistics=EpochStatistics(epoch=epoch, robust=ConfusionMatrix([[3, 1, 0], [0, 4, 1], [2, 0, 5]])),
            loss=1.0,
            epsilons=np.array([0.1, 0.2, 0.3]),
            target_probabilities=np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.2, 0.8, 0]]),
            class_weights=np.ones(3),
            learning_rate=0.1,
            averaged=None,
            seconds=1.0,
            images_per_second=10.0,
        )
        for epoch in range(3)
    ]
    for plot in (epsilon_per_class_over_epochs, target_distribution_over_epochs):
        first = save_png(plot(records), tmp_path / "a.png").read_bytes()
        assert save_png(plot([record.to_dict() for record in records]), tmp_path / "b.png").read_bytes() == first


def test_constant_budgets_and_late_targets_can_be_drawn(made, tmp_path):
    constant = [{**epoch, "epsilons": [0.1] * 10} for epoch in made.history(0)]
    save_png(epsilon_per_class_over_epochs(constant), tmp_path / "eps.png")
    late = [{**epoch, "target_probabilities": None} for epoch in made.history(0)[:2]] + made.history(0)[2:]
    shown = target_distribution_over_epochs(late).axes[0].images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown))[:, :2].all()
    assert np.isfinite(shown[:, 2:]).all()


def test_histories_that_do_not_fit_are_refused(made):
    with pytest.raises(ValueError, match="no epoch has planned targets"):
        target_distribution_over_epochs(made.history(0, targets=False))
    with pytest.raises(ValueError, match="same epochs and classes"):
        epsilon_per_class_over_epochs(made.history(0), made.history(1, nb_epochs=5))
    with pytest.raises(ValueError, match="same epochs and classes"):
        epsilon_per_class_over_epochs(made.history(0), made.history(1, nb_classes=9))
    with pytest.raises(ValueError, match="without an epoch"):
        epsilon_per_class_over_epochs([])
    with pytest.raises(ValueError, match="at least one history"):
        epsilon_per_class_over_epochs()
    with pytest.raises(ValueError, match="10 names"):
        epsilon_per_class_over_epochs(made.history(0), class_names=["a"])


def all_figures(made, nb_classes=10, nb_epochs=6):
    runs = {m: [made.evaluation(made.rates(s, nb_classes=nb_classes)) for s in range(3)] for m in ("at", "fair-tat")}
    histories = [made.history(seed, nb_classes=nb_classes, nb_epochs=nb_epochs) for seed in range(2)]
    return {
        "accuracy": accuracy_per_class(runs),
        "epsilon": epsilon_per_class_over_epochs(*histories, base=0.1),
        "target": target_distribution_over_epochs(*histories, title="a title that is nearly as wide as the whole of the figure"),
    }


@pytest.mark.parametrize(("nb_classes", "nb_epochs"), [(2, 1), (10, 6), (100, 40)])
def test_files_are_png_of_150_dpi_with_all_text_inside(made, tmp_path, nb_classes, nb_epochs):
    for name, figure in all_figures(made, nb_classes, nb_epochs).items():
        path = save_png(figure, tmp_path / f"{name}.png")
        width, height = size(path)
        assert (width, height) == tuple(np.rint(figure.get_size_inches() * DPI).astype(int))
        assert 600 < width < 4200
        found = texts(figure)
        for text, box in found:
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text
            assert text.get_fontsize() >= 8
        for (one, first), (other, second) in itertools.combinations(found, 2):
            assert not first.overlaps(second), (name, one, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accuracy.png", "epsilon.png", "target.png"]


def test_the_users_settings_neither_matter_nor_change(made, tmp_path):
    plain = {name: save_png(figure, tmp_path / "a.png").read_bytes() for name, figure in all_figures(made).items()}
    odd = {
        "font.size": 25,
        "text.color": "red",
        "axes.facecolor": "black",
        "axes.labelcolor": "red",
        "figure.facecolor": "black",
        "savefig.bbox": "tight",
        "savefig.dpi": 30,
        "axes.grid": True,
        "axes.titlesize": 30,
        "axes.titlecolor": "red",
        "xtick.labelsize": 30,
        "ytick.color": "red",
        "legend.fontsize": 30,
        "axes.spines.left": False,
        "figure.constrained_layout.use": False,
        "font.family": ["monospace"],
    }
    with mpl.rc_context(odd):
        before = dict(mpl.rcParams)
        for name, figure in all_figures(made).items():
            assert save_png(figure, tmp_path / "b.png").read_bytes() == plain[name], name
        assert dict(mpl.rcParams) == before


def test_pyplot_is_never_loaded_and_the_package_loads_no_matplotlib():
    code = (
        "import sys, fairart.reporting; assert 'matplotlib' not in sys.modules; assert 'torch' not in sys.modules; "
        "import fairart.reporting.plots; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_png(Figure(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bars_of_methods_differ_for_everyone_and_in_black_and_white(made):
    runs = {f"m{index}": [made.evaluation(made.rates(index, nb_classes=3))] for index in range(20)}
    figure = accuracy_per_class(runs, attacks=["pgd"])
    looks = [(to_hex(found[0].get_facecolor()).upper(), found[0].get_hatch()) for found in bars(figure.axes[0]).values()]
    assert [colour for colour, _ in looks[:7]] == list(PALETTE)
    assert len({hatch for _, hatch in looks[:8]}) == 8  # told apart without any colour
    assert len(set(looks)) == 20
    legend = [(to_hex(patch.get_facecolor()).upper(), patch.get_hatch()) for patch in figure.axes[0].get_legend().get_patches()]
    assert legend[:20] == looks


LONG = (*(f"a rather long name of the class {index}" for index in range(9)), "short")


def test_long_names_of_classes_squash_no_panel(made):
    rates = made.rates(0)
    history = made.history(0)
    heights = []
    for names in (None, LONG):
        run = made.evaluation(rates, names=names)
        figures = [
            accuracy_per_class({"at": [run]}),
            cfps_across_models({"at": [run], "trades": [made.evaluation(made.rates(1), names=names)]}),
            confusion_matrix(run["pgd"]),
            epsilon_per_class_over_epochs(history, class_names=names),
        ]
        for figure in figures:
            figure.draw_without_rendering()
        heights.append(
            [(figure.axes[0].get_window_extent().height, figure.axes[0].get_window_extent().width) for figure in figures]
        )
    assert (np.array(heights[1]) > 0.85 * np.array(heights[0])).all(), heights


def test_names_are_cut_and_stay_apart():
    alike = tuple(f"the same beginning and {index} the same end" for index in range(3))
    shown = short_names([*LONG, *alike])
    assert max(map(len, shown)) == LONGEST
    assert len(set(shown)) == len(shown)
    assert shown[9] == "short"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("nb_methods", [1, 3, 4, 9])
def test_the_legend_fits_however_few_classes_and_many_methods(made, nb_methods):
    runs = {f"fair-tat-{index}": [made.evaluation(made.rates(index, nb_classes=3))] for index in range(nb_methods)}
    figure = accuracy_per_class(runs)
    figure.draw_without_rendering()
    width = figure.get_window_extent().width
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert legend.x1 <= width
        assert legend.y1 <= axes._left_title.get_window_extent().y0
        assert axes.get_window_extent().height > 150
