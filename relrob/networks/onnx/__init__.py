"""`.onnx` files: read, modelled where every part of them is known, and told whether their images
may share a batch."""
