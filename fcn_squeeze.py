"""The SqueezeNet-FCN of the chapter, layer by layer; train.py and predict.py build it.

SqueezeNet (Iandola et al. 2016) classifies with eight Fire modules; made fully convolutional
(Long et al. 2015), its maps at 1/4, 1/8 and 1/8 of the photo's size are scored by 1x1
convolutions, brought to 1/4 by deconvolutions, joined, and upsampled to the photo's size.

Sizes: convolution (n - k + 2p) / s + 1, deconvolution s (n - 1) + k - 2p. The kernel of a
deconvolution is a multiple of its stride, against checkerboard artefacts.
"""

import chainer_compat

import chainer
import numpy as np

import layers.functions as F  # Chainer's own, except on the CPU, where they are faster
import layers.links as L
from evaluator import Evaluator
from layers.bilinear import start_bilinear
from layers.cross_entropy import softmax_cross_entropy, weighted_cross_entropy
from layers.fused import convolve_pool_elu, squeeze_expand_elu
from layers.lovasz import lovasz_softmax


class Fire(chainer.Chain):
    """Squeeze 1x1 -> ELU -> (expand 1x1, expand 3x3) -> concat -> ELU.

    Args:
        in_size (int): input maps.
        s1, e1, e3 (int): maps of the squeeze, of the 1x1 and of the 3x3 expansion.
        dilate (int): distance of the 3x3 expansion's taps.
    """

    def __init__(self, in_size: int, s1: int, e1: int, e3: int, dilate: int = 1):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_size, s1, 1)
            self.conv2 = L.Convolution2D(s1, e1, 1)
            self.conv3 = L.Convolution2D(s1, e3, 3, pad=dilate, dilate=dilate)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """(N, in_size, H, W) -> (N, e1 + e3, H, W)."""
        return squeeze_expand_elu(x, self.conv1, self.conv2, self.conv3)


class FireDilated(Fire):
    """A Fire whose 3x3 expansion looks twice as far (dilation 2), at the same cost."""

    def __init__(self, in_size: int, s1: int, e1: int, e3: int):
        super().__init__(in_size, s1, e1, e3, dilate=2)


class FCN(chainer.Chain):
    """The chapter's segmentation network; calling it gives the loss.

    After ``loss = model(x, t)`` the attributes ``loss``, ``h`` (scores before softmax,
    (N, n_class, H, W)), ``evaluator``, ``accuracy`` and ``iou`` speak of that batch.

    Args:
        n_class (int): number of classes, background included.
        in_ch (int): 3 for colour images, 1 for grey ones.
        dilated (bool): True is the chapter's second network (fire9 dilated at 1/8 of the
            size); False its first (a third max pooling, fire9 at 1/16, upsampled by 4).
        bypass (bool): add the input of fire3, fire5, fire7 and fire9 to their output, as
            SqueezeNet's "simple bypass" does (Iandola et al. 2016, section 6), after He et al.
            (2015); no parameters.
        class_weight (ndarray): float32 (n_class,), what the loss of a class's pixels is
            multiplied by when training; None: 1.
        lovasz (float): how much of the Lovász-Softmax loss is added when training.
        deep_supervision (float): how much of the cross entropy of the upsampled scores of pool4
            and fire9 is added when training (Lee et al., *Deeply-Supervised Nets*, 2015).
        bilinear (bool): the deconvolutions start as bilinear interpolation of each class by
            itself (Long et al. 2015), not at random.
    """

    def __init__(
        self,
        n_class: int,
        in_ch: int,
        dilated: bool = True,
        bypass: bool = False,
        class_weight: np.ndarray | None = None,
        lovasz: float = 0.0,
        deep_supervision: float = 0.0,
        bilinear: bool = False,
    ):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_ch, 96, 7, stride=2, pad=3)
            self.fire2 = Fire(96, 16, 64, 64)
            self.fire3 = Fire(128, 16, 64, 64)
            self.fire4 = Fire(128, 16, 128, 128)
            self.fire5 = Fire(256, 32, 128, 128)
            self.fire6 = Fire(256, 48, 192, 192)
            self.fire7 = Fire(384, 48, 192, 192)
            self.fire8 = Fire(384, 64, 256, 256)

            self.score_pool1 = L.Convolution2D(96, n_class, 1)
            self.score_pool4 = L.Convolution2D(256, n_class, 1)
            self.score_pool9 = L.Convolution2D(512, n_class, 1)
            self.add_layer = L.Convolution2D(n_class * 3, n_class, 1)

            # In a deconvolution, pad is what is cut off the border of the output.
            self.upsample_pool4 = L.Deconvolution2D(
                n_class, n_class, ksize=4, stride=2, pad=1
            )
            if dilated:
                self.fire9 = FireDilated(512, 64, 256, 256)
                self.upsample_pool9 = L.Deconvolution2D(
                    n_class, n_class, ksize=4, stride=2, pad=1
                )
            else:
                self.fire9 = Fire(512, 64, 256, 256)
                self.upsample_pool9 = L.Deconvolution2D(
                    n_class, n_class, ksize=8, stride=4, pad=2
                )
            self.upsample_final = L.Deconvolution2D(
                n_class, n_class, ksize=16, stride=4, pad=6
            )

        if bilinear:
            for name in ("pool4", "pool9", "final"):
                start_bilinear(self[f"upsample_{name}"])

        self.n_class = n_class
        self.dilated = dilated
        self.bypass = bypass
        self.class_weight = class_weight
        self.lovasz = lovasz
        self.deep_supervision = deep_supervision
        self.evaluator = Evaluator(False, n_class)
        self.h = None
        self.loss = None
        self.cross_entropy = None
        self.branches = ()

    def scores(self, x: chainer.Variable) -> chainer.Variable:
        """Class scores before softmax.

        Args:
            x (Variable or ndarray): float32 (N, in_ch, H, W), normalised images.

        Returns:
            Variable: float32 (N, n_class, H, W).

        Raises:
            ValueError: H or W is no multiple of ``chainer.config.user_multiple`` (16).
        """
        _check_input_size(x.shape)
        if self.conv1.W.dtype == np.float16:  # dtype: mixed16
            x = chainer.functions.cast(x, np.float16)
        # 1/2, then 1/4; in the chapter ELU comes before pooling: the same, as it is monotonic
        h = convolve_pool_elu(x, self.conv1, 3, stride=2)
        p1 = self.score_pool1(h)

        h = self.fire2(h)
        h = self._with_bypass(self.fire3, h)
        h = self.fire4(h)
        h = F.max_pooling_2d(h, 3, stride=2)  # 1/8
        u4 = self.upsample_pool4(self.score_pool4(h))

        h = self._with_bypass(self.fire5, h)
        h = self.fire6(h)
        h = self._with_bypass(self.fire7, h)
        h = self.fire8(h)
        if not self.dilated:
            h = F.max_pooling_2d(h, 3, stride=2)  # 1/16
        h = self._with_bypass(self.fire9, h)
        u9 = self.upsample_pool9(self.score_pool9(h))

        self.branches = u4, u9  # for the loss
        h = F.concat((p1, u4, u9), axis=1)  # 1/4
        h = self.add_layer(h)
        return self.upsample_final(h)

    def _with_bypass(self, fire: Fire, h: chainer.Variable) -> chainer.Variable:
        return F.add(fire(h), h) if self.bypass else fire(h)

    def forward(self, x: chainer.Variable, t: chainer.Variable) -> chainer.Variable:
        """Mean softmax cross entropy over the labelled pixels.

        While training, each pixel's term is multiplied by its class's weight (the sum is
        divided by the number of pixels, as Chainer does, not by the sum of their weights), and
        the Lovász-Softmax loss and deep supervision are added.

        Args:
            x (Variable or ndarray): float32 (N, in_ch, H, W), normalised images.
            t (Variable or ndarray): int32 (N, H, W), class numbers; -1 is left out.

        Returns:
            Variable: the loss, a scalar. While training, plain cross entropy is in
            ``self.cross_entropy`` (ndarray) beside it; else None.
        """
        # The last batch's graph goes before this one's is built: half the peak memory.
        self.h = self.loss = self.cross_entropy = None
        self.branches = ()
        self.h = self.scores(x)
        scores = _float32(self.h)
        if chainer.config.train:
            weight = self.class_weight
            losses = weighted_cross_entropy(scores, t, weight)
            self.loss, self.cross_entropy = losses
            if self.lovasz:
                self.loss += self.lovasz * lovasz_softmax(scores, t)
            if self.deep_supervision:
                self.loss += self.deep_supervision * self._loss_of_branches(t)
        else:  # comparable between recipes
            self.loss = softmax_cross_entropy(scores, t)
        self.evaluator.preparation(self.h, t)
        return self.loss

    def _loss_of_branches(self, t) -> chainer.Variable:
        """Cross entropy of the upsampled scores of pool4 and fire9, added up.

        They are left at 1/4 of the size, where the loss takes a sixteenth of the time: each
        score stands for 4 x 4 pixels, and is compared with the label of one in their middle. Of
        16 labelled pixels one counts 16 times, so that the losses of the parts of a batch add up
        to the loss of the whole.
        """
        labels = t.array if isinstance(t, chainer.Variable) else t
        middles = labels[:, 2::4, 2::4]
        pixels = (labels >= 0).sum().clip(1)
        share = ((middles >= 0).sum() * 16 / pixels).astype(np.float32)
        weight = self.class_weight
        u4, u9 = (
            softmax_cross_entropy(_float32(h), middles, class_weight=weight)
            for h in self.branches
        )
        return (u4 + u9) * share

    def device_resident_accept(self, visitor) -> None:
        """Chainer's way to move a link to a device; the weights of the classes go along."""
        super().device_resident_accept(visitor)
        if self.class_weight is not None:
            self.class_weight = visitor.visit_array(self.class_weight)

    @property
    def accuracy(self) -> float:
        """Share of the last batch's labelled pixels that were classified rightly."""
        return self.evaluator.get_accuracy()

    @property
    def iou(self):
        """float64 (n_class,): intersection over union in the last batch."""
        return self.evaluator.get_iou()


def _float32(scores: chainer.Variable) -> chainer.Variable:
    if scores.dtype == np.float16:  # a mean over a million pixels needs more digits
        return chainer.functions.cast(scores, np.float32)
    return scores


def _check_input_size(shape: tuple[int, ...]) -> None:
    multiple = getattr(chainer.config, "user_multiple", 16)
    height, width = shape[2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"The network takes images whose height and width are multiples of {multiple} "
            f"(user_multiple); this batch is {height} x {width} (height x width). "
            "Resize or crop the images first."
        )
