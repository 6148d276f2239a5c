"""The configuration of a run as text, which its digest is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def canonical(config: Mapping[str, Any]) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN.

    >>> canonical({"step": 0.25, "radius": 20})
    '{"radius":20,"step":0.25}'
    """
    return json.dumps(
        config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
