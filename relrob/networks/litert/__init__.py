"""`.tflite` files: one strict reading, the kernel that runs each operator, bounds, emulators, and
the LiteRT runtime."""
