"""Trains the SqueezeNet-FCN: python train.py --config config.yaml"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse

import chainer_compat

import chainer
import numpy as np
from chainer.training import extensions

from config import load_config
from dataset.epoch_order import EpochOrder
from evaluation.model_description import describe_model
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files.command_line import add_config_arguments
from files.errors import run_program
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor
from training import distributed
from training.class_weights import count_class_weights
from training.epoch_figures import EpochFigures, Validation
from training.epoch_log import Log
from training.extended_run import added_epochs, extended
from training.frozen_layers import freeze
from training.loop import LastEpoch, LearningRate, ReadingAhead, Updater
from training.mixed_precision import MixedPrecisionAdam
from training.model_files import BestModel, save_model
from training.preflight import check_datasets
from training.progress import Curves, EpochBar, EpochTable, ProgressPictures
from training.recipe import network_options
from training.session import Session
from training.snapshots import Snapshots
from training.transfer import batch_converter
from training.validation_warnings import ValidationWarnings
from training.weight_average import WeightAverage


def main(argv: list[str] | None = None) -> int:
    processes = distributed.join()  # one, or those that mpiexec started

    # Configuration -> chainer.global_config
    arguments = parse_arguments(argv)
    with processes.one_first():
        config = load_config(arguments.config, arguments.set)
        config = extended(config, arguments.extend, arguments.resume is not None)
    args = chainer.global_config.user_train_args
    params = args.training_params
    chainer.global_config.train = args.train
    chainer.set_debug(args.debug_mode)

    # Device, and the numbers that it computes with
    device = choose_device(processes.gpu(args.gpu))
    processes.connect(args.communicator, device)
    mixed = args.dtype == "mixed16"
    chainer.global_config.dtype = chainer.mixed16 if mixed else np.float32

    # Datasets
    train_mini_batch_loader, train_data_size = prepare_dataset()
    val_mini_batch_loader = DatasetPreProcessor(chainer.global_config.user_val_args)
    lists = train_mini_batch_loader, val_mini_batch_loader
    data_summary = check_datasets(*lists) if processes.local_rank == 0 else ""

    # Iterators: every image once an epoch, in an order that the seed decides
    order = EpochOrder(train_data_size, params.batch_size, args.seed, *processes.place)
    train_iterator = make_iterator(train_mini_batch_loader, order.share, order)
    val_iterator = make_val_iterator(val_mini_batch_loader, processes)

    # Model
    np.random.seed(args.seed)
    weights = count_class_weights(train_mini_batch_loader)
    model = FCN(args.n_class, args.in_ch, **network_options(args, weights))
    model.to_device(device)
    average = WeightAverage(model, params.weight_average)
    judged = average.model  # what is validated and stored

    # Optimizer
    adam = MixedPrecisionAdam if mixed else chainer.optimizers.Adam
    optimizer = adam(alpha=params.learning_rate).setup(model)
    freeze(model, params.freeze)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(params.weight_decay))
    optimizer = processes.optimizer(optimizer)

    # Updater and trainer
    to_batch = batch_converter(device)
    rate = LearningRate(params, order.batches)
    updater = Updater(
        train_iterator, optimizer, to_batch, device, order, rate, average, processes
    )
    end = LastEpoch(params, processes)
    trainer = chainer.training.Trainer(updater, end, args.output_path)
    session = Session(arguments, config, *lists, processes)

    # Extensions of all processes: each has a part of the figures of an epoch
    snapshots = Snapshots(session, order.batches)
    stop = snapshots.stop_if_asked
    trainer.extend(EpochFigures(model, processes))
    trainer.extend(extensions.observe_value("lr", lambda trainer: optimizer.alpha))
    trainer.extend(Validation(val_iterator, judged, to_batch, device, stop, processes))
    trainer.extend(snapshots)

    # Extensions of the first process: what one sees of the training, and the models
    if processes.rank == 0:
        show_progress(trainer, order.batches if processes.size == 1 else None)
        show_pictures(trainer, Segmenter(judged, args, device), val_mini_batch_loader)
        store_models(trainer, judged)

    return session.run(trainer, data_summary, weights)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train the SqueezeNet-FCN of the chapter."
    )
    add_config_arguments(parser)
    earlier_run = parser.add_mutually_exclusive_group()
    earlier_run.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="SNAPSHOT",
        help="go on from a snapshot; without a file: from the newest in output_path",
    )
    earlier_run.add_argument(
        "--extend",
        type=added_epochs,
        metavar="N",
        help="train the finished run in output_path on for N epochs; schedule: poly starts again",
    )
    earlier_run.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the results of another configuration in output_path",
    )
    return parser.parse_args(argv)


def prepare_dataset() -> tuple[DatasetPreProcessor, int]:
    """The training images of the loaded configuration, and their number."""
    train_mini_batch_loader = DatasetPreProcessor(chainer.global_config.user_train_args)
    return train_mini_batch_loader, len(train_mini_batch_loader)


def make_iterator(
    dataset: DatasetPreProcessor, batch_size: int, order, repeat: bool = True
) -> chainer.dataset.Iterator:
    """Chainer's iterator: with threads that read ahead, or without."""
    jobs = dataset.args.loader_jobs
    options = {"repeat": repeat, "order_sampler": order}
    if jobs == 0:
        return chainer.iterators.SerialIterator(dataset, batch_size, **options)
    return ReadingAhead(dataset, batch_size, n_threads=jobs, **options)


def make_val_iterator(
    dataset: DatasetPreProcessor, processes: distributed.OneProcess
) -> chainer.dataset.Iterator:
    """This process's share of the validation images, once and in order."""
    batch_size = dataset.args.training_params.batch_size
    images, batch_size = processes.share(len(dataset), batch_size)
    return make_iterator(dataset, batch_size, lambda *_: images, repeat=False)


def show_progress(trainer: chainer.training.Trainer, bar_length: int | None) -> None:
    """After each epoch: log, table, curves; a bar that moves with each iteration of an epoch."""
    args = chainer.global_config.user_train_args
    epochs = args.training_params.epochs
    trainer.extend(Log())
    trainer.extend(EpochTable(epochs))
    trainer.extend(ValidationWarnings(args.label_table.names))
    trainer.extend(Curves())
    if bar_length:  # not with mpiexec, which would garble it
        trainer.extend(EpochBar(epochs, bar_length))


def show_pictures(
    trainer: chainer.training.Trainer, segmenter: Segmenter, dataset
) -> None:
    """At the start and every few epochs: what the model makes of a few validation images."""
    every_few_epochs = (dataset.args.training_params.snapshot_epochs, "epoch")
    pictures = ProgressPictures(segmenter, dataset)
    trainer.extend(pictures, trigger=every_few_epochs, call_before_training=True)


def store_models(trainer: chainer.training.Trainer, model: FCN) -> None:
    """Models every few epochs, and the best so far."""
    args = chainer.global_config.user_train_args
    every_few_epochs = (args.training_params.snapshot_epochs, "epoch")
    trainer.extend(save_model("{}"), name="model", trigger=every_few_epochs)
    path = args.model_path.format("best")
    trainer.extend(BestModel(model, path, describe_model(args)))


if __name__ == "__main__":
    run_program(main)
