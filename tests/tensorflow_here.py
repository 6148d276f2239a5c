"""The one module of the tests that imports TensorFlow; others reach it through
`relrob.registry.load`."""

from __future__ import annotations

import keras as keras
import tensorflow as tensorflow
