"""Plan, run, store, resume. Called, it is the function `relrob.api.study.study`."""

from __future__ import annotations

import sys

from relrob.registry import Door

DOOR = "relrob.api.study:study"
sys.modules[__name__].__class__ = Door
