"""An architecture as a Keras model, and as a program that builds the same model."""
