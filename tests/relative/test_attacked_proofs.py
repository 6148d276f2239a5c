"""No attack finds an image inside 500 regions that were proved ROBUST, on MNIST: ladders and balls,
float and int8. Hours of one core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import relrob

MANY = ("pgd", "apgd-ce", "hopskipjump", "boundary")
ONCE = ("fgsm", "ifgsm", "ifgm", "apgd-t", "deepfool", "ddn", "cw", "jsma", "square")
ATTACKS = [*(f"{name}:restarts=50" for name in MANY), *ONCE]
REGIONS: dict[str, dict[str, Any]] = {
    "ladder": {"radius": 20, "step": "1/4", "counts": False},
    "linf": {"region": "linf", "radius": "1/255"},
}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["dynamic", "int8"])
@pytest.mark.parametrize("region", REGIONS)
def test_no_attack_finds_an_image_in_a_region_that_is_robust(
    region: str, scheme: str, tmp_path: Path
) -> None:
    """An image there would end the run with AlarmError."""
    asked: dict[str, Any] = {**REGIONS[region], "images": "0:100", "quantise": scheme}
    result = relrob.verify(**asked, attacks=ATTACKS, out=tmp_path / "run")
    attacks = result.summary.attacks
    assert attacks is not None and len(attacks.each) == len(ATTACKS)
    for each in attacks.each:
        inside = [on.inside["ROBUST"] for _, on in each.networks]
        assert sum(one.images for one in inside) >= 125
        assert sum(one.found for one in inside) == 0
        remarks = [words for _, on in each.networks for words, _ in on.remarks]
        assert not any("stopped with an error" in words for words in remarks)
