"""Batch normalisation in training by TensorFlow's fused operation: the same layer, with steps about a quarter faster.

Keras normalises in a dozen elementary operations, each of which reads and writes the whole volume; on a CPU that is
most of the time of a small network's step, apart from its convolutions. TensorFlow has one operation for all of them
(`tf.nn.fused_batch_norm`), forward and backward. Weights, names and results stay those of the stock layer, so that what
is saved loads into stock layers. With another backend, or in half precision, it is the stock layer.
"""

from typing import Any

import keras


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer (Ioffe and Szegedy, 2015), normalising the last axis of a volume (batch, height, width, depth).

    It has the name of Keras's class, because Keras saves a layer's weights under the name of its class.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the volume normalised: by its own mean and variance in training, else by the moving ones."""
        plain = self.compute_dtype == "float32" and len(inputs.shape) == 4 and mask is None
        if keras.backend.backend() != "tensorflow" or not plain or not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        # The operation returns the unbiased estimate of the variance; Keras uses the variance of the batch itself.
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], variance.dtype)
        variance *= (count - 1) / count
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + found * (1 - self.momentum))
        return outputs
