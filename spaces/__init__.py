"""What may be built: the space of architectures and recipes, their arithmetic, and the Keras models they stand for."""
