"""One run by 1, 2 and 3 processes must be one and the same run."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import EMULATION, SmallData, emulated, stored_weights

import predict
import train
from dataset.batches import to_batch
from dataset.epoch_order import EpochOrder
from fcn_squeeze import FCN
from mini_batch_loader import DatasetPreProcessor
from training import distributed

ROOT = Path(__file__).parent.parent.parent
MPIEXEC = Path(sys.executable).parent / "mpiexec"

mpi = pytest.mark.skipif(
    not MPIEXEC.exists(), reason="needs mpi4py and Open MPI: uv run --extra mpi pytest"
)


def drawn(order: EpochOrder, epoch: int) -> list[list[int]]:
    """Images of each batch of an epoch, without the padding."""
    batches = order.order(epoch).reshape(order.batches, order.share)
    return [[int(n) % order.size for n in batch if n >= 0] for batch in batches]


class TestOrder:
    @pytest.mark.parametrize("processes", [1, 2, 3, 5])
    @pytest.mark.parametrize("size, batch_size", [(7, 4), (8, 4), (5, 2), (2, 3)])
    def test_shares_of_a_batch_make_up_the_batch_of_one_process(
        self, size, batch_size, processes
    ):
        whole = drawn(EpochOrder(size, batch_size, 0), 3)
        orders = [
            EpochOrder(size, batch_size, 0, rank, processes)
            for rank in range(processes)
        ]
        shares = zip(*(drawn(order, 3) for order in orders), strict=True)
        assert [sorted(itertools.chain(*share)) for share in shares] == [
            sorted(b) for b in whole
        ]
        assert sorted(itertools.chain(*whole)) == list(range(size))

    def test_shares_of_a_full_batch_differ_by_one_image_at_most(self):
        sizes = [len(drawn(EpochOrder(20, 10, 0, rank, 3), 1)[0]) for rank in range(3)]
        assert sizes == [4, 3, 3]

    @pytest.mark.parametrize("iterator", ["SerialIterator", "MultithreadIterator"])
    @pytest.mark.parametrize("iterations", range(6))
    def test_place_is_where_an_iterator_stands_after_so_many_iterations(
        self, iterator, iterations
    ):
        iterators = []
        for _ in range(2):
            order = EpochOrder(5, 4, 0, 1, 3)
            make = getattr(chainer.iterators, iterator)
            iterators.append(make(Numbers(), order.share, order_sampler=order))
        run, placed = iterators
        for _ in range(iterations):
            run.next()
        order.place(placed, iterations)
        for name in ("epoch", "is_new_epoch", "epoch_detail", "previous_epoch_detail"):
            assert getattr(placed, name) == getattr(run, name), name
        assert [placed.next() for _ in range(5)] == [run.next() for _ in range(5)]


def gradients(loader: DatasetPreProcessor, model, numbers) -> dict[str, np.ndarray]:
    model.cleargrads()
    model(*loader.load_data(numbers)).backward()
    return {name: param.grad for name, param in model.namedparams()}


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize(
    "loss",
    [
        {},
        {"class_weight": np.array([1, 2, 3], "f4"), "lovasz": 0.5},
        {"deep_supervision": 0.5},
    ],
    ids=str,
)
def test_weighted_gradients_of_the_shares_are_those_of_the_batch(
    small_data, batch, loss
):
    """3 of 5 images in batches of 3; half of the labels of an image are missing."""
    small_data.load(training_params={"batch_size": 3})
    loader = DatasetPreProcessor(chainer.global_config.user_train_args)
    get_example = loader.get_example

    def example_with_few_labels(i):
        image, label = get_example(i)
        if int(i) % 5 < 3:
            label[:, : label.shape[1] // 2] = -1
        return image, label

    loader.get_example = example_with_few_labels
    np.random.seed(0)
    model = FCN(3, 3, **loss)
    orders = [EpochOrder(5, 3, 0, rank, 2) for rank in range(2)]
    numbers = [[n for n in order.batch(batch) if n >= 0] for order in orders]
    labelled = [sum(int((loader[n][1] >= 0).sum()) for n in own) for own in numbers]
    total = dict.fromkeys(gradients(loader, model, numbers[0]), 0)
    for own in numbers:
        process = distributed.SeveralProcesses.__new__(distributed.SeveralProcesses)
        process.size, process._mpi = (
            2,
            SimpleNamespace(allreduce=lambda _: sum(labelled)),
        )
        factor = process.loss_factor([loader[n] for n in own])
        for name, gradient in gradients(loader, model, own).items():
            total[name] = (
                total[name] + gradient * factor / 2
            )  # ChainerMN takes the mean
    expected = gradients(loader, model, [n for own in numbers for n in own])
    for name, gradient in expected.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(total[name], gradient, rtol=0, atol=1e-5 * scale)


class Numbers:
    """A data set whose examples are the numbers they are asked for by."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, number: int) -> int:
        return number


class TestShares:
    @pytest.mark.parametrize("size, processes", [(16, 3), (5, 2), (2, 3), (100, 7)])
    def test_every_image_is_scored_once_in_the_batches_of_one_process(
        self, size, processes
    ):
        whole, batch_size = distributed.OneProcess().share(size, 10)
        assert list(whole) == list(range(size))
        batches = {tuple(whole[i : i + batch_size]) for i in range(0, size, batch_size)}
        scored = []
        for rank in range(processes):
            process = distributed.OneProcess()
            process.rank, process.size = rank, processes
            share, _ = process.share(size, 10)
            for i in range(0, len(share), batch_size):
                assert share[i] < 0 or tuple(share[i : i + batch_size]) in batches
            scored += [n for n in share if n >= 0]
        assert sorted(scored) == list(range(size))

    def test_share_without_images_has_no_loss_no_gradient_and_no_pixels(
        self, small_data
    ):
        small_data.load()
        loader = DatasetPreProcessor(chainer.global_config.user_train_args)
        model = FCN(3, 3)
        nothing = [loader[EpochOrder.PADDING]]
        loss = model(*to_batch(nothing, chainer.get_device("@numpy")))
        model.cleargrads()
        loss.backward()
        assert loss.array == 0 and model.evaluator.confusion.sum() == 0
        assert all((p.grad == 0).all() for p in model.params())


def test_one_process_never_imports_mpi4py(small_data):
    code = (
        "import sys, train; train.main(sys.argv[1:]); "
        "assert not {'mpi4py', 'chainermn'} & set(sys.modules)"
    )
    config = small_data.write_config(training_params={"epochs": 1})
    command = [sys.executable, "-c", code, "--config", str(config)]
    environment = {**os.environ, "OMPI_COMM_WORLD_SIZE": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def mpiexec(
    processes: int, *words: str, **variables: str
) -> subprocess.CompletedProcess:
    """Run Python with several processes; the test machine may have fewer cores."""
    command = [str(MPIEXEC), "-n", str(processes), "--map-by", ":OVERSUBSCRIBE"]
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        **variables,
    }
    return subprocess.run(
        [*command, "--bind-to", "none", sys.executable, *words],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


# Fails in the second epoch, in process 1 only: by an error in a file, or by a signal.
FAILURES = {
    "error": "raise errors.UserError('train_3.png: gone')",
    "killed": "os.kill(os.getpid(), 9)",
}
SIGNALLED = "os.kill(os.getpid(), 15)"
FAILING_TRAINING = """
import os, sys, train, mini_batch_loader as m
from files import errors
get = m.DatasetPreProcessor.get_example
def get_example(self, i):
    if os.environ['OMPI_COMM_WORLD_RANK'] == '1' and int(i) > 2 * 8 * 7:
        {failure}
    return get(self, i)
m.DatasetPreProcessor.get_example = get_example
errors.run_program(lambda: train.main(sys.argv[1:]))
"""


class Runs:
    """2 epochs of 7 images in batches of 4, with 1, 2 and 3 processes."""

    def __init__(self, folder: Path):
        self.data = SmallData(folder / "set", train=7, val=3, test=3, size=(32, 48))
        self.config = str(
            self.data.write_config(
                training_params={"batch_size": 4},
                augmentation_params={"do_augment": True},
            )
        )
        self.printed = {}
        self.train(1, "0", "--set", "training_params.learning_rate=1e-30")
        self.start = self.weights("0")
        self.train(1, "1")
        self.train(2, "2")
        self.train(3, "3")

    def train(self, processes: int, name: str, *options: str) -> None:
        words = ["--config", self.config, "--set", f"output_path=by_{name}", *options]
        if processes == 1:
            train.main(words)
            return
        done = mpiexec(processes, "train.py", *words)
        assert done.returncode == 0, done.stderr
        self.printed[name] = done.stdout

    def log(self, name: str) -> list[dict]:
        entries = json.loads((self.data.folder / f"by_{name}" / "log").read_text())
        return [{k: v for k, v in e.items() if k != "elapsed_time"} for e in entries]

    def weights(self, name: str) -> dict[str, np.ndarray]:
        folder = self.data.folder / f"by_{name}" / "model"
        return stored_weights(folder / "fcn_final.npz")

    def assert_same(self, name: str) -> None:
        """The run is that of one process, to float32 rounding."""
        for ours, theirs in zip(self.log(name), self.log("1"), strict=True):
            assert ours.keys() == theirs.keys()
            for key, value in theirs.items():
                # A pixel in the balance may tip: 1 of the 4608 that are scored.
                close = {"rel": 1e-5} if key.endswith("loss") else {"abs": 1e-3}
                if key.endswith("by_class"):  # of a rare class one pixel is more
                    close = {"abs": 1e-2}
                assert ours[key] == pytest.approx(value, **close), key
        # Adam makes a step of the smallest gradient, rounding and all: so not each weight by
        # itself, but what the training did to all of them.
        before, theirs, ours = self.start, self.weights("1"), self.weights(name)
        change = sum(((theirs[k] - before[k]) ** 2).sum() for k in before)
        difference = sum(((theirs[k] - ours[k]) ** 2).sum() for k in before)
        assert difference < 0.01**2 * change


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("mpi"))


@mpi
class TestProcesses:
    @pytest.mark.parametrize("processes", [2, 3])
    def test_losses_figures_and_weights_are_those_of_one_process(self, runs, processes):
        runs.assert_same(str(processes))

    @emulated
    def test_each_process_of_a_machine_takes_a_gpu_of_its_own(self, runs):
        words = ["--config", runs.config, "--set", "output_path=by_gpus"]
        words += ["--set", "gpu=0", "--set", "communicator=naive"]
        variables = {"PYTHONPATH": str(EMULATION), "CUPY_ON_CPU_DEVICES": "2"}
        done = mpiexec(2, "train.py", *words, **variables)
        assert done.returncode == 0, done.stderr
        runs.assert_same("gpus")
        variables["CUPY_ON_CPU_DEVICES"] = "1"
        done = mpiexec(2, "train.py", *words, **variables)
        assert done.returncode == 2
        assert "error: gpu: 1 cannot be used: cudaErrorInvalidDevice" in done.stderr

    def test_only_the_first_process_prints(self, runs):
        assert runs.printed["3"].count("training finished after 2 epochs") == 1
        assert runs.printed["3"].count("1/2") == 1

    @pytest.mark.parametrize("first, second", [(2, 3), (3, 1), (1, 2)])
    def test_snapshot_goes_on_with_another_number_of_processes(
        self, runs, first, second
    ):
        after_an_epoch = min((runs.data.folder / f"by_{first}").glob("snapshot_*"))
        name = f"{first}_then_{second}"
        runs.train(second, name, "--resume", str(after_an_epoch))
        runs.assert_same(name)

    def test_test_scores_are_those_of_one_process_exactly(self, runs):
        scores = []
        for processes in (1, 2):
            words = ["--config", runs.config, "--set", "output_path=by_1"]
            if processes == 1:
                predict.main(words)
            else:
                done = mpiexec(processes, "predict.py", *words)
                assert done.returncode == 0, done.stderr
            folder = runs.data.folder / "by_1" / "predict"
            figures = json.loads((folder / "scores.json").read_text())
            figures["time"] = None
            pictures = [path.read_bytes() for path in sorted(folder.glob("test_*.png"))]
            scores.append((figures, pictures))
        assert scores[0] == scores[1] and len(scores[0][1]) == 3

    @pytest.mark.parametrize("failure", FAILURES)
    def test_failure_of_one_process_ends_all_with_its_error(self, runs, failure):
        code = FAILING_TRAINING.format(failure=FAILURES[failure])
        words = ["--config", runs.config, "--set", f"output_path=by_{failure}"]
        done = mpiexec(3, "-c", code, *words)
        if failure == "error":
            assert done.returncode == 2
            assert done.stderr.count("error: train_3.png: gone") == 1
            assert "Traceback" not in done.stderr
        else:
            assert done.returncode == 128 + 9
        assert [entry["epoch"] for entry in runs.log(failure)] == [1]

    def test_signal_to_one_process_ends_all_after_the_same_iteration(self, runs):
        words = ["--config", runs.config, "--set", "output_path=by_signalled"]
        done = mpiexec(2, "-c", FAILING_TRAINING.format(failure=SIGNALLED), *words)
        assert done.returncode == 128 + 15
        assert "in epoch 2 (iteration 3); to go on: " in done.stdout
        runs.train(3, "signalled", "--resume")
        runs.assert_same("signalled")

    def test_error_of_all_processes_is_told_once(self, runs):
        done = mpiexec(3, "train.py", "--config", runs.config, "--set", "in_ch=2")
        assert done.returncode == 2
        assert done.stderr.count("error: ") == 1

    def test_loss_that_diverges_is_told_once(self, runs):
        options = {
            "output_path": "by_diverging",
            "training_params.learning_rate": "1e18",
            "training_params.lovasz": "2",
        }
        words = [
            w for key, value in options.items() for w in ("--set", f"{key}={value}")
        ]
        done = mpiexec(2, "train.py", "--config", runs.config, *words)
        assert done.returncode == 2
        assert done.stderr.count("error: the loss is nan in epoch 1, iteration 2") == 1
        assert "Traceback" not in done.stderr

    def test_communicator_that_cannot_be_used_gives_chainermns_reason(self, runs):
        words = ["--config", runs.config, "--set", "communicator=pure_nccl"]
        done = mpiexec(2, "train.py", *words)
        assert done.returncode == 2
        message = "error: communicator: pure_nccl cannot be used: PureNcclCommunicator"
        assert message in done.stderr
