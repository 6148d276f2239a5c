"""Proposes perturbed images; never gives a verdict. Called, it is the function
`relrob.api.attacks.attacks`."""

from __future__ import annotations

import sys

from relrob.registry import Door

DOOR = "relrob.api.attacks:attacks"
sys.modules[__name__].__class__ = Door
