"""The network against the chapter's, written here with stock Chainer links."""

import chainer_compat

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

from fcn_squeeze import FCN, Fire, FireDilated
from layers.lovasz import lovasz_softmax

N_CLASS = 5


class StockFire(chainer.Chain):
    def __init__(self, in_size, s1, e1, e3, reach=1):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_size, s1, 1)
            self.conv2 = L.Convolution2D(s1, e1, 1)
            self.conv3 = L.Convolution2D(s1, e3, 3, pad=reach, dilate=reach)

    def forward(self, x):
        squeezed = F.elu(self.conv1(x))
        return F.elu(F.concat((self.conv2(squeezed), self.conv3(squeezed))))


class StockNetwork(chainer.Chain):
    """What the chapter's weight files were written by."""

    def __init__(self, n_class, in_ch, dilated):
        super().__init__()
        maps = [96, 128, 128, 256, 256, 384, 384, 512]
        squeezes = [16, 16, 16, 32, 48, 48, 64, 64]
        expands = [64, 64, 128, 128, 192, 192, 256, 256]
        self.dilated = dilated
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_ch, 96, 7, 2, 3)
            for i, (m, s, e) in enumerate(zip(maps, squeezes, expands, strict=True), 2):
                reach = 2 if dilated and i == 9 else 1
                setattr(self, f"fire{i}", StockFire(m, s, e, e, reach))
            self.score_pool1 = L.Convolution2D(96, n_class, 1)
            self.score_pool4 = L.Convolution2D(256, n_class, 1)
            self.score_pool9 = L.Convolution2D(512, n_class, 1)
            self.add_layer = L.Convolution2D(3 * n_class, n_class, 1)
            self.upsample_pool4 = L.Deconvolution2D(n_class, n_class, 4, 2, 1)
            by = 2 if dilated else 4
            self.upsample_pool9 = L.Deconvolution2D(
                n_class, n_class, 2 * by, by, by // 2
            )
            self.upsample_final = L.Deconvolution2D(n_class, n_class, 16, 4, 6)

    def forward(self, x, t):
        pool1 = F.max_pooling_2d(F.elu(self.conv1(x)), 3, 2)
        pool4 = F.max_pooling_2d(self.fire4(self.fire3(self.fire2(pool1))), 3, 2)
        fire8 = self.fire8(self.fire7(self.fire6(self.fire5(pool4))))
        fire9 = self.fire9(fire8 if self.dilated else F.max_pooling_2d(fire8, 3, 2))
        joined = F.concat(
            (
                self.score_pool1(pool1),
                self.upsample_pool4(self.score_pool4(pool4)),
                self.upsample_pool9(self.score_pool9(fire9)),
            )
        )
        self.h = self.upsample_final(self.add_layer(joined))
        return F.softmax_cross_entropy(self.h, t)


def batch(n=2, in_ch=3, height=48, width=64):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, in_ch, height, width)).astype(np.float32)
    return x, rng.integers(-1, N_CLASS, (n, height, width)).astype(np.int32)


def relative_difference(ours, theirs) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.fixture(params=[True, False], ids=["dilated", "undilated"])
def pair(request, tmp_path):
    """The same weights in the stock network and, by way of a weight file, in ours."""
    np.random.seed(0)
    stock = StockNetwork(N_CLASS, 3, request.param)
    chainer.serializers.save_npz(str(tmp_path / "book.npz"), stock)
    ours = FCN(N_CLASS, 3, dilated=request.param)
    chainer.serializers.load_npz(str(tmp_path / "book.npz"), ours)
    return ours, stock


def test_weights_of_the_chapter_give_the_same_scores_loss_and_gradients(pair):
    ours, stock = pair
    x, t = batch()
    for model in pair:
        loss = model(x, t)
        model.cleargrads()
        loss.backward()
        model.loss = loss
    assert relative_difference(ours.h.array, stock.h.array) < 1e-5
    assert float(ours.loss.array) == pytest.approx(float(stock.loss.array), rel=1e-5)
    gradients = {name: param.grad for name, param in stock.namedparams()}
    for name, param in ours.namedparams():
        assert relative_difference(param.grad, gradients[name]) < 1e-5, name


def test_three_steps_of_adam_and_weight_decay_give_the_same_losses(pair):
    ours, stock = (losses_of_three_steps(model) for model in pair)
    assert ours == pytest.approx(stock, rel=1e-5)


def losses_of_three_steps(model) -> list[float]:
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer.WeightDecay(0.0005))
    losses = []

    def loss(x, t):
        losses.append(model(x, t))
        return losses[-1]

    for _ in range(3):
        optimizer.update(loss, *batch())
    return [float(loss.array) for loss in losses]


def test_our_weights_load_into_the_chapters_network(pair, tmp_path):
    ours, stock = pair
    for param in ours.params():
        param.array += 1
    chainer.serializers.save_npz(str(tmp_path / "ours.npz"), ours)
    chainer.serializers.load_npz(str(tmp_path / "ours.npz"), stock)
    for (_, a), (_, b) in zip(
        sorted(ours.namedparams()), sorted(stock.namedparams()), strict=True
    ):
        np.testing.assert_array_equal(a.array, b.array)


def test_number_of_parameters_at_12_classes():
    assert FCN(12, 3).count_params() == 765_236


def test_bypass_adds_what_goes_into_every_other_fire_and_no_parameter():
    model = FCN(N_CLASS, 3, bypass=True)
    assert model.count_params() == FCN(N_CLASS, 3).count_params()
    for name in ("fire3", "fire5", "fire7", "fire9"):
        # Expansions of zeros give ELU(0) = 0: all that comes out is what was added.
        for layer in ("conv2", "conv3"):
            model[name][layer].W.array[:] = 0
    seen = {}

    class Spy(chainer.LinkHook):
        def forward_postprocess(self, args):
            seen.setdefault(args.link.name, []).append((args.args[0], args.out))

    with Spy():
        model.scores(batch()[0])
    for name, after in (("fire3", "fire4"), ("fire5", "fire6"), ("fire7", "fire8")):
        entered = seen[name][0][0].array
        np.testing.assert_array_equal(seen[after][0][0].array, entered)
    np.testing.assert_array_equal(
        seen["score_pool9"][0][0].array, seen["fire9"][0][0].array
    )


def test_weights_of_classes_and_lovasz_count_in_training_alone():
    x, t = batch()
    plain = FCN(N_CLASS, 3)
    weight = np.linspace(0.5, 2, N_CLASS).astype(np.float32)
    model = FCN(N_CLASS, 3, class_weight=weight, lovasz=0.5)
    model.copyparams(plain)
    expected = F.softmax_cross_entropy(plain.scores(x), t, class_weight=weight)
    expected += 0.5 * lovasz_softmax(plain.scores(x), t)
    assert float(model(x, t).array) == pytest.approx(float(expected.array), rel=1e-5)
    with chainer.using_config("train", False):
        assert model(x, t).array == plain(x, t).array


def test_deep_supervision_adds_the_loss_of_both_branches_in_training_alone():
    x, t = batch()
    plain = FCN(N_CLASS, 3)
    weight = np.linspace(0.5, 2, N_CLASS).astype(np.float32)
    model = FCN(N_CLASS, 3, class_weight=weight, deep_supervision=0.5)
    model.copyparams(plain)
    expected = F.softmax_cross_entropy(plain.scores(x), t, class_weight=weight).array
    every_fourth = [(n, i, j) for n in range(2) for i in range(12) for j in range(16)]
    for h in plain.branches:
        log_p = F.log_softmax(h).array
        for n, i, j in every_fourth:
            label = t[n, 4 * i + 2, 4 * j + 2]
            if label >= 0:
                term = -weight[label] * log_p[n, label, i, j]
                expected += 0.5 * term * 16 / np.count_nonzero(t >= 0)
    assert float(model(x, t).array) == pytest.approx(float(expected), rel=1e-5)
    with chainer.using_config("train", False):
        assert model(x, t).array == plain(x, t).array


@pytest.mark.parametrize("dilated", [True, False])
def test_bilinear_deconvolutions_keep_each_class_and_what_rises_evenly(dilated):
    model = FCN(2, 3, dilated=dilated, bilinear=True)
    for link in (model.upsample_pool4, model.upsample_pool9, model.upsample_final):
        ramp = np.zeros((1, 2, 8, 8), np.float32)
        ramp[0, 1] = np.arange(8)
        large = link(ramp).array[0]
        by = len(large[0]) // 8
        # The middle of pixel i of the small map lies at by (i + 1/2) - 1/2 of the large one.
        expected = (np.arange(8 * by) + 0.5) / by - 0.5
        inside = slice(by, -by)
        np.testing.assert_allclose(large[1, by][inside], expected[inside], rtol=1e-5)
        assert not large[0].any()


def test_scores_have_the_size_of_the_image():
    x, _ = batch(n=1, in_ch=1, height=16, width=80)
    assert FCN(N_CLASS, 1).scores(x).shape == (1, N_CLASS, 16, 80)


@pytest.mark.parametrize("height, width", [(40, 64), (48, 70)])
def test_a_size_that_is_no_multiple_of_16_is_refused(height, width):
    x, t = batch(height=height, width=width)
    with pytest.raises(ValueError, match=f"multiples of 16.*{height} x {width}"):
        FCN(N_CLASS, 3)(x, t)


def test_calling_the_network_sets_what_the_chapter_reads():
    x, t = batch()
    model = FCN(N_CLASS, 3)
    loss = model(x, t)
    prediction = model.h.array.argmax(axis=1)
    assert model.loss is loss
    assert model.accuracy == np.mean(prediction[t >= 0] == t[t >= 0])
    assert model.iou.shape == (N_CLASS,)
    assert model.evaluator.get_iou() is not None


def test_loss_is_the_mean_over_labelled_pixels():
    x, t = batch(n=1, height=16, width=16)
    model = FCN(N_CLASS, 3)
    loss = float(model(x, t).array)
    h = model.h.array[0].astype(np.float64)
    log_p = h - np.log(np.exp(h).sum(axis=0))
    terms = [
        -log_p[t[0, i, j], i, j]
        for i in range(16)
        for j in range(16)
        if t[0, i, j] >= 0
    ]
    assert loss == pytest.approx(np.mean(terms), rel=1e-6)


def test_dilated_fire_looks_twice_as_far():
    x = np.zeros((1, 4, 9, 9), np.float32)
    x[0, :, 4, 4] = 1
    for fire, reach in ((Fire, 1), (FireDilated, 2)):
        link = fire(4, 2, 3, 3)
        change = np.abs(link(x).array - link(np.zeros_like(x)).array).sum(axis=(0, 1))
        rows = np.flatnonzero(change.sum(axis=1))
        assert rows.min() == 4 - reach and rows.max() == 4 + reach
