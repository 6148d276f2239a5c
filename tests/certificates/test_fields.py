"""Every field of a certificate is checked, and networks are looked for in order.

Wrong types and values get one line.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.certificates.checking.check import check
from relrob.certificates.checking.entries import InvalidError, fraction, pixels
from relrob.certificates.checking.ladder import Rebuilt, Subsets
from relrob.certificates.checking.named import _beside
from relrob.certificates.form import FORMAT, canonical, chain, seal
from relrob.domain.region import Ladder
from relrob.errors import CertificateError, NetworkError
from relrob.regions.ladder import rung_set
from tests.certificate_cases import Small, document, small_in


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_in(tmp_path_factory.mktemp("small"))


Change = Callable[[dict[str, Any]], object]
WRONG: dict[str, tuple[Change, str]] = {
    "a label that is true": (lambda c: c.update(label=True), "a label that is no number"),
    "a label of -1": (lambda c: c.update(label=-1), "does not fit the network"),
    "a label too far": (lambda c: c.update(label=3), "does not fit the network"),
    "another role": (lambda c: c.update(role="both"), "neither reference nor quantised"),
    "an entry less": (
        lambda c: c.pop("gap"),
        "the certificate does not have the entries format, role",
    ),
    "a region that is a list": (
        lambda c: c.update(region=[]),
        "the region does not have the entries kind, radius",
    ),
    "another kind of region": (lambda c: c["region"].update(kind="ball"), "no ladder"),
    "a step above 1": (lambda c: c["region"].update(step="101/100"), "no ladder"),
    "a step of -1": (
        lambda c: c["region"].update(step="-1"),
        "step '-1' is not an exact fraction above 0",
    ),
    "a step that is a number": (lambda c: c["region"].update(step=0.5), "step 0.5 is not an exact"),
    "a radius by 0": (lambda c: c["region"].update(radius="1/0"), "radius '1/0' is not"),
    "no features": (lambda c: c["region"].update(features=0), "no ladder"),
    "features that are true": (lambda c: c["region"].update(features=True), "no ladder"),
    "axes of 2.0": (lambda c: c["region"].update(axes=2.0), "no ladder"),
    "3 features of 2 pixels": (
        lambda c: c["region"].update(features=3),
        "more features than the image",
    ),
    "an image that is text": (
        lambda c: c.update(image="0a"),
        "the image does not have the entries dtype, hex",
    ),
    "half a byte": (lambda c: c["image"].update(hex="0"), "not in hexadecimal"),
    "hex that is a number": (lambda c: c["image"].update(hex=7), "not in hexadecimal"),
    "an empty image": (lambda c: c["image"].update(hex=""), "neither uint8 nor float32"),
    "another type of pixel": (
        lambda c: c["image"].update(dtype="int8"),
        "neither uint8 nor float32",
    ),
    "a shape of two": (
        lambda c: c["network"].update(image_shape=[2, 2]),
        "not (height, width, channels)",
    ),
    "a shape that is text": (
        lambda c: c["network"].update(image_shape="221"),
        "not (height, width, channels)",
    ),
    "a shape with 0": (
        lambda c: c["network"].update(image_shape=[0, 2, 2]),
        "not (height, width, channels)",
    ),
    "a shape of true": (
        lambda c: c["network"].update(image_shape=[2, 2, True]),
        "not (height, width, channels)",
    ),
    "a shape of other pixels": (
        lambda c: c["network"].update(image_shape=[2, 1, 1]),
        "does not fit the network",
    ),
    "classes that are text": (
        lambda c: c["network"].update(classes="3"),
        "does not fit the network",
    ),
    "a file that is a number": (
        lambda c: c["network"].update(file=1),
        "whose description is not text",
    ),
    "no layout": (
        lambda c: c["network"].pop("layout"),
        "the network does not have the entries file, sha256",
    ),
    "leaves that are an object": (lambda c: c.update(leaves={}), "leaves that are not a list"),
    "a leaf that is a number": (
        lambda c: c["leaves"].__setitem__(0, 1),
        "a leaf does not have the entries path, run",
    ),
    "a leaf of both sorts": (
        lambda c: c["leaves"][0].update(bound={}),
        "a leaf does not have the entries path, bound",
    ),
    "a path that is text": (lambda c: c["leaves"][0].update(path="1"), "does not name features"),
    "a split by 0": (lambda c: c["leaves"][0].update(path=[0]), "does not name features"),
    "a split by feature 3 of 2": (
        lambda c: c["leaves"][0].update(path=[3]),
        "does not name features",
    ),
    "a split by true": (lambda c: c["leaves"][0].update(path=[True]), "does not name features"),
    "a gap of 0": (lambda c: c.update(gap=0), "a gap that is no number"),
    "a gap below 0": (lambda c: c.update(gap=-0.5), "a gap that is no number"),
    "another gap": (lambda c: c.update(gap=0.25), "a gap of 0.25, where this network needs 0.0"),
    "an entry more in a run": (
        lambda c: run(c).update(seed=1),
        "a run does not have the entries points, margin, chain",
    ),
    "no points": (lambda c: run(c).update(points=0), "a run of 0 points"),
    "points that are true": (lambda c: run(c).update(points=True), "a run of True points"),
    "too many points": (lambda c: run(c).update(points=10**7 + 1), "a run of 10000001 points"),
    "a whole margin": (lambda c: run(c).update(margin=0), "a margin that is no finite number"),
    "a chain of capitals": (
        lambda c: run(c).update(chain=run(c)["chain"].upper()),
        "64 hexadecimal digits",
    ),
    "a chain that is a number": (lambda c: run(c).update(chain=1), "64 hexadecimal digits"),
    "a chain too short": (
        lambda c: run(c).update(chain=run(c)["chain"][:-1]),
        "64 hexadecimal digits",
    ),
    "another chain": (lambda c: run(c).update(chain="0" * 64), "the outputs that were recorded"),
    "a margin below 0": (lambda c: run(c).update(margin=-0.5), "with which another label can win"),
    "no details": (
        lambda c: c["network"].pop("details"),
        "the network does not have the entries file, sha256",
    ),
    "details that are a number": (
        lambda c: c["network"].update(details=1),
        "whose description is not text",
    ),
    "a bound that is a number": (
        lambda c: c["leaves"][1].update(bound=1),
        "a bound does not have the entries margin",
    ),
    "slopes that are text": (
        lambda c: bound(c).update(slopes="x"),
        "the slopes of a layer does not have",
    ),
    "slopes of a layer more": (
        lambda c: bound(c).update(slopes=[{"neurons": [], "above": [], "below": []}]),
        "slopes of 1 layers for 0 hidden ones",
    ),
}


def run(content: dict[str, Any]) -> Any:
    return content["leaves"][0]["run"]


def bound(content: dict[str, Any]) -> Any:
    return content["leaves"][1]["bound"]


@pytest.mark.parametrize("name", WRONG)
def test_a_field_of_another_type_or_value(small: Small, tmp_path: Path, name: str) -> None:
    change, words = WRONG[name]
    content = copy.deepcopy(small.content)
    assert small.outcome(tmp_path, content) == ""
    change(content)
    failure = small.outcome(tmp_path, content)
    assert words in failure, failure
    assert "\n" not in failure


def test_a_gap_is_of_no_use_without_bounds(small: Small, tmp_path: Path) -> None:
    content = copy.deepcopy(small.content)
    content["leaves"] = content["leaves"][:1]
    assert "leave points out" in small.outcome(tmp_path, content)
    content["leaves"][0]["path"], content["gap"] = [], 0.5
    assert "of no use" in small.outcome(tmp_path, content)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no certificate"),
        (b"[]", f"accepted: {FORMAT}"),
        (
            b'{"format":"relrob certificate 3"}\n',
            f"no certificate of this version; accepted: {FORMAT}",
        ),
        (
            b'{"format":NaN}',
            "NaN is not a number; accepted: JSON that relrob wrote; try: copy it again",
        ),
        (b'{"format":-Infinity}', "-Infinity is not a number"),
        (b'{"format":1e999}', "is no certificate"),
        ('{"format":"é"}'.encode(), "is no certificate"),
        (b"\xef\xbb\xbf{}", "is no certificate"),
        (b"[" * 200_000, "is no certificate"),
    ],
)
def test_what_is_no_certificate_gets_one_line(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(data)
    with pytest.raises(CertificateError) as caught:
        check(tmp_path / "c.json")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(
        CertificateError, match=r"cannot read .*No such file.*accepted: a certificate file"
    ):
        check(tmp_path / "absent.json")


def test_the_same_content_in_another_form_fails(small: Small, tmp_path: Path) -> None:
    """The seal is right, the bytes are not the canonical ones."""
    sealed = {**small.content, "seal": seal(small.content)}
    for data in (
        json.dumps(sealed).encode(),
        canonical(sealed)[:-1],
        canonical(sealed).replace(b"{", b'{"seal":"",', 1),
    ):
        (tmp_path / "c.json").write_bytes(data)
        assert "the seal does not fit" in check(tmp_path / "c.json", small.network).failure


def test_a_network_is_looked_for_beside_its_certificate(small: Small, tmp_path: Path) -> None:
    """The role's name in the run directory, the file's own, beside the certificate, and where the
    summary says; in this order."""
    folder, elsewhere = tmp_path / "run" / "certificates", tmp_path / "elsewhere.onnx"
    folder.mkdir(parents=True)
    places = [
        folder.parent / "quantised.onnx",
        folder.parent / "n.onnx",
        folder / "n.onnx",
        elsewhere,
    ]
    (folder.parent / "summary.json").write_text(json.dumps({"quantised": {"path": str(elsewhere)}}))
    for place in places:
        place.write_bytes(small.network.read_bytes())
    (folder / "c.json").write_bytes(canonical({**small.content, "seal": seal(small.content)}))
    for place in places:
        assert _beside(folder / "c.json", "quantised", "../../etc/n.onnx") == place
        assert check(folder / "c.json").valid
        place.unlink()
    for summary in (
        '{"quantised": {"path": "gone.onnx"}}',
        "{}",
        "no JSON",
        '{"quantised": {"path": 3}}',
        "[]",
    ):
        (folder.parent / "summary.json").write_text(summary)
        with pytest.raises(
            CertificateError, match=r"n\.onnx of .* is not beside it; .*try: --network FILE"
        ):
            check(folder / "c.json")
    with pytest.raises(NetworkError, match="no network file at"):
        check(folder / "c.json", tmp_path / "absent.onnx")


@pytest.mark.parametrize("text", ["1", "1/3", "20", "7/255"])
def test_fractions_have_one_spelling(text: str) -> None:
    assert fraction(text, "radius") == Fraction(text)
    for other in (
        f" {text}",
        f"+{text}",
        f"{text}.0",
        f"-{text}",
        f"0{text}",
        text + "e0",
        "2/6",
        "0",
        "",
        None,
        1,
    ):
        with pytest.raises(InvalidError, match=r"radius .* is not an exact fraction above 0"):
            fraction(other, "radius")


def test_pixels_are_exact() -> None:
    exact, base = pixels({"dtype": "uint8", "hex": "00ff33"})
    assert exact == [0, 1, Fraction(1, 5)]
    assert [float(value) for value in base] == np.array([0, 1, 0.2], np.float32).tolist()
    row = np.array([0, 1, 1e-45, 0.1], np.float32)
    exact, base = pixels({"dtype": "float32", "hex": row.astype("<f4").tobytes().hex()})
    assert exact == base == [Fraction(float(value)) for value in row]
    for value in (-1e-45, 1.0000001, np.nan, np.inf):
        with pytest.raises(InvalidError, match=r"outside \[0, 1\]"):
            pixels({"dtype": "float32", "hex": np.array([0, value], np.float32).tobytes().hex()})


@given(st.lists(st.integers(0, 9), max_size=7), st.integers(0, 30))
@settings(max_examples=80, derandomize=True)
def test_subsets_are_listed_in_rank_order(costs: list[int], room: int) -> None:
    every = itertools.product(
        (0, 1), repeat=len(costs)
    )  # binary numbers, the first feature the leading bit
    fitting = [
        tuple(g for g, bit in enumerate(bits) if bit)
        for bits in every
        if sum(cost * bit for cost, bit in zip(costs, bits, strict=True)) <= room
    ]
    assert list(Subsets([Fraction(cost) for cost in costs], Fraction(room))) == fitting


@given(
    st.lists(st.integers(0, 255), min_size=6, max_size=6),
    st.integers(1, 12),
    st.lists(st.sampled_from([-1, 0, 1])),
)
@settings(max_examples=60, derandomize=True)
def test_a_part_holds_the_points_that_its_path_says(
    pixels: list[int], radius: int, signs: list[int]
) -> None:
    """The points of a part, listed with its own features, are those of the whole ladder that took
    the splits of its path."""
    image = np.array(pixels, np.uint8).reshape(2, 3, 1)
    ladder = Rebuilt(
        document(image, rung_set(Ladder(Fraction(radius, 8), Fraction(1, 4), 3, 2), image))
    )
    path = [sign * (g + 1) for g, sign in enumerate(signs[:3]) if sign]
    whole, _ = ladder.part([])
    taken = {g for g in path if g > 0}
    if sum(ladder.costs[g - 1] for g in taken) > ladder.radius:
        with pytest.raises(InvalidError, match="beyond the radius"):
            ladder.part(path)
        return
    part, free = ladder.part(path)
    mine = {
        frozenset(free[at] + 1 for at in found) | taken for found in Subsets(part.costs, part.room)
    }
    everything = {frozenset(at + 1 for at in found) for found in Subsets(ladder.costs, whole.room)}
    assert mine == {s for s in everything if taken <= s and not s & {-g for g in path if g < 0}}
    assert part.room == ladder.radius - sum(ladder.costs[g - 1] for g in taken)
    for axes, change in zip(part.axes, part.change, strict=True):
        assert all(0 <= part.pixels[a] + c <= 1 for a, c in zip(axes, change, strict=True))
    for g in taken:
        assert [part.pixels[axis] for axis in ladder.axes[g - 1]] == ladder.moved[g - 1]


def test_the_chain_is_the_documented_one() -> None:
    value = hashlib.sha256(b"3,-1").digest()
    for rank, (label, margin) in enumerate([(2, 0.5), (-1, -0.25)]):
        packed = (
            rank.to_bytes(8, "little")
            + label.to_bytes(8, "little", signed=True)
            + struct.pack("<d", margin)
        )
        value = hashlib.sha256(value + packed).digest()
    assert chain([3, -1], [(2, 0.5), (-1, -0.25)]) == value.hex()
    assert chain([], []) == hashlib.sha256(b"").hexdigest()
    assert seal({"a": 1, "seal": "x"}) == seal({"a": 1}) == hashlib.sha256(b'{"a":1}\n').hexdigest()
