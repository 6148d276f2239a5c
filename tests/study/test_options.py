"""No option is ignored in silence: each is used by a run, or refused by name, in CLI, library and
studies."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click
import pytest

from relrob.cli.verify import command
from relrob.compress.table import QUANTISERS
from relrob.domain.presets import BY_NAME, PRESETS
from relrob.domain.region import KINDS
from relrob.errors import RegionError, UsageError
from relrob.study.options import USES, filled, idle, spelled
from relrob.study.region import region_of
from relrob.study.request import Request, asked_with, request_of
from relrob.study.spec import read_spec

_BALLS = ("l1", "l2", "linf", "l0")
_ALL = ("ladder", "search", "lattice", *_BALLS)
# A value for each option, another than its default, and the regions that use it where the user
# gives both networks: written down here from docs/regions.md, not from the table.
EXPECTED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "step": ("1/4", ("ladder", "search", "lattice")),
    "dataset": ("mine.npz", _ALL),
    "split": ("train", _ALL),
    "images": ("0:3", _ALL),
    "quantise": ("qdq", ()),
    "runtime": ("builtin", _ALL),
    "reference_runtime": ("real", _ALL),
    "layout": ("chw", _ALL),
    "features": ("7", ("ladder",)),
    "axes": (3, ("ladder", "search")),
    "grid": ("8bit", ("ladder", "search", "lattice")),
    "seed": (1, ("search",)),
    "evaluations": (9, ("search",)),
    "rollouts": (2, ("search",)),
    "strict_radius": (True, ("search",)),
    "include_misclassified": (True, ("search",)),
    "repick": (True, ("search",)),
    "effective": ("all", ("ladder", "search")),
    "solver": ("branch", tuple(kind for kind in _ALL if kind != "search")),
    "time_limit": (2.0, tuple(kind for kind in _ALL if kind != "search")),
    "counts": (False, ("ladder",)),
    "certificates": (True, ("ladder", "lattice", "l1", "linf", "l0")),
    "attacks": ("fgsm", tuple(kind for kind in _ALL if kind != "search")),
    "memory": (1.0, _ALL),
    "classes": ("names.txt", _ALL),
    "labels": ("reference", _ALL),
    "range": ("-1:1", _ALL),
    "images_layout": ("chw", _ALL),
    "input_scale": ("255", _ALL),
    "mean": ("0.5", _ALL),
    "std": ("0.25", _ALL),
    "channels": ("bgr", _ALL),
    "output": ("scores", _ALL),
    "export": ("q.smt2", ("ladder", "lattice", "l1", "linf")),
}
BESIDE = ("export",)
FILES = {"reference": "a.onnx", "quantised": "b.onnx"}


def asked(region: str, **more: Any) -> Request:
    steps = {"step": "1/4"} if region in ("ladder", "search", "lattice") else {}
    beside = {name: more.pop(name) for name in BESIDE if name in more}
    options = {"radius": "3", "region": region, **steps, **FILES, **more}
    return asked_with(options, beside)


@pytest.mark.parametrize("region", _ALL)
@pytest.mark.parametrize("option", EXPECTED)
def test_each_option_is_used_or_refused(option: str, region: str) -> None:
    value, users = EXPECTED[option]
    if region in users:
        asked(region, **{option: value})
        return
    with pytest.raises(UsageError) as told:
        asked(region, **{option: value})
    assert str(told.value).startswith(f"{spelled(option, value)} has no effect with ")
    assert str(told.value).endswith(f"try: leave out {spelled(option, value)}")


def test_all_options_of_one_reason_are_named_in_one_line() -> None:
    with pytest.raises(UsageError) as told:
        asked("linf", step="1/4", features="5", counts=False, quantise="qdq")
    names = "--step, --features, --no-counts"
    assert str(told.value) == (f"{names} have no effect with region linf; try: leave out {names}")


def test_every_option_has_an_entry() -> None:
    """A new option cannot be silent: it stands in the table, and above."""
    own = {field.name for field in fields(Request)}
    shown = {param.name for param in command.params if isinstance(param, click.Option)}
    shared = {"as_json", "quiet", "verbose"}
    assert set(USES) == own | (shown - shared)
    assert own - {"radius", "region", *FILES} == set(EXPECTED) - set(BESIDE)
    assert set(_ALL) == set(KINDS)


def test_what_was_not_given_is_not_refused() -> None:
    """None stands for the default, a flag that is down for no flag; defaults are no options."""
    asked("linf", step=None, effective=None, strict_radius=False, certificates=False, rollouts=None)
    assert request_of(3, None, "a.onnx", "b.onnx", {"region": "linf", "step": None}).step is None


MORE: list[tuple[dict[str, Any], str]] = [
    ({"quantised": None, "quantise": "dynamic", "seed": 1}, "--seed .* scheme dynamic"),
    ({"quantised": None, "quantise": "int8", "seed": 1}, ""),
    ({"quantised": None, "quantise": "int8"}, ""),
    ({"counts": False, "effective": "all"}, "--effective has no effect with --no-counts"),
    ({"solver": "smt", "effective": "all"}, "--effective .* solver smt"),
    ({"solver": "milp", "counts": True}, "--counts .* solver milp, which never counts"),
    ({"attacks": "fgsm", "seed": 1}, ""),
    ({"solver": "enumerate", "counts": False}, ""),
    ({"solver": "enumerate", "certificates": True}, "--certificates .* solver enumerate"),
    ({"solver": "smt", "certificates": True}, "--certificates .* solver smt, whose proofs have no"),
    *(({"solver": each, "certificates": True}, "") for each in ("auto", "bounds", "branch")),
    *(({"solver": each, "counts": True}, "") for each in ("auto", "bounds", "branch")),
    ({"reference": None, "quantised": None, "memory": 1.0}, "--memory .* come with relrob"),
    ({"reference": None, "quantised": None, "memory": 1.0, "dataset": "mine.npz"}, ""),
    ({"quantised": None, "memory": 1.0}, ""),
]


@pytest.mark.parametrize(("more", "words"), MORE, ids=[str(more) for more, _ in MORE])
def test_options_that_hang_on_others(more: dict[str, Any], words: str) -> None:
    if not words:
        asked("ladder", **more)
        return
    with pytest.raises(UsageError, match=words):
        asked("ladder", **more)


def test_a_seed_is_used_where_a_scheme_draws() -> None:
    for entry in QUANTISERS:
        scheme = entry.example or entry.name
        given = {**vars(Request("1")), "quantise": scheme}
        assert (idle("seed", given) == "") is entry.calibrated


def test_a_search_of_nothing_is_no_search() -> None:
    with pytest.raises(RegionError, match="evaluations 0"):
        region_of(asked("search", evaluations=0))


def test_certificates_say_why_not() -> None:
    with pytest.raises(UsageError, match="region search, which proves nothing"):
        asked("search", certificates=True)
    with pytest.raises(UsageError, match="l2, for which there are no rules"):
        asked("l2", certificates=True)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_the_region_that_its_name_says(preset: Any) -> None:
    named = region_of(asked_with({"region": preset.name}))
    assert named.kind == preset.kind
    typed = region_of(asked_with({"region": preset.kind, **dict(preset.options)}))
    assert named == typed
    kind, _, levels = preset.name.partition("-")
    if kind == "linf":
        assert str(named.radius * 255) == levels


def test_presets_take_what_agrees_and_refuse_the_rest() -> None:
    assert asked_with({"region": "linf-8", "radius": "8lv"}).radius == "8/255"
    assert asked_with({"region": "ladder-paper", "radius": "20.0", "axes": 10}).step == "1/4"
    for more in ({"radius": "4lv"}, {"radius": "x"}, {"radius": "0.0314"}):
        with pytest.raises(UsageError, match=r"--radius .* with --region linf-8, whose is 8/255"):
            asked_with({"region": "linf-8", **more})
    with pytest.raises(UsageError, match=r"--axes 5 with --region ladder-paper, whose is 10"):
        asked_with({"region": "ladder-paper", "axes": 5})
    with pytest.raises(UsageError, match="--step has no effect with region linf"):
        asked_with({"region": "linf-8", "step": "1/4"})
    with pytest.raises(UsageError, match=r"without --radius; accepted: .*linf-8"):
        asked_with({"region": "linf"})
    assert filled({"region": "cone"}) == {"region": "cone"}
    assert not set(BY_NAME) & set(KINDS)


GRID = '[[grid]]\nname = "a"\nradius = "1"\nregion = ["ladder", "linf"]\n'


def test_a_study_refuses_by_name_what_a_cell_does_not_use() -> None:
    with pytest.raises(UsageError, match=r"study s, a: --step has no effect with region linf"):
        read_spec("s", f'{GRID}step = "1/4"\n', {}, {})
    both = '[defaults]\nrollouts = 3\n[[grid]]\nregion = "linf-4"\n'
    with pytest.raises(UsageError, match=r"study s, grid 1: --rollouts has no effect"):
        read_spec("s", both, {}, {})


def test_presets_in_studies_are_filled_in() -> None:
    spec = read_spec("s", '[[grid]]\nregion = ["linf-4", "ladder-paper"]\n', {}, {})
    assert [cell.options["radius"] for cell in spec.cells] == ["4/255", "20"]
    assert [cell.options["region"] for cell in spec.cells] == ["linf", "ladder"]
    with pytest.raises(UsageError, match="grid 1: no radius"):
        read_spec("s", '[[grid]]\nregion = ["linf-4", "linf"]\n', {}, {})
    with pytest.raises(UsageError, match="grid 1: --radius 1 with --region linf-4"):
        read_spec("s", '[[grid]]\nregion = "linf-4"\nradius = "1"\n', {}, {})


def test_changes_go_to_the_cells_that_use_them() -> None:
    text = '[[grid]]\nradius = "1"\nstep = "1/4"\nregion = ["ladder", "search"]\n'
    spec = read_spec("s", text, {"time_limit": 2.0, "images": "0:2"}, {})
    assert [cell.options.get("time_limit") for cell in spec.cells] == [2.0, None]
    assert {cell.options["images"] for cell in spec.cells} == {"0:2"}
    only = text.replace('["ladder", "search"]', '"search"')
    with pytest.raises(UsageError, match="--time-limit has no effect on any of its runs"):
        read_spec("s", only, {"time_limit": 2.0}, {})
