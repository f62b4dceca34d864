"""Constants that an architecture does not specify, shared by the Keras model and its source text."""

BATCH_NORM_MOMENTUM = 0.9  # Keras's default of 0.99 needs hundreds of steps before validation means anything
L2_EPSILON = 1e-12  # keeps the gradient of the square root finite at 0
SLOPE = 0.1  # of leaky_relu below 0
_RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu")


def initializer(activation: str) -> str:
    """Return the name of the Keras initializer that keeps the variance of the signal under this activation.

    He et al. (2015) for the rectifiers, LeCun's for selu (Klambauer et al., 2017), else Glorot and Bengio (2010).
    """
    if activation in _RECTIFIERS:
        return "he_normal"
    return "lecun_normal" if activation == "selu" else "glorot_uniform"
