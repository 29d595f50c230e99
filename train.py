"""Trains the SqueezeNet-FCN: python train.py --config config.yaml"""

import argparse
import contextlib
import os
import sys

import chainer_compat

import chainer
import numpy as np
from chainer.training import extensions

from config import Config, add_config_arguments, command, load_config
from dataset.epoch_order import EpochOrder
from evaluation.report import write_report
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files import weights, whole_file
from files.errors import UserError, run_program
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor
from training import distributed, output_folder
from training.class_weights import ClassWeights, count_class_weights
from training.epoch_table import EpochTable, Log
from training.fingerprint import Settings, fingerprint
from training.interruption import Interrupted, StopSignals
from training.loop import (
    BestModel,
    EpochFigures,
    LastEpoch,
    LearningRate,
    Updater,
    Validation,
)
from training.mixed_precision import MixedPrecisionAdam
from training.preflight import check_datasets, refuse_missing_files
from training.progress import Curves, ProgressPictures
from training.snapshots import Snapshots, restore, restore_newest
from training.transfer import batch_converter


def main(argv: list[str] | None = None) -> int:
    # Processes: one, or those that mpiexec started
    processes = distributed.join()

    # Configuration -> chainer.global_config
    arguments = parse_arguments(argv)
    with processes.one_first():
        config = load_config(arguments.config, arguments.set)
    args = chainer.global_config.user_train_args
    chainer.global_config.train = args.train
    chainer.set_debug(args.debug_mode)
    device = choose_device(processes.gpu(args.gpu))
    processes.connect(args.communicator, device)
    mixed = args.dtype == "mixed16"
    chainer.global_config.dtype = chainer.mixed16 if mixed else np.float32

    # Datasets
    train_mini_batch_loader, train_data_size = prepare_dataset()
    val_mini_batch_loader = DatasetPreProcessor(chainer.global_config.user_val_args)
    lists = {"train": train_mini_batch_loader, "val": val_mini_batch_loader}
    if processes.local_rank == 0:
        print(check_datasets(lists), end="\n\n")
        # Scored later, by predict.py: after hours of training is late to learn of a missing file.
        refuse_missing_files(DatasetPreProcessor(chainer.global_config.user_test_args))

    # Iterators: every image once an epoch, in an order that the seed decides
    batch_size = args.training_params.batch_size
    order = EpochOrder(
        train_data_size, batch_size, args.seed, processes.rank, processes.size
    )
    train_iterator = make_iterator(
        train_mini_batch_loader, order.share, order_sampler=order
    )
    val_images, val_batch_size = processes.share(len(val_mini_batch_loader), batch_size)
    val_iterator = make_iterator(
        val_mini_batch_loader,
        val_batch_size,
        repeat=False,
        order_sampler=lambda order, position: val_images,
    )

    # Model
    np.random.seed(args.seed)
    class_weights = None
    if args.training_params.class_weights:
        power = args.training_params.class_weights
        class_weights = count_class_weights(train_mini_batch_loader, power)
        print(class_weights.as_table(), end="\n\n")
    model = FCN(
        args.n_class,
        args.in_ch,
        dilated=args.dilated,
        bypass=args.bypass,
        class_weight=class_weights and class_weights.values,
        lovasz=args.training_params.lovasz,
    )
    model.to_device(device)

    # Optimizer
    adam = MixedPrecisionAdam if mixed else chainer.optimizers.Adam
    optimizer = adam(alpha=args.training_params.learning_rate)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer.WeightDecay(args.training_params.weight_decay))
    optimizer = processes.optimizer(optimizer)

    # Updater and trainer
    def batch_names(iteration: int) -> list[str]:
        return train_mini_batch_loader.file_names(order.batch(iteration))

    updater = Updater(
        train_iterator,
        optimizer,
        batch_converter(device),
        device,
        order,
        batch_names,
        LearningRate(args.training_params, order.batches),
        processes,
    )
    end = LastEpoch(args.training_params.epochs)
    trainer = chainer.training.Trainer(updater, end, args.output_path)

    # All processes: figures of training and validation, and what a snapshot needs of each
    names = train_mini_batch_loader.names, val_mini_batch_loader.names
    settings = fingerprint(config, *names, args.label_table)
    stop = StopSignals()
    snapshots = Snapshots(settings, stop, order.batches, processes)
    trainer.extend(EpochFigures(model, processes))
    trainer.extend(extensions.observe_value("lr", lambda trainer: optimizer.alpha))
    trainer.extend(
        Validation(
            val_iterator,
            model,
            batch_converter(device),
            device,
            snapshots.stop_if_asked,
            processes,
        )
    )
    trainer.extend(snapshots)

    # The first process also shows and stores what all have reached
    is_first = processes.rank == 0
    if is_first:
        show_progress(trainer, bar=processes.size == 1 and sys.stdout.isatty())
        show_pictures(trainer, Segmenter(model, args, device), val_mini_batch_loader)
        store_models(trainer, model)

    lock = (
        output_folder.locked(args.output_path) if is_first else contextlib.nullcontext()
    )
    with lock, stop:
        if is_first:
            prepare_output(trainer, arguments, config, settings)
            store_class_weights(trainer.out, class_weights)
        processes.share_state(updater)
        try:
            trainer.run(show_loop_exception_msg=False)
        except Interrupted:
            print_how_to_go_on(trainer, arguments, stop)
            return stop.exit_code
        if is_first:
            save_model(model, "final")(trainer)
            write_report(args.output_path)
            output_folder.discard_earlier(args.output_path)
            print_success(trainer, arguments)
    return 0


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
    dataset: chainer.dataset.DatasetMixin, batch_size: int, **order
) -> chainer.dataset.Iterator:
    """Chainer's iterator: with threads that read ahead, or without."""
    jobs = chainer.global_config.user_train_args.loader_jobs
    if jobs == 0:
        return chainer.iterators.SerialIterator(dataset, batch_size, **order)
    return chainer.iterators.MultithreadIterator(
        dataset, batch_size, n_threads=jobs, **order
    )


def show_progress(trainer: chainer.training.Trainer, bar: bool) -> None:
    """Each epoch: log, table, curves; on a terminal a progress bar, which mpiexec would mar."""
    params = chainer.global_config.user_train_args.training_params
    trainer.extend(Log())
    trainer.extend(EpochTable(params.epochs, bar), trigger=(1, "epoch"))
    trainer.extend(Curves())
    if bar:
        progress_bar = extensions.ProgressBar(update_interval=1)
        # Not a trigger with a state, which the snapshots of other terminals would lack.
        trainer.extend(progress_bar, trigger=lambda trainer: True)


def show_pictures(
    trainer: chainer.training.Trainer,
    segmenter: Segmenter,
    dataset: DatasetPreProcessor,
) -> None:
    """At the start and every few epochs: what the model makes of a few validation images."""
    params = chainer.global_config.user_train_args.training_params
    trainer.extend(
        ProgressPictures(segmenter, dataset),
        trigger=(params.snapshot_epochs, "epoch"),
        call_before_training=True,
    )


def store_models(trainer: chainer.training.Trainer, model: FCN) -> None:
    """Models every few epochs, and the best so far."""
    args = chainer.global_config.user_train_args
    every_few_epochs = (args.training_params.snapshot_epochs, "epoch")
    trainer.extend(save_model(model, "{}"), name="model", trigger=every_few_epochs)
    trainer.extend(BestModel(model, args.model_path.format("best")))


def prepare_output(
    trainer: chainer.training.Trainer,
    arguments: argparse.Namespace,
    config: Config,
    settings: Settings,
) -> None:
    """Go on with the run that output_path holds, or clear it for a new one."""
    if arguments.resume is None or not resume(trainer, arguments.resume, settings):
        if not arguments.overwrite:
            output_folder.refuse_other_results(trainer.out, config)
        earlier = output_folder.start_afresh(trainer.out, arguments.overwrite)
        if earlier:
            print(
                f"replacing the results of an earlier run in {trainer.out}; until this one has "
                f"finished, the earlier one can be continued with --resume {earlier}"
            )
    output_folder.store_config(trainer.out, config)


def store_class_weights(folder: str, class_weights: ClassWeights | None) -> None:
    """Write class_weights.csv, what the loss weighs the classes with."""
    if class_weights is not None:
        path = os.path.join(folder, "class_weights.csv")
        whole_file.write_text(path, class_weights.as_csv())


def save_model(model: FCN, version: str):
    """An extension that stores the weights; the version may hold {} for the epoch."""

    def save(trainer: chainer.training.Trainer) -> None:
        path = chainer.global_config.user_train_args.model_path
        weights.save_npz(path.format(version.format(trainer.updater.epoch)), model)

    return save


def resume(trainer: chainer.training.Trainer, path: str, settings: Settings) -> bool:
    """Bring the trainer to the state of a snapshot; an empty path means the newest, if any."""
    if path:
        restore(path, trainer, settings)
    else:
        path = restore_newest(trainer.out, trainer, settings)
    if not path:
        print(
            f"--resume: no snapshot in {trainer.out} yet; starting from the beginning"
        )
        return False
    epoch, iteration = trainer.updater.epoch, trainer.updater.iteration
    print(f"resumed from {path}, after epoch {epoch} (iteration {iteration})")
    epochs = chainer.global_config.user_train_args.training_params.epochs
    if epoch >= epochs and not trainer.updater.is_new_epoch:
        raise UserError(
            f"--resume: {path} is in epoch {trainer.updater.epoch_of_batch} already, beyond "
            f"training_params.epochs: {epochs}; make that larger, or start again without --resume"
        )
    if epoch >= epochs:
        more = "; for more, make training_params.epochs larger"
        if (
            "training_params.epochs" in settings
        ):  # part of the schedule: no other is allowed
            more = ""
        print(f"this run has finished already{more}")
    return True


def print_how_to_go_on(
    trainer: chainer.training.Trainer, arguments: argparse.Namespace, stop: StopSignals
) -> None:
    """The last lines of a run that was asked to end."""
    go_on = command("train.py", arguments, "--resume")
    print(
        f"ended by {stop.reason} in epoch {trainer.updater.epoch_of_batch} (iteration "
        f"{trainer.updater.iteration}); to go on: {go_on}"
    )


def print_success(
    trainer: chainer.training.Trainer, arguments: argparse.Namespace
) -> None:
    """The last lines: what was reached, where everything is, and what to do next."""
    log = trainer.get_extension("LogReport").log
    best = max(log, key=lambda entry: entry["validation/main/miou"])
    model_path = chainer.global_config.user_train_args.model_path
    print(
        f"\ntraining finished after {trainer.updater.epoch} epochs; best epoch {best['epoch']}:\n"
        f"  validation pixel accuracy {best['validation/main/accuracy']:.1%}, "
        f"mean IoU {best['validation/main/miou']:.1%}\n"
        f"  model   {model_path.format('best')}\n"
        f"          {model_path.format('final')} (the last epoch's)\n"
        f"  log     {os.path.join(trainer.out, 'log')}\n"
        f"  curves  {os.path.join(trainer.out, 'curves.png')}\n"
        f"  report  {os.path.join(trainer.out, 'report.html')}\n"
        f"score it on the test images: {command('predict.py', arguments)}"
    )


if __name__ == "__main__":
    run_program(main)
