"""Adam for ``dtype: mixed16``: float16 weights with float32 masters, and a scaled loss."""

import chainer
import numpy as np
from chainer.backends import cuda


class MixedPrecisionAdam(chainer.optimizers.Adam):
    """Chainer's Adam with its own fp32 update and dynamic loss scaling, made to stop and resume.

    The loss is multiplied by a factor, so that small gradients are not lost in float16, and
    the gradients are divided by it. The factor grows until a gradient overflows; that step is
    left out and the factor is halved. Both are Chainer's; here all gradients are looked at in
    one transfer (Chainer makes one a parameter, and the GPU waits for each), and the masters
    and the factor are stored in snapshots.
    """

    def __init__(self, alpha: float):
        super().__init__(alpha=alpha)
        self.use_fp32_update()
        self.loss_scaling()

    def check_nan_in_grads(self) -> None:
        """Tell Chainer whether a gradient overflowed.

        Raises:
            FloatingPointError: the loss is not finite, or the gradients are not at factor 1.
        """
        sums = [param.grad.sum(dtype=np.float32) for param in self.target.params()]
        loss = self.target.loss.array.astype(np.float32)
        loss, total = cuda.to_cpu(self.target.xp.stack([loss, sum(sums)]))
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss}")
        self._loss_scaling_isnan = not np.isfinite(total)
        self._loss_scaling_isnan_ever |= self._loss_scaling_isnan
        if self._loss_scaling_isnan and self._loss_scale == 1:
            raise FloatingPointError("the gradients are not finite")

    def serialize(self, serializer) -> None:
        """Store or read the state, with all that Chainer leaves out."""
        super().serialize(serializer)
        self._loss_scale = float(serializer("loss_scale", self._loss_scale))
        self._loss_scaling_isnan_ever = bool(
            serializer("overflowed", self._loss_scaling_isnan_ever)
        )
        for name, param in self.target.namedparams():
            rule = param.update_rule
            master = rule._fp32_param if rule._fp32_param is not None else param
            value = serializer[name]("master", master.array.astype(np.float32))
            if isinstance(serializer, chainer.Deserializer):
                rule._fp32_param = chainer.Parameter(
                    param.device.send(value), name=param.name
                )
