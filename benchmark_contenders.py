"""What benchmark.py measures: the same network on stock Chainer, this project and PyTorch."""

import os
import platform
import resource
import statistics
import time
from collections import defaultdict
from multiprocessing.connection import Connection

import chainer_compat

import chainer
import numpy as np
import threadpoolctl

import benchmark_loader
import fcn_squeeze

PRODUCT_SIZE = 2048
PRODUCT_FLOP = 2 * PRODUCT_SIZE**3
WEIGHT_DECAY = 5e-4
LAYER_STEPS = 5


def serve(pipe: Connection, name: str, batch, n_class, size, weights: str) -> None:
    """Answer questions in a process of its own until told to stop."""
    kinds = {"stock Chainer": StockChainer, "this project": ThisProject}
    contender = kinds.get(name, PyTorch)(batch, n_class, size, weights)
    if name == "PyTorch, channels last":
        contender.to_channels_last()
    while (question := pipe.recv()) != "stop":
        pipe.send(getattr(contender, question)())


def save_weights(n_class: int, path: str) -> None:
    """Store the weights that all contenders begin with."""
    np.random.seed(0)
    chainer.serializers.save_npz(path, fcn_squeeze.FCN(n_class, 3))


def seconds(function) -> float:
    """Wall clock time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory() -> int:
    """Bytes of this process that were in memory at once at most."""
    try:  # Linux: getrusage would count what the parent had before exec
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class ThisProject:
    """A training step of this project; the base of the others."""

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

    def forward(self) -> float:
        self.model.loss = self.model.h = None  # the last step's graph
        with chainer.no_backprop_mode(), chainer.using_config("train", False):
            return seconds(lambda: self.model.scores(self.x))

    def memory(self) -> int:
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
        """Seconds of the loader: see benchmark_loader.measure()."""
        return benchmark_loader.measure(len(self.x))

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


class _CountMacs(chainer.FunctionHook):
    """Multiplications and additions of each convolution, by the id of its weights."""

    name = "CountMacs"

    def __init__(self):
        super().__init__()
        self.macs: dict[int, int] = {}

    def forward_postprocess(self, function, in_data):
        if "onvolution2D" not in function.label:
            return
        x, weight, _ = in_data
        if hasattr(
            function, "outh"
        ):  # a deconvolution: each input pixel meets the kernel
            height, width = x.shape[2:]
        else:
            height, width = function._get_out_size(x.shape, weight.shape)
        self.macs[id(weight)] = weight.size * height * width


def _macs(model, size: tuple[int, int]) -> dict[str, int]:
    """Multiplications and additions of each convolution link for one image of this size."""
    count = _CountMacs()
    with chainer.no_backprop_mode(), count:
        model.scores(np.zeros((1, 3, *size), np.float32))
    links = {id(p.array): name.rsplit("/", 1)[0] for name, p in model.namedparams()}
    return {links[key]: macs for key, macs in count.macs.items()}


def _machine() -> str:
    """Processor, cores and the instruction set that BLAS chose."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:
            model = next(
                v
                for k, v in (s.split(":", 1) for s in info if ":" in s)
                if "model name" in k
            )
    except (OSError, StopIteration):
        pass
    libraries = threadpoolctl.threadpool_info()
    blas = [
        i
        for i in libraries
        if i["user_api"] == "blas" and "opencv" not in i["filepath"]
    ]
    kind = ", ".join(
        f"{i['internal_api']} {i['version']} ({i.get('architecture', 'unknown')} kernels)"
        for i in blas
    )
    cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count()
    )
    return f"{model.strip()}, {cores} cores, {kind}"


class StockChainer(ThisProject):
    """The same network on Chainer's own links and functions, with this project's evaluator."""

    def build(self, weights: str) -> None:
        fcn_squeeze.L, fcn_squeeze.F = chainer.links, chainer.functions
        super().build(weights)


class PyTorch(ThisProject):
    """The same network in PyTorch, eager, float32."""

    def build(self, weights: str) -> None:
        import torch

        self.model = _torch_network(torch, self.n_class)
        with np.load(weights, allow_pickle=False) as stored:
            state = {
                name.replace("/", ".")
                .replace(".W", ".weight")
                .replace(".b", ".bias"): (torch.from_numpy(stored[name]))
                for name in stored.files
            }
        self.model.load_state_dict(state)
        self.torch = torch
        self.images, self.labels = (
            torch.from_numpy(self.x),
            torch.from_numpy(self.t).long(),
        )
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), eps=1e-8, weight_decay=WEIGHT_DECAY
        )

    def to_channels_last(self) -> None:
        self.model = self.model.to(memory_format=self.torch.channels_last)
        self.images = self.images.contiguous(memory_format=self.torch.channels_last)

    def about(self) -> dict:
        return {"versions": {"PyTorch": self.torch.__version__.split("+")[0]}}

    def loss(self) -> float:
        with self.torch.no_grad():
            return float(self._loss(self.model(self.images)))

    def _loss(self, scores):
        return self.torch.nn.functional.cross_entropy(
            scores, self.labels, ignore_index=-1
        )

    def step(self) -> float:
        return seconds(self._step)

    def _step(self) -> None:
        self.optimizer.zero_grad()
        scores = self.model(self.images)
        self._loss(scores).backward()
        self.optimizer.step()
        index = (self.labels + 1) * self.n_class + scores.detach().argmax(dim=1)
        self.torch.bincount(index.ravel(), minlength=(self.n_class + 1) * self.n_class)

    def forward(self) -> float:
        with self.torch.no_grad():
            return seconds(lambda: self.model(self.images))


def _torch_network(torch, n_class: int):
    """FCN(n_class, 3) of fcn_squeeze as a torch.nn.Module with the same parameter names."""
    nn = torch.nn
    functional = nn.functional

    class Fire(nn.Module):
        def __init__(self, in_size, s1, e1, e3, dilate=1):
            super().__init__()
            self.conv1 = nn.Conv2d(in_size, s1, 1)
            self.conv2 = nn.Conv2d(s1, e1, 1)
            self.conv3 = nn.Conv2d(s1, e3, 3, padding=dilate, dilation=dilate)

        def forward(self, x):
            h = functional.elu(self.conv1(x))
            return functional.elu(torch.cat([self.conv2(h), self.conv3(h)], dim=1))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 96, 7, stride=2, padding=3)
            self.fire2 = Fire(96, 16, 64, 64)
            self.fire3 = Fire(128, 16, 64, 64)
            self.fire4 = Fire(128, 16, 128, 128)
            self.fire5 = Fire(256, 32, 128, 128)
            self.fire6 = Fire(256, 48, 192, 192)
            self.fire7 = Fire(384, 48, 192, 192)
            self.fire8 = Fire(384, 64, 256, 256)
            self.fire9 = Fire(512, 64, 256, 256, dilate=2)
            self.score_pool1 = nn.Conv2d(96, n_class, 1)
            self.score_pool4 = nn.Conv2d(256, n_class, 1)
            self.score_pool9 = nn.Conv2d(512, n_class, 1)
            self.add_layer = nn.Conv2d(3 * n_class, n_class, 1)
            self.upsample_pool4 = nn.ConvTranspose2d(n_class, n_class, 4, 2, 1)
            self.upsample_pool9 = nn.ConvTranspose2d(n_class, n_class, 4, 2, 1)
            self.upsample_final = nn.ConvTranspose2d(n_class, n_class, 16, 4, 6)

        def forward(self, x):
            h = functional.elu(self.conv1(x))
            h = functional.max_pool2d(h, 3, 2, ceil_mode=True)
            p1 = self.score_pool1(h)
            h = self.fire4(self.fire3(self.fire2(h)))
            h = functional.max_pool2d(h, 3, 2, ceil_mode=True)
            u4 = self.upsample_pool4(self.score_pool4(h))
            h = self.fire9(self.fire8(self.fire7(self.fire6(self.fire5(h)))))
            u9 = self.upsample_pool9(self.score_pool9(h))
            return self.upsample_final(self.add_layer(torch.cat([p1, u4, u9], dim=1)))

    return Network()
