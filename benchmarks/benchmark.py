"""Measure training and prediction on the CPU beside stock Chainer and other engines; prints Markdown.

    python -m benchmarks.benchmark [--batch 20] [--repeats 5] [--layers]

Each contender runs in a process of its own, so that its peak memory is its own, and is asked
in turn, so that a busy moment of the machine hits all of them. PyTorch, ONNX Runtime and OpenVINO
take part if they are installed (the last two need the package onnx, too).
"""

import argparse
import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import contenders, engines, torch_network
from files.text_table import markdown

KINDS = {
    "stock Chainer": contenders.StockChainer,
    "this project": contenders.ThisProject,
    "PyTorch": torch_network.PyTorch,
    "PyTorch, channels last": torch_network.ChannelsLast,
    "ONNX Runtime": engines.OnnxRuntime,
    "OpenVINO": engines.OpenVino,
}
# The packages that they need beside the project's own.
NEEDS = {
    "PyTorch": ["torch"],
    "PyTorch, channels last": ["torch"],
    "ONNX Runtime": ["onnx", "onnxruntime"],
    "OpenVINO": ["onnx", "openvino"],
}
# Stock Chainer takes ten times as long as the others: it is asked in the first rounds only.
STOCK_ROUNDS = 2


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark and print its tables."""
    args = parse_arguments(argv)
    names = [name for name in KINDS if all(map(_is_installed, NEEDS.get(name, [])))]
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        contenders.save_weights(args.n_class, weights)
        asked = {name: Contender(name, args, weights) for name in names}
        measure(asked, args.repeats)
    ours = asked["this project"]
    print(machine(asked, args), table(asked), sep="\n\n")
    print("", side_table(ours), sep="\n")
    if args.layers:
        print("", layer_table(ours.ask("layers"), ours.peak(), args.batch), sep="\n")
    for contender in asked.values():
        contender.close()


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=20, help="images in a step (20)")
    parser.add_argument("--n-class", type=int, default=32, help="classes (32)")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(176, 240),
        metavar=("H", "W"),
        help="image size, multiples of 16 (176 240)",
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="rounds of measurements (5)"
    )
    parser.add_argument(
        "--layers", action="store_true", help="print a table by layer, too"
    )
    args = parser.parse_args(argv)
    if min(args.batch, args.n_class, args.repeats) < 1:
        parser.error("--batch, --n-class and --repeats must be at least 1")
    if min(args.size) < 16 or args.size[0] % 16 or args.size[1] % 16:
        parser.error("--size must be multiples of 16")
    return args


def serve(pipe: Connection, name: str, batch, n_class, size, weights: str) -> None:
    """Answer questions in a process of its own until told to stop."""
    contender = KINDS[name](batch, n_class, size, weights)
    while (question := pipe.recv()) != "stop":
        pipe.send(getattr(contender, question)())


class Contender:
    """A process that answers questions about one implementation; its figures."""

    def __init__(self, name: str, args: argparse.Namespace, weights: str):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve,
            args=(theirs, name, args.batch, args.n_class, tuple(args.size), weights),
            daemon=True,
        )
        self._process.start()
        theirs.close()
        self.questions = KINDS[name].questions
        self.seconds = {q: [] for q in (*self.questions, "product", "evaluator")}
        self.batch = args.batch
        self.about = self.ask("about")

    def ask(self, question: str):
        """The answer; EOFError if the process has died."""
        self._connection.send(question)
        return self._connection.recv()

    def measure(self, question: str) -> None:
        self.seconds[question].append(self.ask(question))

    def milliseconds(self, question: str) -> list[float]:
        """Milliseconds an image of each repeat."""
        images = 1 if question == "photo" else self.batch
        return [1000 * s / images for s in self.seconds[question]]

    def peak(self) -> float:
        """FLOP/s of the fastest matrix product."""
        return contenders.PRODUCT_FLOP / min(self.seconds["product"])

    def close(self) -> None:
        self._connection.send("stop")
        self._process.join()


def measure(asked: dict[str, Contender], repeats: int) -> None:
    """Ask all contenders in turn, ``repeats`` times; the first answers are not counted."""
    for contender in asked.values():
        contender.about["loss"] = contender.ask("loss")
        contender.ask(contender.questions[0])
    for round_ in range(repeats):
        for name, contender in asked.items():
            text = f"round {round_ + 1} of {repeats}: {name}    "
            print(text, end="\r", file=sys.stderr)
            if name == "stock Chainer" and round_ >= STOCK_ROUNDS:
                continue
            for question in contender.questions:
                contender.measure(question)
        for question in ("product", "evaluator"):
            asked["this project"].measure(question)
    print(" " * 60, end="\r", file=sys.stderr)


def machine(asked: dict[str, Contender], args: argparse.Namespace) -> str:
    """A paragraph about the machine and the measurement."""
    ours = asked["this project"]
    versions = {k: v for c in asked.values() for k, v in c.about["versions"].items()}
    height, width = args.size
    return (
        f"{ours.about['machine']}; {', '.join(f'{k} {v}' for k, v in versions.items())}. "
        f"Batch {args.batch}, {args.n_class} classes, {width} x {height} pixels. Medians of "
        f"{args.repeats} interleaved runs ({min(STOCK_ROUNDS, args.repeats)} of stock "
        f"Chainer), in brackets the fastest and the slowest; one photo: the median of "
        f"{contenders.PHOTOS} in each run. The machine's fastest float32 "
        f"matrix product in this run: {ours.peak() / 1e9:.0f} GFLOP/s."
    )


def spread(values: list[float], digits: int = 1) -> str:
    """Median (fastest to slowest)."""
    middle, low, high = (
        f"{value:.{digits}f}"
        for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def table(asked: dict[str, Contender]) -> str:
    """The contenders side by side; ratios are against PyTorch, or else stock Chainer."""
    ours = asked["this project"]
    flop = ours.about["flop"]
    base = asked.get("PyTorch", asked["stock Chainer"])
    versus = "PyTorch" if base is asked.get("PyTorch") else "stock Chainer"
    ratio_to = f"ratio to {versus}"
    shares = "share of peak", ratio_to
    head = [
        "",
        *("training step, ms an image", *shares),
        *("forward only, ms an image", *shares),
        *("one photo, ms", ratio_to),
    ]
    rows = [[*head, "peak memory", "first loss"]]
    for name, contender in asked.items():
        cells = [name]
        for question in ("step", "forward", "photo"):
            if question not in contender.questions:
                cells += ["", "", ""]
                continue
            values = contender.milliseconds(question)
            median = statistics.median(values)
            ratio = median / statistics.median(base.milliseconds(question))
            cells += [spread(values)]
            if question in flop:
                cells += [f"{flop[question] / (median / 1000) / ours.peak():.0%}"]
            cells += [f"{ratio:.2f}"]
        cells += [f"{contender.ask('memory') / 1e9:.2f} GB"]
        cells += [f"{contender.about['loss']:.5f}"]
        rows.append(cells)
    return markdown(rows)


def side_table(ours: Contender) -> str:
    """The evaluator, which is a part of the step, and the loader, as Markdown."""
    values = ours.milliseconds("evaluator")
    share = statistics.median(values) / statistics.median(ours.milliseconds("step"))
    seconds = ours.ask("loader")
    read, cached = ([1000 * s for s in seconds[key]] for key in ("read", "cached"))
    epochs = [a / b for a, b in zip(seconds["epochs"], seconds["steps"])]
    rows = [
        ["", "median (fastest to slowest)", ""],
        ["evaluator, ms an image", spread(values), f"{share:.1%} of a training step"],
        ["loader: read, scale, normalise, flip a 960 x 720 PNG, ms", spread(read), ""],
        ["loader: an image read before, ms", spread(cached), ""],
        *(
            [
                f"loader: images a second with {workers} worker{'s'[: workers - 1]}",
                f"{read:.0f}",
                f"{cached:,.0f} read before",
            ]
            for workers, (read, cached) in seconds["rates"].items()
        ),
        ["epoch (images read before) / its training steps", spread(epochs, 2), ""],
    ]
    return markdown(rows)


def layer_table(layers: list[tuple], peak: float, batch: int) -> str:
    """Time by layer; the products' share of peak where a layer is a product."""
    share = "share of peak"
    rows = [["layer", "forward, ms an image", share, "backward, ms an image", share]]
    for name, passes in layers:
        cells = [name]
        for seconds, flop in passes:
            cells.append(f"{1000 * seconds / batch:.2f}")
            cells.append(f"{flop * batch / seconds / peak:.0%}" if flop else "")
        rows.append(cells)
    return markdown(rows)


if __name__ == "__main__":
    main()
