"""What the system provides: files, locks, processes, cores, GPUs, Keras's backend, addresses."""
