"""Network files: readers, runtimes, emulators of kernels, and enclosures of what runtimes
compute."""
