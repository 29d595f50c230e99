"""Trains the SqueezeNet-FCN: python train.py --config config.yaml"""

import argparse
import os
import shlex
import sys

import chainer_compat

import chainer
import numpy as np
from chainer.training import extensions, triggers

import checkpoint
from config import Config, dump_config, load_config
from data_check import check_datasets
from device import choose_device
from errors import UserError, run_program
from fcn_squeeze import FCN
from inference import Segmenter
from mini_batch_loader import DatasetPreProcessor, EpochOrder, to_batch
from report import write_report
from training import EpochFigures, EpochTable, Updater, Validation
from training_pictures import Curves, ProgressPictures


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)

    # Configuration -> chainer.global_config
    config = load_config(arguments.config, arguments.set)
    args = chainer.global_config.user_train_args
    chainer.global_config.train = args.train
    chainer.set_debug(args.debug_mode)
    device = choose_device(args.gpu)

    # Datasets
    train_mini_batch_loader, train_data_size = prepare_dataset()
    val_mini_batch_loader = DatasetPreProcessor(chainer.global_config.user_val_args)
    lists = {"train": train_mini_batch_loader, "val": val_mini_batch_loader}
    print(check_datasets(lists), end="\n\n")

    # Iterators: every image once an epoch, in an order that the seed decides
    order = EpochOrder(train_data_size, args.training_params.batch_size, args.seed)
    train_iterator = make_iterator(train_mini_batch_loader, order_sampler=order)
    val_iterator = make_iterator(val_mini_batch_loader, repeat=False, shuffle=False)

    # Model
    np.random.seed(args.seed)
    model = FCN(args.n_class, args.in_ch, dilated=args.dilated)
    model.to_device(device)

    # Optimizer
    optimizer = chainer.optimizers.Adam(alpha=args.training_params.learning_rate)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer.WeightDecay(args.training_params.weight_decay))

    # Updater and trainer
    def batch_names(iteration: int) -> list[str]:
        return train_mini_batch_loader.file_names(order.batch(iteration))

    epochs = args.training_params.epochs
    updater = Updater(train_iterator, optimizer, to_batch, device, batch_names)
    trainer = chainer.training.Trainer(updater, (epochs, "epoch"), args.output_path)

    # Each epoch: figures of training and validation, log, table, curves
    trainer.extend(EpochFigures(model))
    trainer.extend(extensions.observe_value("lr", lambda trainer: optimizer.alpha))
    trainer.extend(Validation(val_iterator, model, to_batch, device))
    trainer.extend(extensions.LogReport(filename="log"))
    trainer.extend(EpochTable(epochs), trigger=(1, "epoch"))
    trainer.extend(Curves())
    if sys.stdout.isatty():
        trainer.extend(extensions.ProgressBar(update_interval=1))

    # At the start and every few epochs: what the model makes of a few validation images
    every_few_epochs = (args.training_params.snapshot_epochs, "epoch")
    progress = ProgressPictures(Segmenter(model, args, device), val_mini_batch_loader)
    trainer.extend(progress, trigger=every_few_epochs, call_before_training=True)

    # Models: every few epochs, and the best so far; snapshots to go on from
    best_so_far = triggers.MaxValueTrigger("validation/main/miou")
    trainer.extend(save_model(model, "{}"), name="model", trigger=every_few_epochs)
    trainer.extend(save_model(model, "best"), name="best_model", trigger=best_so_far)
    trainer.extend(snapshot, trigger=(1, "epoch"), priority=-100)

    if arguments.resume is not None:
        resume(trainer, arguments.resume)
    prepare_output(args.output_path, config)
    trainer.run(show_loop_exception_msg=False)
    save_model(model, "final")(trainer)
    write_report(args.output_path)
    print_success(trainer, arguments)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train the SqueezeNet-FCN of the chapter."
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="the YAML configuration"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="use another value for one key, for instance training_params.epochs=3; repeatable",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="SNAPSHOT",
        help="go on from a snapshot; without a file: from the newest in output_path",
    )
    return parser.parse_args(argv)


def prepare_dataset() -> tuple[DatasetPreProcessor, int]:
    """The training images of the loaded configuration, and their number."""
    train_mini_batch_loader = DatasetPreProcessor(chainer.global_config.user_train_args)
    return train_mini_batch_loader, len(train_mini_batch_loader)


def make_iterator(loader: DatasetPreProcessor, **order) -> chainer.dataset.Iterator:
    """Chainer's iterator for a loader: with threads that read ahead, or without."""
    batch_size, jobs = loader.args.training_params.batch_size, loader.args.loader_jobs
    if jobs == 0:
        return chainer.iterators.SerialIterator(loader, batch_size, **order)
    return chainer.iterators.MultithreadIterator(
        loader, batch_size, n_threads=jobs, **order
    )


def prepare_output(output_path: str, config: Config) -> None:
    """Make the folder of the run and store the configuration as used in it."""
    try:
        text = dump_config(config, output_path)
        checkpoint.write_text(os.path.join(output_path, "config.yaml"), text)
    except OSError as error:
        raise UserError(
            f"output_path: cannot write {error.filename}: {error.strerror}"
        ) from None


def save_model(model: FCN, version: str):
    """An extension that stores the weights; the version may hold {} for the epoch."""

    def save(trainer: chainer.training.Trainer) -> None:
        path = chainer.global_config.user_train_args.model_path
        checkpoint.save_npz(path.format(version.format(trainer.updater.epoch)), model)

    return save


def snapshot(trainer: chainer.training.Trainer) -> None:
    checkpoint.save_snapshot(trainer)


def resume(trainer: chainer.training.Trainer, path: str) -> None:
    """Bring the trainer to the state of a snapshot; an empty path means the newest."""
    found = [path] if path else checkpoint.snapshots(trainer.out)
    if not found:
        print(
            f"--resume: no snapshot in {trainer.out} yet; starting from the beginning"
        )
        return
    checkpoint.restore(found[0], trainer)
    print(f"resumed from {found[0]}, after epoch {trainer.updater.epoch}")


def print_success(
    trainer: chainer.training.Trainer, arguments: argparse.Namespace
) -> None:
    """The last lines: what was reached, where everything is, and what to do next."""
    next_command = ["python", "predict.py", "--config", arguments.config]
    for override in arguments.set:
        next_command += ["--set", override]
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
        f"score it on the test images: {shlex.join(next_command)}"
    )


if __name__ == "__main__":
    run_program(main)
