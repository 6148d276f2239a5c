"""The checks of a pair: was the quantised network made from the reference, and is it read right?

Rules, policies and the gate of `relrob audit`. Called, it is `relrob.api.audit.audit`."""

from __future__ import annotations

import sys

from relrob.registry import Door

DOOR = "relrob.api.audit:audit"
sys.modules[__name__].__class__ = Door
