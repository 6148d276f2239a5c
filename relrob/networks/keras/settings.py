"""The settings of Keras layers that are modelled, a closed list: setting by setting, value by
value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from relrob.networks.keras.config import LayerConfig
from relrob.networks.operators import NotDenseError

Rule = Callable[[Any], bool]


def _any(value: Any) -> bool:
    """Any value: the setting changes nothing when a model is asked for its answer."""
    return True


def _one_of(*accepted: Any) -> Rule:
    """One of these, of the same type (True is not 1)."""
    return lambda value: any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in accepted
    )


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wholes(value: Any) -> bool:
    return isinstance(value, list) and all(_whole(one) for one in value)


def _axes(value: Any) -> bool:
    return value is None or _whole(value) or _wholes(value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(value: Any) -> bool:
    """A number, or numbers in lists."""
    return _number(value) or (isinstance(value, list) and all(_numbers(one) for one in value))


def _constants(value: Any) -> bool:
    return value is None or _numbers(value)


def _float32(value: Any) -> bool:
    """The dtype of a layer: float32 for weights and arithmetic, in the form of Keras 3 or 2."""
    if not isinstance(value, dict):
        return value in (None, "float32")
    known = set(value) <= {"module", "class_name", "config", "registered_name", "shared_object_id"}
    policy = value.get("class_name") in ("DTypePolicy", "FloatDTypePolicy", "Policy")
    return known and policy and value.get("config") == {"name": "float32"}


_NONE: Final = _one_of(None)
_IDLE: Final = _one_of(None, False, 0, 0.0)
_SHAPE: Final = dict.fromkeys(
    ("input_shape", "batch_input_shape", "batch_shape", "input_dim"), _any
)
_COMMON: Final[dict[str, Rule]] = {
    "name": _any,
    "trainable": _any,
    "dtype": _float32,
    "input_dtype": _NONE,
    **_SHAPE,
}


def _weights(*names: str) -> dict[str, Rule]:
    """Settings that say how weights start and are kept while training."""
    kinds = ("initializer", "regularizer", "constraint")
    return {f"{name}_{kind}": _any for name in names for kind in kinds}


_ACTIVATION: Final = _one_of(None, "linear", "relu", "softmax", "sigmoid")
_NOISE: Final[dict[str, Rule]] = dict.fromkeys(
    (
        "rate",
        "stddev",
        "seed",
        "noise_shape",
        "data_format",
        "l1",
        "l2",
        "p",
        "sigma",
        "activity_regularizer",
    ),
    _any,
)
KNOWN: Final[dict[str, dict[str, Rule]]] = {
    "InputLayer": {"sparse": _IDLE, "ragged": _IDLE, "optional": _IDLE, "shape": _any},
    "Dense": {
        **{
            "units": _whole,
            "output_dim": _whole,
            "use_bias": _flag,
            "bias": _flag,
            "activation": _ACTIVATION,
        },
        **_weights("kernel", "bias", "W", "b", "activity"),
        **{"init": _any, "lora_rank": _NONE, "lora_alpha": _NONE, "quantization_config": _NONE},
    },
    "Flatten": {"data_format": _one_of(None, "channels_last", "channels_first")},
    "Reshape": {"target_shape": _wholes},
    "Permute": {"dims": _wholes},
    "Activation": {"activation": _one_of("linear", "relu", "softmax", "sigmoid")},
    "ReLU": {"max_value": _NONE, "negative_slope": _one_of(0), "threshold": _one_of(0)},
    "Softmax": {"axis": lambda value: _whole(value) or _wholes(value)},
    "Rescaling": {"scale": _numbers, "offset": _numbers},
    "Normalization": {"axis": _axes, "mean": _constants, "variance": _constants, "invert": _flag},
    "BatchNormalization": {
        **{"axis": lambda value: _whole(value) or (_wholes(value) and len(value) == 1)},
        **{
            "epsilon": _number,
            "center": _flag,
            "scale": _flag,
            "momentum": _any,
            "synchronized": _flag,
        },
        **{"renorm": _IDLE, "renorm_clipping": _any, "renorm_momentum": _any},
        **_weights("beta", "gamma", "moving_mean", "moving_variance"),
    },
    **dict.fromkeys(
        ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"),
        _NOISE,
    ),
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D"), _NOISE),
    "Identity": {},
}


def _told(value: Any) -> str:
    """A value in words. An object that names itself, such as a policy of types, is told by its
    name."""
    inner = value.get("config") if isinstance(value, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return (name if isinstance(name, str) else json.dumps(value))[:60]


def check_settings(layer: LayerConfig) -> None:
    """Raise NotDenseError that names the first setting that is unknown, or of a value that is not
    modelled."""
    rules = KNOWN.get(layer.kind)
    if rules is None:
        raise NotDenseError(layer.kind)
    for name, value in layer.settings.items():
        rule = rules.get(name, _COMMON.get(name))
        if rule is None:
            raise NotDenseError(f"setting {name!r} is not known")
        if not rule(value):
            raise NotDenseError(f"{name} {_told(value)}")
