"""Time of one training step of NCNet x3: ours against plain ways to write it.

The published step (TensorFlow 2, float32) takes part where TensorFlow is installed.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch.nn import functional

from edgesr.bench.timing import Work
from edgesr.models import build_model

PATCH_SIZE = 64
_SCALE = 3


def training_contenders(batch_size: int = 16) -> dict[str, Work]:
    """Return one training step each (forward, L1, backward, Adam) on a batch in memory."""
    contenders: dict[str, Work] = {
        "edgesr: channels last, bfloat16": _torch_step(batch_size, torch.bfloat16, last=True),
        "torch: channels last, float32": _torch_step(batch_size, None, last=True),
        "torch: plain float32": _torch_step(batch_size, None, last=False),
    }
    if find_spec("tensorflow") is not None:
        contenders["tensorflow 2: the published step"] = _tensorflow_step(batch_size)
    return contenders


def _torch_step(batch_size: int, autocast: torch.dtype | None, *, last: bool) -> Work:
    layout = torch.channels_last if last else torch.contiguous_format
    network = build_model("ncnet", _SCALE).train()
    if last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    lr = 255 * torch.rand(batch_size, 3, PATCH_SIZE, PATCH_SIZE)
    hr = 255 * torch.rand(batch_size, 3, PATCH_SIZE * _SCALE, PATCH_SIZE * _SCALE)
    lr, hr = lr.to(memory_format=layout), hr.to(memory_format=layout)

    def step() -> None:
        with torch.autocast("cpu", autocast, enabled=autocast is not None):
            sr = network(lr)
        loss = functional.l1_loss(sr.float(), hr)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _tensorflow_step(batch_size: int) -> Work:
    import tensorflow as tf

    keras: Any = tf.keras
    image = keras.Input((None, None, 3))
    features = image
    for width in (*[32] * 5, 3 * _SCALE**2):
        features = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(features)
    detail = keras.layers.Conv2D(3 * _SCALE**2, 3, padding="same")(features)
    nearest = keras.layers.Conv2D(3 * _SCALE**2, 1, use_bias=False, trainable=False)(image)
    shuffled = keras.layers.Lambda(lambda x: tf.nn.depth_to_space(x, _SCALE))(detail + nearest)
    sr = keras.layers.Lambda(lambda x: tf.clip_by_value(x, 0.0, 255.0))(shuffled)
    network = keras.Model(image, sr)
    optimizer = keras.optimizers.Adam(1e-4)
    lr = tf.random.uniform((batch_size, PATCH_SIZE, PATCH_SIZE, 3), maxval=255.0)
    side = PATCH_SIZE * _SCALE
    hr = tf.random.uniform((batch_size, side, side, 3), maxval=255.0)

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(network(lr, training=True) - hr))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    compiled: Any = tf.function(step)
    return lambda: float(compiled())
