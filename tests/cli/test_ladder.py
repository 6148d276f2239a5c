"""`relrob ladder` against the naive enumeration, networkx's own reader and Pillow."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from relrob.cli.ladder import command
from relrob.cli.mistakes import tell
from relrob.errors import RelrobError
from relrob.regions.knapsack import Knapsack
from relrob_datasets import load
from tests import naive

SMALL = ("--radius", "10", "--step", "1/4", "--features", "6")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(command, words, catch_exceptions=False)


def found(*words: str) -> dict[str, Any]:
    done = invoke(*words, "--json")
    assert done.exit_code == 0
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def refusal(*words: str) -> str:
    with pytest.raises(RelrobError) as raised:
        invoke(*words)
    assert tell(raised.value) == 2
    return str(raised.value)


@pytest.mark.parametrize("index", [3, 18])
def test_counts_are_those_of_the_naive_enumeration(index: int) -> None:
    told = found(str(index), *SMALL)
    image = load("mnist").images[index]
    points = list(naive.points(image, Fraction(10), Fraction(1, 4), 6))
    moved, costs = Counter(len(p.moved) for p in points), Counter(p.cost for p in points)
    assert told["points"] == len(points) > 10
    assert {line["moved"]: line["points"] for line in told["rungs"]} == moved
    assert {Fraction(line["cost"]): line["points"] for line in told["costs"]} == costs
    for line in told["rungs"]:
        mine = [p.cost for p in points if len(p.moved) == line["moved"]]
        assert (Fraction(line["least"]), Fraction(line["largest"])) == (min(mine), max(mine))
    assert (told["complete"], told["covering"], told["longest"]) == (True, True, max(moved))
    assert told["edges"] == sum(len(p.moved) for p in points)  # costs are above 0: all parents


def test_the_terminal_shows_the_same_counts() -> None:
    told, lines = found("3", *SMALL), invoke("3", *SMALL).stdout.splitlines()
    shown = [line.split()[:2] for line in lines[1 : 1 + len(told["rungs"])]]
    assert shown == [[str(line["moved"]), str(line["points"])] for line in told["rungs"]]
    assert lines[-1].startswith("complete, covering;")
    assert invoke("3", *SMALL, "--quiet").stdout == ""


def test_a_file_gives_the_ladder_of_its_image(tmp_path: Path) -> None:
    levels = load("mnist").images[3]
    Image.fromarray(levels[..., 0]).save(tmp_path / "three.png")
    np.save(tmp_path / "three.npy", levels[..., 0])
    np.save(tmp_path / "flat.npy", levels.ravel())
    np.savez(tmp_path / "named.npz", image=levels, label=3)
    np.savez(tmp_path / "one.npz", images=levels[None], labels=[3])
    # a float32 pixel is not exactly k/255: white and black are, and saliency is close
    np.savez(tmp_path / "witness.npz", original=np.round(levels / 255), index=3, moved=[1])
    expected = found("3", *SMALL)
    for name in ("three.png", "three.npy", "flat.npy", "named.npz", "one.npz"):
        told = found(str(tmp_path / name), *SMALL)
        assert told["image"]["name"] == name
        assert {**told, "image": None} == {**expected, "image": None}
    assert found(str(tmp_path / "witness.npz"), *SMALL)["points"] == expected["points"]


def test_graphml_and_drawings_are_files_that_others_read(tmp_path: Path) -> None:
    names = ["a.graphml", "a.png", "a.svg", "b.graphml", "b.png", "b.svg"]
    paths = {name: tmp_path / name for name in names}
    for kind in ("png", "svg"):
        for name in ("a", "b"):
            told = found(
                *("3", *SMALL, "--drawing", str(paths[f"{name}.{kind}"])),
                *("--graphml", str(paths[f"{name}.graphml"])),
            )
    read = networkx.read_graphml(paths["a.graphml"])
    assert networkx.is_directed_acyclic_graph(read) and len(read) == told["points"]
    assert [node for node in read if not read.in_degree(node)] == ["clean"]
    assert sorted(Fraction(cost) for _, cost in read.nodes(data="cost")) == sorted(
        Fraction(line["cost"]) for line in told["costs"] for _ in range(line["points"])
    )
    with Image.open(paths["a.png"]) as picture:
        assert picture.format == "PNG" and len(set(picture.convert("L").tobytes())) > 20
    assert paths["a.svg"].read_text().count("<use ") >= told["points"]
    for kind in ("graphml", "png", "svg"):
        assert paths[f"a.{kind}"].read_bytes() == paths[f"b.{kind}"].read_bytes()


def test_a_large_ladder_is_refused_with_features_that_fit(tmp_path: Path) -> None:
    for limit, drawn in ((20_000, ()), (2_000, ("--drawing", str(tmp_path / "a.png")))):
        line = refusal("3", "--radius", "20", "--step", "1/4", *drawn)
        fits = line.partition("try: --features ")[2].partition(",")[0]
        counts = []
        for features in (int(fits), int(fits) + 1):
            points = naive.points(load("mnist").images[3], Fraction(20), Fraction(1, 4), features)
            counts.append(sum(1 for _ in points))
        assert counts[0] <= limit < counts[1]
        found("3", "--radius", "20", "--step", "1/4", "--features", fits, *drawn)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("no.png", *SMALL), "no such file"),
        (("10000", *SMALL), "0..9999"),
        (("text.png", *SMALL), "cannot read"),
        (("text.txt", *SMALL), "not an image"),
        (("two.npz", *SMALL), "images of shape"),
        (("other.npz", *SMALL), "holds other"),
        (("nan.npy", *SMALL), "NaN"),
        (("pickle.npy", *SMALL), "cannot read"),
        (("nan.npy", *SMALL, "--split", "test"), "of a data set"),
        (("3", *SMALL, "--drawing", "a.pdf"), ".png or .svg"),
        (("3", *SMALL, "--drawing", "nan.npy/a.png"), "nan.npy"),
        (("3", "--radius", "0", "--step", "1/4"), "radius 0"),
        (("3", "--radius", "1", "--step", "2"), "step 2"),
        (("3", *SMALL[:4], "--features", "many"), "features 'many'"),
        (("3", *SMALL[:4], "--features", "79"), "at most 78"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("text.png", "text.txt"):
        Path(name).write_text("text")
    np.savez("two.npz", images=np.zeros((2, 4, 4), dtype=np.uint8))
    np.savez("other.npz", other=[1])
    np.save("nan.npy", np.full((4, 4), np.nan))
    np.save("pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    before = sorted(tmp_path.rglob("*"))
    line = refusal(*words, "--graphml", "out.graphml")
    assert told in line and "\n" not in line
    assert sorted(tmp_path.rglob("*")) == before


def test_the_examples_of_its_help_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = CliRunner().invoke(command, ["--help"]).stdout
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("relrob ")]
    assert len(lines) == 2
    for line in lines:
        assert "complete, covering" in invoke(*shlex.split(line)[2:]).stdout
    assert {path.name for path in tmp_path.iterdir()} == {"3.graphml", "3.png"}


def test_a_ladder_that_is_not_covering_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = Knapsack.masks
    monkeypatch.setattr(Knapsack, "masks", lambda self, start, stop: masks(self, start, stop)[:-1])
    done = invoke("3", *SMALL)
    assert done.exit_code == 1 and "NOT complete" in done.stdout
