"""`.onnx` files: read, modelled where every part of them is known, emulated, and run by
onnxruntime."""
