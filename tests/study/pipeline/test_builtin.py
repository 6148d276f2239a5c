"""The studies of stages that come with relrob: every stage can be, and every group that a claim
reads is there."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from relrob.errors import UsageError
from relrob.report.study import claims_matachana, claims_shrestha, claims_zhao
from relrob.report.study.stage_rows import Rows
from relrob.study.pipeline.spec import Pipeline, is_pipeline, read_pipeline
from relrob.study.spec import builtin, parsed
from tests.support import ROOT

NAMES = [name for name, text in builtin().items() if is_pipeline(parsed(name, text))]
CLAIMS = {
    "zhao2018": claims_zhao,
    "matachana2020": claims_matachana,
    "shrestha2024": claims_shrestha,
}


def test_the_three_studies_are_there() -> None:
    assert NAMES == ["matachana2020", "shrestha2024", "zhao2018"]


@pytest.mark.parametrize("profile", ["quick", "full"])
@pytest.mark.parametrize("name", NAMES)
def test_every_stage_of_both_profiles_can_be(name: str, profile: str) -> None:
    pipeline = read_pipeline(name, builtin()[name], profile)
    assert pipeline.report == name
    done: set[str] = set()
    for stage in pipeline.stages:
        assert set(stage.links.values()) <= done
        done.add(stage.digest)


class Told(dict[str, Any]):
    """Groups that remember which of them were asked for."""

    def __init__(self, groups: dict[str, Any]) -> None:
        super().__init__(groups)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def rows_like(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    """A row for each stage, with every metric that claims read, a little different each."""
    metrics = (
        *("adversarial_accuracy", "evasion_rate", "targeted_rate", "transfer_rate"),
        *("l0", "l2", "unrecognisable", "weights_zero", "weights_largest", "activations_largest"),
    )
    counts = {"images": 10_000, "samples": 100, "success": 50, "unrecognisable_in_top_2": 25}
    found: dict[str, list[dict[str, Any]]] = {}
    for number, stage in enumerate(pipeline.stages):
        before = found.setdefault(stage.group, [])
        value = 0.5 + 1e-6 * number
        row = {**counts, **stage.axes, **dict.fromkeys(metrics, value)}
        sparse = str(stage.axes.get("compress", "")).startswith(("surgery:0.0", "sfp"))
        before.append({**row, "accuracy": 0.5 if sparse else 0.99})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_claims_read_groups_that_the_study_has(name: str) -> None:
    pipeline = read_pipeline(name, builtin()[name], "quick")
    groups = Told(rows_like(pipeline))
    judged = CLAIMS[name].claims(Rows(groups))
    assert groups.asked <= set(pipeline.groups)
    lacking = [claim.says for claim in judged if claim.why.startswith("no rows")]
    assert lacking == []


def test_the_example_of_the_document_is_a_study() -> None:
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    assert read_pipeline("own", example).groups == ("dense", "pruned", "pgd", "to-dense")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('attack = "pgd:eps=0.1"', 'attack = "pdg:eps=0.1"', "pgd: attack 'pdg'"),
        ('attack = "pgd:eps=0.1"', 'attack = "pgd:epz=0.1"', "no parameter 'epz'"),
        ('arch = "lenet5"', 'arch = "lenet6"', "dense: architecture 'lenet6'"),
        ("surgery:0.1", "surgery:7", "pruned: compression 'surgery:7'"),
        ("images = 1000", "images = 0", "pgd: images 0"),
        ("images = 1000", 'select = "some"', "pgd: select 'some'"),
        ("images = 1000", 'dataset = "my.npz"', "pgd: dataset 'my.npz'"),
    ],
)
def test_a_mistake_is_told_before_the_first_stage(old: str, new: str, says: str) -> None:
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    assert old in example
    with pytest.raises(UsageError) as caught:
        read_pipeline("own", example.replace(old, new))
    assert says in str(caught.value)


def test_reading_a_study_imports_neither_keras_nor_matplotlib() -> None:
    code = (
        "import sys; from relrob.study.pipeline.spec import read_pipeline;"
        "from relrob.study.spec import builtin;"
        "read_pipeline('zhao2018', builtin()['zhao2018']);"
        "print(sorted({'keras', 'tensorflow', 'matplotlib', 'art'} & set(sys.modules)))"
    )
    path = ":".join(str(ROOT / part) for part in ("", "solvers", "datasets"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": path},
    )
    assert done.stdout.strip() == "[]", done.stderr
