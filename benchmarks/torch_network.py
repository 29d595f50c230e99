"""The network in PyTorch, eager, float32, written for benchmark.py to compare with."""

import numpy as np

from benchmarks.contenders import WEIGHT_DECAY, ThisProject, seconds


class PyTorch(ThisProject):
    """The same network in PyTorch, eager, float32."""

    def build(self, weights: str) -> None:
        import torch

        self.model = _torch_network(torch, self.n_class)
        with np.load(weights, allow_pickle=False) as stored:
            state = {
                _torch_name(name): torch.from_numpy(stored[name]) for name in stored
            }
        self.model.load_state_dict(state)
        self.torch = torch
        self.x = torch.from_numpy(self.x)
        self.labels = torch.from_numpy(self.t).long()
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), eps=1e-8, weight_decay=WEIGHT_DECAY
        )

    def about(self) -> dict:
        return {"versions": {"PyTorch": self.torch.__version__.split("+")[0]}}

    def loss(self) -> float:
        with self.torch.no_grad():
            return float(self._loss(self.model(self.x)))

    def _loss(self, scores):
        return self.torch.nn.functional.cross_entropy(
            scores, self.labels, ignore_index=-1
        )

    def step(self) -> float:
        return seconds(self._step)

    def _step(self) -> None:
        self.optimizer.zero_grad()
        scores = self.model(self.x)
        self._loss(scores).backward()
        self.optimizer.step()
        index = (self.labels + 1) * self.n_class + scores.detach().argmax(dim=1)
        self.torch.bincount(index.ravel(), minlength=(self.n_class + 1) * self.n_class)

    def scores(self, x):
        with self.torch.no_grad():
            return self.model(x)

    def forget(self) -> None:
        """PyTorch keeps no graph."""


class ChannelsLast(PyTorch):
    """The same with the channels of a pixel beside each other in memory."""

    def build(self, weights: str) -> None:
        super().build(weights)
        self.model = self.model.to(memory_format=self.torch.channels_last)
        self.x = self.x.contiguous(memory_format=self.torch.channels_last)


def _torch_name(name: str) -> str:
    return name.replace("/", ".").replace(".W", ".weight").replace(".b", ".bias")


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
