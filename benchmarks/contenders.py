"""What benchmark.py measures: the network as this project and as stock Chainer run it."""

import platform
import statistics
import time
from collections import defaultdict

import chainer
import numpy as np
import psutil
import threadpoolctl

import fcn_squeeze
from benchmarks import loader
from layers import threads
from learning import layer_table
from training.run_record import processor

PRODUCT_SIZE = 2048
PRODUCT_FLOP = 2 * PRODUCT_SIZE**3
WEIGHT_DECAY = 5e-4
LAYER_STEPS = 5
PHOTOS = 10  # of which the median counts: one takes a few milliseconds


def save_weights(n_class: int, path: str) -> None:
    """Store the weights that all contenders begin with."""
    np.random.seed(0)
    chainer.serializers.save_npz(path, fcn_squeeze.FCN(n_class, 3))


def seconds(function) -> float:
    """Wall clock time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory() -> float:
    """Bytes of this process that were in memory at once at most."""
    try:  # Linux: getrusage would count what the parent had before exec
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        pass
    used = psutil.Process().memory_info()
    if hasattr(used, "peak_wset"):  # Windows, which has no getrusage
        return used.peak_wset
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class ThisProject:
    """This project; the base of the others.

    Attributes:
        questions (tuple of str): the methods that give seconds of a contender.
    """

    questions = ("step", "forward", "photo")

    def __init__(self, batch: int, n_class: int, size: tuple[int, int], weights: str):
        random = np.random.RandomState(0)
        self.x = random.randn(batch, 3, *size).astype(np.float32)
        self.t = random.randint(-1, n_class, (batch, *size)).astype(np.int32)
        self.n_class = n_class
        self.build(weights)

    def build(self, weights: str) -> None:
        self.model = fcn_squeeze.FCN(self.n_class, 3)
        chainer.serializers.load_npz(weights, self.model)
        self.optimizer = chainer.optimizers.Adam().setup(self.model)
        self.optimizer.add_hook(chainer.optimizer.WeightDecay(WEIGHT_DECAY))

    def about(self) -> dict:
        return {
            "versions": {
                "Python": platform.python_version(),
                "NumPy": np.__version__,
                "Chainer": chainer.__version__,
            },
            "machine": _machine(),
            "flop": {"forward": self._flop(1), "step": self._flop(3)},
        }

    def _flop(self, passes: int) -> int:
        """FLOP an image of the plain products; the input's gradient is not needed."""
        macs = _macs(self.model, self.x.shape[2:])
        return 2 * (passes * sum(macs.values()) - (passes == 3) * macs["/conv1"])

    def loss(self) -> float:
        with chainer.no_backprop_mode():
            return float(self.model(self.x, self.t).array)

    def step(self) -> float:
        return seconds(lambda: self.optimizer.update(self.model, self.x, self.t))

    def scores(self, x):
        with chainer.no_backprop_mode(), chainer.using_config("train", False):
            return self.model.scores(x)

    def forward(self) -> float:
        """The scores of the batch."""
        self.forget()
        return seconds(lambda: self.scores(self.x))

    def photo(self) -> float:
        """The scores of one image: what a user waits for."""
        self.forget()
        photo = self.x[:1]
        self.scores(photo)  # the memory and caches of the batch before it
        return statistics.median(
            seconds(lambda: self.scores(photo)) for _ in range(PHOTOS)
        )

    def forget(self) -> None:
        """Drop the graph of the last step."""
        self.model.loss = self.model.h = None

    def memory(self) -> float:
        return peak_memory()

    def product(self) -> float:
        """The fastest of five products, on all threads that BLAS has."""
        a = np.ones((PRODUCT_SIZE, PRODUCT_SIZE), np.float32)
        out = np.empty_like(a)
        return min(seconds(lambda: np.matmul(a, a, out=out)) for _ in range(5))

    def evaluator(self) -> float:
        """The evaluator alone, which is a part of step()."""
        with chainer.no_backprop_mode():
            self.model(self.x, self.t)
        return seconds(lambda: self.model.evaluator.preparation(self.model.h, self.t))

    def loader(self) -> dict:
        """Seconds of the loader: see loader.measure()."""
        return loader.measure(len(self.x))

    def layers(self) -> list[tuple]:
        """(name, ((forward seconds, FLOP an image), (backward seconds, FLOP)))."""
        timer = LayerTimer(self.model)
        for _ in range(LAYER_STEPS):
            timer.begin()
            with timer:
                self.optimizer.update(self.model, self.x, self.t)
        macs = _macs(self.model, self.x.shape[2:])
        rows = []
        for name in timer.order:
            mac = macs.get(name, 0)
            backward = mac if name == "/conv1" else 2 * mac
            forward = timer.median(name, 0), 2 * mac
            rows.append((name, (forward, (timer.median(name, 1), 2 * backward))))
        return rows


class LayerTimer(chainer.FunctionHook):
    """Adds up the time of each link's function, and of the functions without a link by kind."""

    name = "LayerTimer"

    def __init__(self, model):
        super().__init__()
        self._links = {id(p.array): n.rsplit("/", 1)[0] for n, p in model.namedparams()}
        self._names: dict[int, str] = {}  # by id of the function
        self._starts: list[float] = []  # a stack: backward passes call functions
        self.order: list[str] = []
        self.steps: list[tuple[dict, dict]] = []

    def begin(self) -> None:
        """Start a training step."""
        self._names.clear()
        self.steps.append((defaultdict(float), defaultdict(float)))

    def median(self, name: str, backward: int) -> float:
        """Median seconds a step."""
        return statistics.median(step[backward][name] for step in self.steps)

    def forward_preprocess(self, function, in_data):
        self._starts.append(time.perf_counter())

    def forward_postprocess(self, function, in_data):
        elapsed = time.perf_counter() - self._starts.pop()
        linked = [self._links[id(a)] for a in in_data if id(a) in self._links]
        name = linked[0] if linked else function.label
        self._names[id(function)] = name
        if name not in self.order:
            self.order.append(name)
        self.steps[-1][0][name] += elapsed

    def backward_preprocess(self, function, in_data, out_grad):
        self._starts.append(time.perf_counter())

    def backward_postprocess(self, function, in_data, out_grad):
        name = self._names[id(function)]
        self.steps[-1][1][name] += time.perf_counter() - self._starts.pop()


def _macs(model, size: tuple[int, int]) -> dict[str, int]:
    """Multiplications and additions of each convolution link for one image of this size."""
    rows = layer_table.table_of(layer_table.layers_of(model), *size)
    products = {f"/{name}": row.multiplications for name, row in rows.items()}
    return {name: count for name, count in products.items() if count}


def _machine() -> str:
    """Processor, cores and the instruction set that BLAS chose."""
    kinds = [
        f"{i['internal_api']} {i['version']} ({i.get('architecture', 'unknown')} kernels)"
        for i in threadpoolctl.threadpool_info()
        if i["user_api"] == "blas" and "opencv" not in i["filepath"]
    ]
    return f"{processor()}, {len(threads.cores())} cores, {', '.join(kinds)}"


class StockChainer(ThisProject):
    """The same network on Chainer's own links and functions, with this project's evaluator."""

    def build(self, weights: str) -> None:
        fcn_squeeze.L = chainer.links
        fcn_squeeze.F = chainer.functions
        fcn_squeeze.softmax_cross_entropy = chainer.functions.softmax_cross_entropy
        fcn_squeeze.weighted_cross_entropy = _stock_weighted_cross_entropy
        fcn_squeeze.squeeze_expand_elu = _stock_squeeze_expand_elu
        fcn_squeeze.convolve_pool_elu = _stock_convolve_pool_elu
        super().build(weights)


def _stock_weighted_cross_entropy(scores, t, class_weight):
    loss = chainer.functions.softmax_cross_entropy(scores, t, class_weight=class_weight)
    return loss, loss.array


def _stock_squeeze_expand_elu(x, squeeze, *expansions):
    s = chainer.functions.elu(squeeze(x))
    maps = [expansion(s) for expansion in expansions]
    return chainer.functions.elu(chainer.functions.concat(maps, axis=1))


def _stock_convolve_pool_elu(x, link, ksize, stride):
    pooled = chainer.functions.max_pooling_2d(link(x), ksize, stride)
    return chainer.functions.elu(pooled)
