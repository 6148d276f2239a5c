"""The layers of two networks, one beside the other: by shape, by their weights and by their places
in the graph, never by name."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Final

import numpy as np

from relrob.audit.ancestry import Places, parents
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.standing import left_in, undone, written
from relrob.domain.arrays import Doubles, Ints
from relrob.networks.folds import forms, handed_on, taken
from relrob.networks.weighted import Affine, NotReadError, Weighted

# Cosines: of weights that were quantised, and of two networks that have nothing to do with another.
ALIKE: Final = 0.9
UNLIKE: Final = 0.5
# Another order of a layer's inputs is taken where it leaves less than this share of the difference.
_BETTER: Final = 0.25
_DIGITS: Final = 9


@dataclass(frozen=True, eq=False)
class Match:
    """A layer of the reference and the one of the quantised network that stands for it.

    `quantised` has its inputs in the order of `reference`. `view`: the order that its file has, ""
    for the same, "chw" or "hwc" where the quantised one reads pixels so and the reference does not,
    "columns" where one reads them column by column, "bgr" where they differ in the order of the
    channels. `place`: its number among the layers of
    the quantised network; `partner`: the number at which its weights were expected. `outputs`: the
    class of the reference that each output of a last layer stands for, None where the order is the
    same. `moved`: are the columns in another order? `told`: is what it leaves undone told already,
    of a layer that reads the same?
    """

    reference: Weighted
    quantised: Weighted
    place: int
    partner: int
    view: str = ""
    outputs: tuple[int, ...] | None = None
    moved: bool = False
    told: bool = False

    @property
    def undone(self) -> tuple[Affine, ...]:
        """The reference's steps that the quantised network makes nowhere, or otherwise; those
        before columns in another order are not compared."""
        return () if self.moved or self.told else undone(self.reference, self.quantised)

    @cached_property
    def cosine(self) -> float:
        """Of the angle between the weights."""
        return cosine(self.reference.values, self.quantised.values)

    @property
    def swapped(self) -> bool:
        """Do the weights stand where another layer is?"""
        return self.place != self.partner


def cosine(one: Doubles, other: Doubles) -> float:
    """Of the angle between two arrays; 1 for two that are 0, 0 where one is."""
    size = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if not min(size):
        return float(max(size) == 0)
    return float(np.clip(np.vdot(one / size[0], other / size[1]), -1.0, 1.0))


def matched(
    reference: Sequence[Weighted],
    quantised: Sequence[Weighted],
    image_shape: tuple[int, int, int],
) -> tuple[Match, ...]:
    """The layers side by side, in the order of the quantised network. Raises NotReadError where no
    match is sure."""
    shapes = [layer.shape for layer in reference], [layer.shape for layer in quantised]
    if Counter(shapes[0]) != Counter(shapes[1]):
        raise NotReadError(
            f"the layers differ: the reference has {_told(shapes[0])}, the quantised network "
            f"{_told(shapes[1])}"
        )
    found = _placed(reference, quantised, image_shape)
    _hand_on(found, reference, quantised, image_shape)
    told = list(_said_once(sorted(found.values(), key=lambda match: match.place)))
    return (*told[:-1], _with_classes(told[-1]))


def foreign(
    reference: Sequence[Weighted],
    quantised: Sequence[Weighted],
    image_shape: tuple[int, int, int],
) -> tuple[Diagnosis, ...]:
    """The diagnosis of networks of different layers none of which resembles another."""
    shapes = [layer.shape for layer in reference], [layer.shape for layer in quantised]
    if not all(shapes) or Counter(shapes[0]) == Counter(shapes[1]):
        return ()
    best = max(
        (
            _viewed(reference, layer, number, 0, image_shape).cosine
            for layer in quantised
            for number, ours in enumerate(reference)
            if ours.shape == layer.shape
        ),
        default=0.0,
    )
    if best >= UNLIKE:
        return ()
    return (
        Diagnosis(
            "another-network",
            f"the reference has the layers {_told(shapes[0])}, the quantised network "
            f"{_told(shapes[1])}, and no two of them hold weights that resemble each other",
            {"largest_cosine": round(best, 4)},
            "quantise this reference, or name the reference of this file",
        ),
    )


def _told(shapes: list[tuple[int, int]]) -> str:
    return ", ".join(f"{fan}x{out}" for out, fan in shapes)


def _placed(
    reference: Sequence[Weighted],
    quantised: Sequence[Weighted],
    image_shape: tuple[int, int, int],
) -> dict[int, Match]:
    """The matches, by their number in the reference: layers of one shape in order, unless their
    weights or the graph plainly ask for another."""
    last = len(quantised) - 1

    @cache
    def viewed(place: int, number: int) -> Match:
        return _viewed(reference, quantised[place], number, place, image_shape, last=place == last)

    order = [0] * len(quantised)
    for shape in {layer.shape for layer in quantised}:
        ours, theirs = (
            [number for number, layer in enumerate(layers) if layer.shape == shape]
            for layers in (reference, quantised)
        )
        for place, number in _by_weights(ours, theirs, viewed):
            order[place] = number

    def sure(place: int) -> bool:
        return viewed(place, order[place]).cosine >= UNLIKE

    def free(one: int, other: int) -> bool:
        if not sure(one) and not sure(other):
            return True
        exchanged = viewed(one, order[other]), viewed(other, order[one])
        return all(match.cosine > ALIKE for match in exchanged)

    places = Places(reference, quantised)
    order = places.settled(order, free)
    partners = {number: place for place, number in enumerate(places.expected(order, sure))}
    return {
        number: replace(viewed(place, number), partner=partners[number])
        for place, number in enumerate(order)
    }


def _by_weights(
    ours: list[int], theirs: list[int], viewed: Callable[[int, int], Match]
) -> Iterator[tuple[int, int]]:
    """The place and the number of each layer of one shape: in order, but for those that hold the
    weights of others, none of which stands in order."""
    pairs = list(zip(theirs, ours, strict=True))
    lost = [pair for pair in pairs if viewed(*pair).cosine < ALIKE]
    yield from (pair for pair in pairs if pair not in lost)
    places, numbers = ([pair[side] for pair in lost] for side in (0, 1))
    found = sorted(
        ((viewed(*pair).cosine, *pair) for pair in itertools.product(places, numbers)), reverse=True
    )
    for likeness, place, number in found:
        if likeness > ALIKE and place in places and number in numbers:
            places.remove(place)
            numbers.remove(number)
            yield place, number
    yield from zip(places, numbers, strict=True)


def _viewed(
    reference: Sequence[Weighted],
    quantised: Weighted,
    number: int,
    place: int,
    image_shape: tuple[int, int, int],
    *,
    last: bool = False,
) -> Match:
    """The match of two layers in the form, and in the order of inputs, that fits best."""
    matches = [
        _in_order(Match(ours, quantised, place, place), reference, number, image_shape)
        for ours in written(reference[number], quantised)
    ]
    if len(matches) == 1:
        return matches[0]
    return min(matches, key=lambda match: _distance(match, last=last))


def _hand_on(
    found: dict[int, Match],
    reference: Sequence[Weighted],
    quantised: Sequence[Weighted],
    image_shape: tuple[int, int, int],
) -> None:
    """Of two layers with no activation between them the first may have handed its bias, or what
    stands behind it, on to the second: where both fit better so, they are compared so. What is in
    neither, or in both, is in no form of the pair.

    `found`: the matches by the number of the reference's layer, which are changed.
    """
    layers, feeders = list(reference), {layer.feeder for layer in reference}

    def nearest(number: int, made: Iterable[Weighted]) -> tuple[tuple[float, float], Match]:
        old = found[number]
        start = replace(old, quantised=quantised[old.place], view="", moved=False)
        told = (
            _in_order(replace(start, reference=each), layers, number, image_shape) for each in made
        )
        last = old.place == len(quantised) - 1
        return min(((_distance(each, last=last), each) for each in told), key=lambda pair: pair[0])

    def left(number: int, layer: Weighted) -> Weighted:
        return left_in(layer, quantised[found[number].place])

    def fed(number: int, layer: Weighted) -> tuple[tuple[float, float], Match]:
        """The match as the layer is written, and its distance where the layer hands on."""
        own = left(number, layer)
        far, match = nearest(number, forms(own))
        for form, _ in handed_on(own) if number in feeders else ():
            far = min(far, nearest(number, [form])[0])
        return far, match

    for number, layer in enumerate(reference):
        giver = layer.feeder
        if giver is None:
            continue
        far, match = fed(number, layer)
        least = _both(_distance(found[giver], last=False), far)
        chosen = found[giver], match, layer
        for form, step in handed_on(left(giver, layers[giver])):
            taking = taken(layer, step)
            if taking is None:
                continue
            given, giving = nearest(giver, [form])
            far, match = fed(number, taking)
            far = _both(given, far)
            if far < least:
                least, chosen = far, (giving, match, taking)
        found[giver], found[number], layers[number] = chosen


def _both(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The distance of two layers."""
    return one[0] + other[0], one[1] + other[1]


def _distance(match: Match, *, last: bool) -> tuple[float, float]:
    """Of the weights of most outputs, as a share of the quantised ones, and of their biases, which
    tell forms with equal weights apart. Classes of a last layer may stand in another order."""
    told = _with_classes(match) if last else match
    ours, theirs = told.reference, told.quantised
    zeros = np.zeros(ours.shape[0])
    one, other = (zeros if layer.bias is None else layer.bias for layer in (ours, theirs))
    far = np.median(np.linalg.norm(ours.values - theirs.values, axis=1))
    whole = np.median(np.linalg.norm(theirs.values, axis=1))
    # Forms of equal weights differ in the last bits of float64.
    share = round(float(far / max(whole, 1e-30)), _DIGITS)
    return share, float(np.median(np.abs(one - other)))


def _in_order(
    plain: Match, reference: Sequence[Weighted], number: int, image_shape: tuple[int, int, int]
) -> Match:
    """The match in the order of inputs that fits best."""
    quantised, lost = plain.quantised, 1 - plain.cosine
    for view, columns in _views(reference, number, image_shape):
        turned = quantised.reordered(columns)
        match = replace(plain, quantised=turned, view=view, moved=True)
        if match.cosine > ALIKE and 1 - match.cosine < _BETTER * lost:
            plain, lost = match, 1 - match.cosine
    return plain


def _views(
    reference: Sequence[Weighted], number: int, image_shape: tuple[int, int, int]
) -> Iterator[tuple[str, Ints]]:
    """Orders of the inputs of a layer that a file may have, by name; "" for one that its graph may
    make good."""
    layer = reference[number]
    _, fan = layer.shape
    height, width, channels = image_shape
    if layer.depth == 1:
        yield from _sideways(layer, image_shape)
    if layer.depth == 1 and channels > 1:
        if layer.kind != "dense" and layer.window[-1] == channels:
            yield "bgr", np.arange(fan).reshape(-1, channels)[:, ::-1].ravel()
        if layer.kind == "dense" and fan == height * width * channels:
            yield "chw", np.arange(fan).reshape(channels, -1).T.ravel()
            yield "hwc", np.arange(fan).reshape(-1, channels).T.ravel()
            yield "bgr", np.arange(fan).reshape(-1, channels)[:, ::-1].ravel()
        return
    before = parents(reference, number)
    if layer.kind != "dense" or any(each.kind == "dense" for each in before):
        return
    counts = [each.shape[0] for each in before]
    for features in dict.fromkeys([*counts, sum(counts)]):
        if 1 < features < fan and not fan % features:
            yield "", np.arange(fan).reshape(features, -1).T.ravel()
            yield "", np.arange(fan).reshape(-1, features).T.ravel()


def _sideways(layer: Weighted, image_shape: tuple[int, int, int]) -> Iterator[tuple[str, Ints]]:
    """The order of a layer that reads an image column by column, where its sides are equal."""
    sides = layer.window if layer.kind != "dense" else image_shape
    if len(sides) == 3 and sides[0] == sides[1] > 1 and layer.shape[1] == np.prod(sides):
        order = np.arange(layer.shape[1]).reshape(sides)
        yield "columns", np.ascontiguousarray(order.transpose(1, 0, 2)).ravel()


def _said_once(matches: Iterable[Match]) -> Iterator[Match]:
    """The matches, each `told` where a step that it leaves undone feeds one before it as well."""
    seen: list[tuple[frozenset[int], list[Doubles]]] = []
    for match in matches:
        reads, steps = match.quantised.ancestors, [_numbers(step) for step in match.undone]
        same = steps and any(reads == other and _same(steps, told) for other, told in seen)
        yield replace(match, told=True) if same else match
        seen.append((reads, steps))


def _numbers(step: Affine) -> Doubles:
    """The different pairs of a factor and a shift, in order."""
    factor, shift = (each.ravel() for each in np.broadcast_arrays(*step))
    found: Doubles = np.unique(np.stack([factor, shift]), axis=1)
    return found


def _same(one: list[Doubles], other: list[Doubles]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _with_classes(last: Match) -> Match:
    """The last layer with its outputs in the order of the reference's, where they are the same in
    another order."""
    ours, theirs = _unit_rows(last.reference.values), _unit_rows(last.quantised.values)
    table = theirs @ ours.T
    # The class of each output.
    stands = np.argmax(table, axis=1)
    rows = np.arange(len(table))
    moved = stands != rows
    if not moved.any() or len(set(stands.tolist())) != len(rows):
        return last
    if not (table[rows, stands] > ALIKE).all():
        return last
    return replace(
        last,
        quantised=last.quantised.with_outputs(np.argsort(stands)),
        outputs=tuple(int(each) for each in stands),
    )


def _unit_rows(values: Doubles) -> Doubles:
    rows: Doubles = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-30)
    return rows
