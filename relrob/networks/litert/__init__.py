"""`.tflite` files: one strict reading, the kernel that runs each operator, bounds, and the runtime
itself."""
