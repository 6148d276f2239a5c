"""Classes by name: the file of --classes, folders, and texts in labels.csv and in archives. Labels
are compared with the names that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relrob.errors import ClassCountError, DatasetError
from relrob_datasets import Dataset, ReadAs, load, load_images
from relrob_datasets.catalogue import _known
from relrob_datasets.first import class_names
from relrob_datasets.manifest import MANIFESTS
from relrob_datasets.names import naming, read_classes, whole

NAMES = ("zebra", "ant", "mole")
DOTS = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
HOSTILE = "\x1b[2J\u202e, evil"


def save(path: Path, levels: Any = DOTS[0]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)


def refused(path: str, words: str, read_as: ReadAs) -> None:
    """One line of printable text that holds the words."""
    with pytest.raises(DatasetError) as caught:
        load(path, read_as=read_as)
    told = str(caught.value)
    assert words in told and told.isprintable() and len(told) < 1500


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.txt", "zebra\nant\nmole\n"),
        ("c.names", "\ufeffzebra\r\n ant \r\nmole\r\n\r\n"),
        ("c.csv", "Name,Label\nmole,2\nzebra,0\nant,1\n"),
        ("c.csv", "index;class_name\n1;ant\n0;zebra\n2;mole\n"),
        ("c.tsv", "folder\nzebra\nant\nmole\n"),
        ("c.csv", "CLASS\tid\tnote\nant\t1\t\nzebra\t0\t\nmole\t2\t\n"),
        ("c.json", '["zebra", "ant", "mole"]'),
        ("c.json", '{"ant": 1, "mole": 2, "zebra": 0}'),
        ("c.json", '{"2": "mole", "0": "zebra", "1": "ant"}'),
        ("c.json", '{"ant": "1", "mole": "2", "zebra": "0"}'),
    ],
)
def test_a_file_of_class_names(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_classes(path) == NAMES == class_names(str(path))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("c.txt", b"", "0 class names"),
        ("c.txt", b"ant\n\nmole\n", "an empty name for class 1"),
        ("c.txt", b"ant\nmole\nant\n", "names 'ant' for the classes 0 and 2"),
        ("c.txt", b"\xff\xfe\x00", "text in UTF-8"),
        ("c.txt", b"x" * 300, "a name of 300 characters for class 0"),
        ("c.txt", b"a\n" * 100_001, "100,001 class names"),
        ("c.txt", b"x\n" * (1 << 22), "more than 4,194,304"),
        ("c.csv", b"name,label\nant,0\nmole,0\n", "label '0' twice"),
        ("c.csv", b"name,label\nant,1\nmole,2\n", "label '2' of 2 names"),
        ("c.csv", b"name,label\nant,x\n", "label 'x' of 1 names"),
        ("c.csv", b"animal,weight\nant,x\n", "has the columns animal, weight"),
        ("c.csv", b'name,label\n"ant,0\n', "cannot read"),
        ("c.csv", b"name,label\n" + b"a" * (1 << 18) + b",0\n", "field larger than field limit"),
        ("c.json", b"[" * 100_000, "cannot read"),
        ("c.json", b"{}", "0 class names"),
        ("c.json", b'{"a": [1]}', "holds no class names"),
        ("c.json", b'["a", 3]', "holds no class names"),
        ("c.json", b'{"a": true}', "holds no class names"),
        ("c.json", b'{"a": 1e999}', "holds no class names"),
    ],
)
def test_a_bad_file_of_class_names_is_one_line(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        class_names(str(path))
    told = str(caught.value)
    assert words in told and told.isprintable() and len(told) < 1500
    with pytest.raises(DatasetError, match="absent"):
        class_names(str(tmp_path / "absent.txt"))


def test_whole_numbers() -> None:
    texts = ("0", "007", "12.", "12.0", "12.5", "-1", "", "1e3", "٣", "1" * 10, ".0")
    assert [whole(text) for text in texts] == [0, 7, None, 12, None, None, None, None] + [None] * 3


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for number, name in enumerate(("mole", "zebra", "ant")):
        save(tmp_path / "animals" / name / "x.png", DOTS[number])
    return tmp_path / "animals"


def test_folders_in_the_order_of_the_file(folders: Path) -> None:
    told = load(str(folders), read_as=ReadAs(classes=(*NAMES, "yak")))
    by_name = {
        int(levels.ravel()[0]): label
        for levels, label in zip(told.images, told.labels, strict=True)
    }
    assert by_name == {0: 2, 4: 0, 8: 1}
    assert (told.classes, told.classes_known) == (4, True)
    assert told.reading.notes == ("classes without pictures: yak",)
    assert "as --classes gives them: 0 zebra, 1 ant, 2 mole, 3 yak" in told.reading.sentences[0]
    refused(
        str(folders), "has the folder 'zebra', which is not in --classes", ReadAs(("ant", "mole"))
    )


def test_a_class_without_pictures_keeps_its_place(folders: Path) -> None:
    (folders / "bat").mkdir()
    data = load(str(folders))
    assert data.reading.class_names == ("ant", "bat", "mole", "zebra")
    assert data.labels.tolist() == [0, 2, 3] and data.classes == 4
    assert data.reading.notes == ("classes without pictures: bat",)
    numbered = folders.parent / "numbers"
    save(numbered / "0" / "x.png")
    (numbered / "7").mkdir()
    assert load(str(numbered)).classes == 8


def test_numbered_folders_may_have_names_too(tmp_path: Path) -> None:
    for name in ("0", "2"):
        save(tmp_path / "n" / name / "x.png", DOTS[int(name)])
    data = load(str(tmp_path / "n"), read_as=ReadAs(classes=NAMES))
    assert data.labels.tolist() == [0, 2] and data.reading.class_names == NAMES
    assert data.reading.notes == ("classes without pictures: ant",)
    # a class may be called by a number: its name counts
    named = load(str(tmp_path / "n"), read_as=ReadAs(classes=("2", "1", "0")))
    assert named.labels.tolist() == [0, 2]
    assert np.array_equal(named.images[..., 0], DOTS[[2, 0]])
    refused(str(tmp_path / "n"), "label 2 at image 1", ReadAs(classes=("a", "b")))


def test_names_that_a_terminal_could_obey(tmp_path: Path) -> None:
    for name in (HOSTILE, "cat"):
        save(tmp_path / "h" / name / "x.png")
    data = load(str(tmp_path / "h"))
    assert HOSTILE in data.reading.class_names
    refused(str(tmp_path / "h"), "which is not in --classes", ReadAs(classes=("cat", "dog")))


TABLES = {
    "filename,label\n": ",",
    "File;Class\n": ";",
    "\ufeff Path \t TARGET \n": "\t",
    "image,category\n": ",",
    "file_name;y\n": ";",
    "Name,Label\n": ",",
}


@pytest.mark.parametrize("head", TABLES)
@pytest.mark.parametrize("labels", [("0", "2", "1"), ("0.0", "2.0", "1.0"), ("cat", "owl", "dog")])
def test_headers_of_labels_csv(tmp_path: Path, head: str, labels: tuple[str, ...]) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", DOTS[number])
    mark = TABLES[head]
    rows = [f"{number}.png{mark} {label}" for number, label in enumerate(labels)]
    (tmp_path / "labels.csv").write_text(head + "\n".join(rows), encoding="utf-8")
    data = load(str(tmp_path))
    assert data.labels.tolist() == [0, 2, 1] and np.array_equal(data.images[..., 0], DOTS[:3])
    assert data.reading.class_names == (("cat", "dog", "owl") if "cat" in labels else ())
    if "cat" in labels:
        other = load(str(tmp_path), read_as=ReadAs(classes=("yak", "owl", "cat", "dog")))
        assert other.labels.tolist() == [2, 1, 3]


def test_columns_that_could_be_meant_are_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("name,file,class,label\nfirst,a.png,cat,0\n")
    data = load(str(tmp_path))
    assert data.labels.tolist() == [0] and data.reading.class_names == ()
    assert data.reading.notes == ("labels.csv: read by its columns file and label",)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a.png,cat\nb.png,1\n", "line 2 has label 'cat'"),
        ("a.png,cat\nb.png,\n", "line 3 has label ''"),
        ("a.png,cat\nb.png,nan\n", "line 3 has label 'nan'"),
        ("a.png," + "c" * (1 << 18) + "\n", "field larger than field limit"),
        ("a.png,yak\n", "line 2 has label 'yak', which is not in --classes"),
        ("a.png,\x1b[2J\n", "which is not in --classes"),
    ],
)
def test_labels_that_mean_nothing(tmp_path: Path, rows: str, words: str) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    (tmp_path / "labels.csv").write_text("filename,label\n" + rows)
    asked = ReadAs(classes=("ant", "bee")) if "--classes" in words else ReadAs()
    refused(str(tmp_path), words, asked)


@pytest.mark.parametrize("kind", ["U", "S"])
def test_texts_in_an_archive(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "m.npz")
    texts = np.array(["mole", "ant", "mole", "zebra", "ant"]).astype(kind)
    np.savez(path, images=DOTS, labels=texts)
    data = load(path)
    assert data.labels.tolist() == [1, 0, 1, 2, 0]
    assert data.reading.class_names == ("ant", "mole", "zebra")
    assert load(path, read_as=ReadAs(classes=NAMES)).labels.tolist() == [2, 1, 2, 0, 1]
    refused(path, "image 3, has label 'zebra', which is not in --classes", ReadAs(("mole", "ant")))
    np.savez(path, images=DOTS, labels=np.array([b"\xff", b"a", b"b", b"c", b"d"]))
    refused(path, "cannot read", ReadAs())


def test_the_classes_of_a_named_set_in_another_order() -> None:
    order = ("9", "8", "7", "6", "5", "4", "3", "2", "1", "0")
    plain, turned = load("mnist"), load("mnist", read_as=ReadAs(classes=order))
    assert np.array_equal(turned.labels, 9 - plain.labels)
    named = load("mnist", read_as=ReadAs(classes=tuple("abcdefghij")))
    assert np.array_equal(named.labels, plain.labels) and named.reading.class_names[3] == "d"
    refused("mnist", "has 10 classes; accepted: 10 in --classes", ReadAs(classes=(*order, "x")))


def test_the_names_of_a_named_set_lead_to_their_outputs() -> None:
    manifest = next(each for each in MANIFESTS if each.name == "cifar10")
    labels = np.arange(10)
    data = Dataset("cifar10", "test", np.zeros((10, 2, 2, 3), np.uint8), labels, 10, "")
    order = tuple(reversed(manifest.classes))
    turned = _known(data, manifest, ReadAs(classes=order))
    assert turned.labels is not None and turned.labels.tolist() == (9 - labels).tolist()
    assert turned.reading.identity() == {"classes": list(order)}
    with pytest.raises(DatasetError, match="has the class 'airplane', which is not in --classes"):
        _known(data, manifest, ReadAs(classes=NAMES))


def test_another_number_of_outputs_says_which_names_were_found(folders: Path) -> None:
    for read_as, words in (
        (
            ReadAs(),
            "--classes FILE with a name for each output, in their order (found: ant, mole, ",
        ),
        (ReadAs(classes=NAMES), "in --classes: zebra, ant, mole"),
    ):
        with (
            pytest.raises(ClassCountError) as caught,
            naming(load_images(str(folders), "test", read_as)),
        ):
            raise ClassCountError("n.onnx has 10 outputs, the data set 3 classes", "equal numbers")
        assert words in str(caught.value) and "10 outputs" in str(caught.value)
    with pytest.raises(ClassCountError, match=r"plain$"), naming(load("mnist")):
        raise ClassCountError("plain")


def test_the_odd_picture_is_named_wherever_it_lies(tmp_path: Path) -> None:
    for place in range(4):
        folder = tmp_path / str(place)
        for number in range(4):
            save(folder / "0" / f"{number}.png", DOTS[0] if number != place else DOTS[0][:1])
        refused(str(folder), f"{place}.png is 2x1 grey, ", ReadAs())
        refused(str(folder), "1 of 4 differ from most", ReadAs())


def test_json_of_names_is_plain(folders: Path) -> None:
    document = load(str(folders)).reading.json()
    assert json.loads(json.dumps(document)) == {
        "classes": ["ant", "mole", "zebra"],
        "named_by": "data",
    }
