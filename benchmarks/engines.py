"""The network on inference engines, for benchmark.py: forward passes of the exported model."""

import chainer_compat

import chainer
import numpy as np

from benchmarks.contenders import ThisProject
from fcn_squeeze import FCN
from layers import threads


class Engine(ThisProject):
    """Runs the ONNX graph that ``export.py --network-only`` writes; it cannot train."""

    questions = ("forward", "photo")

    def build(self, weights: str) -> None:
        from exporting.onnx_graph import network_graph

        model = FCN(self.n_class, 3)
        chainer.serializers.load_npz(weights, model)
        self.load(network_graph(model).SerializeToString())

    def load(self, graph: bytes) -> None:
        """Prepare for ``scores()``."""
        raise NotImplementedError

    def forget(self) -> None:
        """There is no graph."""

    def loss(self) -> float:
        """The cross entropy of the scores, by Chainer."""
        scores = self.scores(self.x)
        return float(chainer.functions.softmax_cross_entropy(scores, self.t).array)


class OnnxRuntime(Engine):
    """ONNX Runtime, float32."""

    def load(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads.worker_count()
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(graph, options, providers)
        self._version = onnxruntime.__version__

    def about(self) -> dict:
        return {"versions": {"ONNX Runtime": self._version}}

    def scores(self, x: np.ndarray) -> np.ndarray:
        return self._session.run(None, {"image": x})[0]


class OpenVino(Engine):
    """OpenVINO, float32, compiled for each batch's size: faster than for sizes left open."""

    def load(self, graph: bytes) -> None:
        import openvino

        self._core, self._graph, self._requests = openvino.Core(), graph, {}
        self._version = openvino.__version__.split("-")[0]

    def about(self) -> dict:
        return {"versions": {"OpenVINO": self._version}}

    def scores(self, x: np.ndarray) -> np.ndarray:
        if x.shape not in self._requests:
            # Without the hint, OpenVINO computes in bfloat16 where the processor can.
            options = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads.worker_count(),
            }
            model = self._core.read_model(self._graph)
            model.reshape(x.shape)
            compiled = self._core.compile_model(model, "CPU", options)
            self._requests[x.shape] = compiled.create_infer_request()
        return self._requests[x.shape].infer({0: x})[0]
