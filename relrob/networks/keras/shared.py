"""Layers that a Functional model calls more than once, each call as a layer of its own."""

from __future__ import annotations

from dataclasses import replace

from relrob.networks.keras.calls import Call
from relrob.networks.keras.config import LayerConfig, Model


def called_once(model: Model) -> Model:
    """The model with a layer for each call, of the same position and settings. The first keeps the
    name of the layer, the others are "NAME, call 2" and so on."""
    shared = {layer.name for layer in model.layers if len(layer.calls) > 1}
    if not model.graph or not shared:
        return model

    def wired(call: Call) -> Call:
        feeds = (
            replace(feed, layer=_named(feed.layer, feed.call), call=0)
            if feed.layer in shared
            else feed
            for feed in call.feeds
        )
        return replace(call, feeds=tuple(feeds))

    def apart(layer: LayerConfig) -> list[LayerConfig]:
        calls = [wired(call) for call in layer.calls]
        if len(calls) < 2:
            return [replace(layer, calls=tuple(calls))]
        return [
            replace(layer, name=_named(layer.name, number), calls=(call,))
            for number, call in enumerate(calls)
        ]

    return replace(model, layers=tuple(each for layer in model.layers for each in apart(layer)))


def _named(layer: str, call: int) -> str:
    return f"{layer}, call {call + 1}" if call else layer
