"""``wds:``, tar shards as WebDataset has them: the images of a folder with the same files, and what is wrong with shards."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairart.cli.main import main
from fairart.datasets import DatasetError
from fairart.datasets.folder import load_folder
from fairart.datasets.tar_images import TarImages
from fairart.datasets.wds import load_wds
from fairart.errors import OptionError
from fairart.fingerprint import array_digest
from fairart.runs.config import RunConfig
from fairart.runs.run import train_run

NAMES = ("ant", "bee", "cat")
Members = Iterable[tuple[str, bytes]]


def picture(number: int, side: int = 12) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()


def write_shard(path: Path, members: Members, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            file.addfile(about, io.BytesIO(content))
    return path


def samples(split: str, label: str = "cls") -> list[list[tuple[str, bytes]]]:
    """Members of each sample, class by class as a folder has them."""
    found = []
    for klass, name in enumerate(NAMES):
        for index in range(6 if split == "train" else 2):
            number = 100 * klass + index + (50 if split == "test" else 0)
            key = f"{split}/{name}_{index}"
            text = {"cls": f"{klass}\n", "name": name, "json": json.dumps({"target": klass, "where": "x"})}[label]
            found.append([(f"{key}.PNG", picture(number)), (f"{key}.{label}", text.encode()), (f"{key}.seg.png", b"no image")])
    return found


def write_shards(root: Path, label: str = "cls", *, pattern: str = "{split}-{number:03d}.tar", test: str = "test") -> Path:
    for split, each in (("train", 5), ("test", 6)):
        several = samples(split, label)
        for number, first in enumerate(range(0, len(several), each)):
            members = [member for sample in several[first : first + each] for member in sample]
            # In any order within a shard: labels first.
            members.sort(key=lambda member: member[0].endswith(".PNG"))
            write_shard(root / pattern.format(split=test if split == "test" else split, number=number), members)
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same images in a folder."""
    root = tmp_path / "files"
    for split in ("train", "test"):
        for (name, content), *_ in samples(split):
            klass, _, index = Path(name).stem.partition("_")
            place = root / split / klass / f"{index}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    return root


@pytest.mark.parametrize("label", ["cls", "name", "json:target"])
@pytest.mark.parametrize("memory", ["1GiB", "0"])
def test_images_labels_and_classes_are_those_of_a_folder(label: str, memory: str, folder: Path, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", label.partition(":")[0])
    data = load_wds(path=str(shards), label=label, data_memory=memory)
    files = load_folder(path=str(folder))
    assert data.on_disk == (memory == "0")
    assert (data.classes, data.name) == (NAMES, "shards")
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(np.asarray(getattr(data, name)), getattr(files, name))
    rows = np.array([17, 0, 0, 5])
    np.testing.assert_array_equal(data.x_train[rows], files.x_train[rows])


@pytest.mark.parametrize(
    ("pattern", "test"),
    [
        ("{split}/{number:06d}.tar", "val"),
        ("imagenet1k-{split}-{number:04d}.tar", "validation"),
        ("{split}-{number:05d}-of-00004.tar", "test"),
        ("mine_{split}.part{number}.tar", "val"),
    ],
)
def test_shards_are_called_as_the_field_calls_them(pattern: str, test: str, tmp_path: Path) -> None:
    if "-of-" in pattern:
        pattern = pattern.replace("-of-00004", "")
    data = load_wds(path=str(write_shards(tmp_path, pattern=pattern, test=test)))
    assert (len(data.x_train), len(data.x_test)) == (18, 6)


class Interrupting:
    """Ends a run after its first epoch."""

    def start(self, history):
        pass

    def epoch(self, record):
        raise KeyboardInterrupt

    def end(self):
        pass


def test_a_run_from_shards_is_the_run_from_files_bit_for_bit_and_resumed_too(folder: Path, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    own = {"epochs": 3, "eps": 0.1, "max_iter": 2, "batch_size": 6, "device": "cpu", "logger": (), "trainer": "at"}
    options = {"size": 8, "crop": "random", "workers": 2}

    def config(kind: str, path: Path) -> RunConfig:
        parts = {"options": {"model": {"width": 2}, "dataset": options}}
        return RunConfig.from_mapping({**own, "dataset": f"{kind}:{path}", **parts})

    with pytest.raises(KeyboardInterrupt):
        train_run(config("wds", shards), tmp_path / "wds", verbose=False, observers=lambda trainer, data: [Interrupting()])
    resumed = train_run(config("wds", shards), tmp_path / "wds", resume=True, verbose=False)
    assert "checkpoint" in str(resumed.trainer.resumed_from)
    whole = train_run(config("folder", folder), tmp_path / "folder", verbose=False)
    for name, value in whole.classifier.model.state_dict().items():
        assert torch.equal(value, resumed.classifier.model.state_dict()[name]), name


def test_test_images_alone_and_a_drawn_test_split(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    for shard in shards.glob("train*.tar"):
        shard.unlink()
    assert (len(load_wds(path=str(shards)).x_train), len(load_wds(path=str(shards)).x_test)) == (0, 6)
    write_shards(tmp_path / "again")
    for shard in (tmp_path / "again").glob("test*.tar"):
        shard.unlink()
    drawn = load_wds(path=str(tmp_path / "again"), test_share=0.5, data_memory="0")
    assert np.bincount(drawn.y_test).tolist() == [3, 3, 3]
    assert len(drawn.x_train) == 9


def test_the_digest_knows_the_images_without_reading_them(tmp_path: Path) -> None:
    one, same, other = (write_shards(tmp_path / name) for name in ("one", "same", "other"))
    write_shard(other / "train-003.tar", [("x.png", picture(7)), ("x.cls", b"0"), *samples("train")[17]])
    found = [array_digest(load_wds(path=str(root), data_memory="0").x_train) for root in (one, same, other)]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_damaged_image_is_named_and_can_be_passed_over(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    members = [
        *samples("train")[15],
        ("bad.png", picture(3)[:60]),
        ("bad.cls", b"2"),
        *samples("train")[16],
        *samples("train")[17],
    ]
    write_shard(shards / "train-003.tar", members)
    with pytest.raises(DatasetError, match=r"train-003\.tar: bad\.png cannot be read as an image"):
        load_wds(path=str(shards), data_memory="1GiB")
    data = load_wds(path=str(shards), data_memory="1GiB", skip_unreadable=True)
    assert len(data.x_train) == 18
    assert [name.rpartition("/")[2] for name in data.unreadable] == ["train-003.tar: bad.png"]
    on_disk = load_wds(path=str(shards), data_memory="0", skip_unreadable=True, workers=0)
    bad = int(np.flatnonzero([image.name == "bad.png" for image in on_disk.x_train.names])[0])
    # The next one of its class stands in for it.
    np.testing.assert_array_equal(on_disk.x_train[bad], on_disk.x_train[bad + 1])


def drop(name: str):
    return lambda root: (root / name).unlink()


def cut(root: Path) -> None:
    shard = root / "train-002.tar"
    shard.write_bytes(shard.read_bytes()[:700])


def at_header(change):
    """Change the bytes of a shard from the header of its second sample on."""

    def spoil(root: Path) -> None:
        shard = root / "train-002.tar"
        with tarfile.open(shard) as file:
            place = file.getmembers()[3].offset
        content = bytearray(shard.read_bytes())
        shard.write_bytes(change(content, place))

    return spoil


def flipped(content: bytearray, place: int) -> bytes:
    content[place + 1] ^= 1
    return bytes(content)


def zeroed(content: bytearray, place: int) -> bytes:
    content[place : place + 1024] = bytes(1024)
    return bytes(content)


def joined(root: Path) -> None:
    shard = root / "train-002.tar"
    shard.write_bytes(shard.read_bytes() + (root / "train-003.tar").read_bytes())


def replaced(*members: tuple[str, bytes]):
    return lambda root: write_shard(root / "train-003.tar", members)


GOOD = picture(1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("train-001.tar"), r"of the shards train-\* number 1 is missing; there are 3, up to number 3"),
        (drop("train-000.tar"), None),
        (lambda root: [(root / f"train-00{n}.tar").unlink() for n in (0, 1)], r"number 0, 1 is missing"),
        (
            lambda root: write_shard(root / "train-00000-of-00003.tar", samples("train")[0]),
            r"number 1, 2 is missing; there are 1, up to number 0 of 3",
        ),
        (drop("test-000.tar"), r"no shards of a test split .*test_share=0\.2"),
        (lambda root: write_shard(root / "train-004.tar.gz", samples("train")[0], "w:gz"), r"train-004\.tar\.gz is compressed"),
        (
            lambda root: write_shard(root / "train-003.tar", samples("train")[0], "w:gz"),
            r"train-003\.tar cannot be read as an unc",
        ),
        (lambda root: (root / "train-003.tar").write_bytes(b"no tar"), r"train-003\.tar cannot be read as an uncompressed tar"),
        (cut, r"train-002\.tar (cannot be read|is cut short)"),
        (at_header(lambda content, place: bytes(content[:place])), r"train-002\.tar is cut short: it has \d+ bytes"),
        (at_header(lambda content, place: bytes(content[: place + 100])), r"train-002\.tar is cut short: it has \d+ bytes"),
        (at_header(flipped), r"train-002\.tar is damaged, or several tar files in one: what stands behind byte \d+"),
        (at_header(zeroed), r"train-002\.tar is damaged, or several tar files in one"),
        (joined, r"train-002\.tar is damaged, or several tar files in one"),
        (replaced(("a.png", GOOD)), r"sample 'a' has no member \.cls, as 1 of 1"),
        (replaced(("a.cls", b"1")), r"sample 'a' has no image"),
        (replaced(("a.png", GOOD), ("a.cls", b"1"), ("a.jpg", GOOD)), r"sample 'a' has two images"),
        (replaced(("a.png", GOOD), ("a.cls", b"1"), ("a.cls", b"1")), r"sample 'a' has two labels"),
        (replaced(("readme", b"hello")), r"train-003\.tar has no samples: expected members such as 000\.jpg and 000\.cls"),
        (replaced(("a.png", GOOD), ("a.cls", b"3")), r"a label is 3, and .*classes\.txt names 3 classes, 0 to 2"),
        (replaced(("a.png", GOOD), ("a.cls", b"dog")), r"whole numbers from 0, or names; 'dog' stands among numbers such as '0'"),
        (replaced(("a.png", GOOD), ("a.cls", b"-1")), r"'-1' stands among numbers"),
        (replaced(("a.png", GOOD), ("a.cls", b" ")), r"the label of 'a\.png' must be a whole number or a name, got ''"),
        (
            replaced(("a.b.png", GOOD), ("a.b.cls", b"1")),
            r"has no samples: .* there are endings b\.cls, b\.png, behind the first dot",
        ),
        (lambda root: (root / "classes.txt").write_bytes(b"k\xe4fer\nb\nc\n"), r"classes\.txt must be text in UTF-8"),
        (lambda root: (root / "classes.txt").write_text("a\nb\na\n"), r"classes\.txt names a class twice"),
        (replaced(("a.png", GOOD), ("a.cls", b"\xff\xfe")), r"'a\.cls' is no text"),
        (
            lambda root: write_shard(root / "val-000.tar", samples("test")[0]),
            r"several sets of shards for the test split: test, val",
        ),
        (
            lambda root: [file.rename(root / f"{file.stem[-7:]}x.TAR") for file in root.glob("*.tar")],
            r"has no shards: .*there: \S+x\.TAR",
        ),
        (lambda root: [file.unlink() for file in root.glob("*.tar")], r"has no shards: expected train-000\.tar"),
    ],
)
def test_what_is_wrong_with_shards_is_one_line(spoil, message: str | None, tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    spoil(shards)
    if message is None:
        # Numbers that begin with 1 are as good.
        assert len(load_wds(path=str(shards)).x_train) == 13
        return
    with pytest.raises(DatasetError, match=message) as caught:
        load_wds(path=str(shards))
    assert "\n" not in str(caught.value)
    assert str(shards) in str(caught.value)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, "json")
    with pytest.raises(DatasetError, match=r"has no field 'label'; there: target, where"):
        load_wds(path=str(shards), label="json:label")
    with pytest.raises(OptionError, match=r"label expects an ending such as cls, or json:FIELD .*, got 'json'"):
        load_wds(path=str(shards), label="json")
    assert load_wds(path=str(shards), label=".JSON:target").classes == NAMES
    write_shards(tmp_path / "named", "name")
    (tmp_path / "named" / "classes.txt").write_text("ant\nbee\n")
    with pytest.raises(DatasetError, match=r"label 'cat' is not among the 2 classes of .*classes\.txt"):
        load_wds(path=str(tmp_path / "named"), label="name")
    with pytest.raises(DatasetError, match=r"test_share=0\.2 has nothing to draw"):
        load_wds(path=str(shards), label="json:target", test_share=0.2)
    with pytest.raises(OptionError, match="crop='random' needs a size"):
        load_wds(path=str(shards), crop="random")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_wds(path=str(tmp_path / "nowhere"))


def test_numbers_without_names_are_complete(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    (shards / "classes.txt").unlink()
    assert load_wds(path=str(shards)).classes == ("0", "1", "2")
    replaced(("a.png", GOOD), ("a.cls", b"20000000"))(shards)
    with pytest.raises(DatasetError, match=r"labels go up to 20000000, and none is 3; a classes\.txt"):
        load_wds(path=str(shards))
    replaced(("a.png", GOOD), ("a.cls", b"1\n\0\0"))(shards)
    assert load_wds(path=str(shards)).classes == ("0", "1", "2")
    # As Windows programs write it, and beside files that are no shards.
    (shards / "classes.txt").write_text("ant\nbee\ncat\n", encoding="utf-8-sig")
    write_shard(shards / "other.tar.gz", samples("train")[0], "w:gz")
    assert load_wds(path=str(shards)).classes == NAMES


def test_the_last_word_of_a_name_is_its_split(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, pattern="test-images-{split}-{number:03d}.tar", test="val")
    data = load_wds(path=str(shards))
    assert (len(data.x_train), len(data.x_test)) == (18, 6)


def test_a_shard_that_shrinks_while_it_is_used_is_named(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    data = load_wds(path=str(shards), data_memory="0")
    assert isinstance(data.x_train.names, TarImages)
    (shards / "train-003.tar").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"train-003\.tar: train/cat_5\.PNG cannot be read as an image: .*ends within it"):
        data.x_train[[17]]


def test_shards_are_looked_through_with_the_options_that_they_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = write_shards(tmp_path, "json")
    command = ["data", "check", f"wds:{shards}", "--json", "--no-label-errors"]
    assert main([*command, "--set", "dataset.label=json:target"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == list(NAMES)
    assert main([*command, "--set", "model.width=3"]) == 2
    assert "--set expects dataset.OPTION=VALUE here, got 'model.width=3'" in capsys.readouterr().err
    assert main(command) == 2
    assert "has no member .cls" in capsys.readouterr().err
