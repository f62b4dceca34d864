"""What the machine gives: files, locks, processes, cores, GPUs, Keras's backend, addresses."""
