"""A run in its output folder: started or resumed, then ended with its last files and words; for train.py."""

import argparse
import contextlib
import os
from dataclasses import InitVar, dataclass, field

import chainer

from config import Config
from evaluation.report import write_report
from evaluation.run_log import best_entry
from files.command_line import command
from files.errors import UserError
from files.paths import from_here
from mini_batch_loader import DatasetPreProcessor
from training import output_folder
from training.class_weights import ClassWeights
from training.distributed import OneProcess
from training.folder_lock import locked
from training.initial_weights import start_from
from training.interruption import Interrupted, StopSignals
from training.model_files import save_model
from training.result_settings import Settings, result_settings
from training.run_record import write_record
from training.snapshots import restore, restore_newest


@dataclass
class Session:
    """What a run needs beside Chainer's trainer, from the command line to the last line printed.

    Args:
        arguments: of train.py's command line.
        config: the whole configuration.
        train: the training images.
        val: the validation images.
        processes: as distributed.join() gives them.

    Attributes:
        settings (dict): all that the result depends on.
        stop (StopSignals): tells that the run is to end early.
    """

    arguments: argparse.Namespace
    config: Config
    train: InitVar[DatasetPreProcessor]
    val: InitVar[DatasetPreProcessor]
    processes: OneProcess
    settings: Settings = field(init=False)
    stop: StopSignals = field(init=False, default_factory=StopSignals)

    def __post_init__(self, train: DatasetPreProcessor, val: DatasetPreProcessor):
        table = train.args.label_table
        self.settings = result_settings(self.config, train.lines, val.lines, table)
        self._lists = {"training": train, "validation": val}

    def run(
        self,
        trainer: chainer.training.Trainer,
        data_summary: str,
        class_weights: ClassWeights | None,
    ) -> int:
        """Train in output_path, which is locked meanwhile; all processes must call it.

        What is known about the data is printed first, but not if the training is refused.

        Returns:
            int: the exit code: 0, or a signal's.

        Raises:
            UserError: output_path cannot be used, the snapshot does not fit, or training failed.
        """
        is_first = self.processes.rank == 0
        lock = locked(trainer.out) if is_first else contextlib.nullcontext()
        with lock as refuse_lost_folder, self.stop:
            if is_first:
                trainer.extend(refuse_lost_folder)
                self._prepare(trainer)
                write_record(trainer.out, self.arguments, self._lists)
                print(data_summary)
                if class_weights:
                    print(class_weights.as_table() + "\n")
                    class_weights.write(trainer.out)
            self.processes.share_state(trainer.updater)
            try:
                trainer.run(show_loop_exception_msg=False)
            except Interrupted:
                self._print_how_to_go_on(trainer)
                return self.stop.exit_code
            if is_first:
                refuse_lost_folder()
                save_model("final")(trainer)
                best = trainer.get_extension("best_model")
                best.store_temperature(self._lists["validation"])
                write_report(trainer.out)
                output_folder.discard_earlier(trainer.out)
                self._print_success(trainer)
        return 0

    def _prepare(self, trainer: chainer.training.Trainer) -> None:
        """Go on with the run that output_path holds, or clear it for a new one."""
        goes_on = self.arguments.resume is not None or self.arguments.extend
        resumed = self._resume(trainer) if goes_on else None
        overwrite = self.arguments.overwrite
        start = None if resumed else self._initial_weights(trainer)
        earlier = output_folder.take_over(trainer.out, self.config, resumed, overwrite)
        if earlier:
            print(
                f"replacing the results of an earlier run in {from_here(trainer.out)}; until this one has "
                f"finished, the earlier one can be continued with --resume {from_here(earlier)}"
            )
        if start:
            print(start + "\n")

    def _initial_weights(self, trainer: chainer.training.Trainer) -> str | None:
        """Start from the model that init_weights names; gives what was taken from it."""
        path = self.config.init_weights
        model = trainer.updater.get_optimizer("main").target
        args = chainer.global_config.user_train_args
        if not path:
            return None
        taken = start_from(path, model, args)
        trainer.updater.average.restart(model)
        return taken

    def _resume(self, trainer: chainer.training.Trainer) -> str | None:
        """Bring the trainer to the state of a snapshot; gives its path, None if there is none."""
        path, more = self.arguments.resume, self.arguments.extend
        if path:
            restore(path, trainer, self.settings)
        else:
            path = restore_newest(trainer.out, trainer, self.settings)
        if more:
            self._refuse_unfinished(trainer, path)
        if not path:
            print(
                f"--resume: no snapshot in {from_here(trainer.out)} yet; starting from the beginning"
            )
            return None
        epoch, iteration = trainer.updater.epoch, trainer.updater.iteration
        print(
            f"resumed from {from_here(path)}, after epoch {epoch} (iteration {iteration})"
        )
        if more:
            print(self._extension(more))
        epochs = self.config.training_params.epochs
        if epoch >= epochs and not trainer.updater.is_new_epoch:
            raise UserError(
                f"--resume: {path} is in epoch {trainer.updater.epoch_of_batch} already, beyond "
                f"training_params.epochs: {epochs}; make that larger, or start again without "
                "--resume"
            )
        if epoch >= epochs:
            print("this run has finished already; for N more epochs: --extend N")
        elif trainer.updater.is_new_epoch and trainer.stop_trigger.is_reached(trainer):
            print(
                "this run has ended already, by training_params.patience; to go on: "
                "--set training_params.patience=0"
            )
        return path

    def _refuse_unfinished(self, trainer, path: str | None) -> None:
        """Raise a UserError where there is no finished run that --extend could make longer."""
        if not path:
            raise UserError(
                f"--extend: there is no run in {from_here(trainer.out)} to train on; start one without it"
            )
        end = self.config.training_params.restarts[-1]
        if trainer.updater.epoch < end:
            raise UserError(
                f"--extend: the run in {from_here(trainer.out)} has not finished yet: it has done "
                f"{trainer.updater.epoch} of {end} epochs; go on with --resume instead "
                "(and training_params.patience: 0 if that ended it)"
            )

    def _extension(self, more: int) -> str:
        """What --extend does, above all to the learning rate."""
        params = self.config.training_params
        rate = f"the learning rate stays {params.learning_rate:g}"
        if params.schedule == "poly":
            rate = f"the learning rate starts again at {params.learning_rate:g} and falls to 0"
        return f"training on for {_epochs(more)}, to epoch {params.epochs}; {rate}"

    def _print_how_to_go_on(self, trainer: chainer.training.Trainer) -> None:
        """The last lines of a run that was asked to end."""
        go_on = command("train.py", self.arguments, "--resume")
        print(
            f"ended by {self.stop.reason} in epoch {trainer.updater.epoch_of_batch} (iteration "
            f"{trainer.updater.iteration}); to go on: {go_on}"
        )

    def _print_success(self, trainer: chainer.training.Trainer) -> None:
        """The last lines: what was reached, where everything is, and what to do next."""
        log = trainer.get_extension("LogReport").log
        best = log[best_entry(log)]
        out = from_here(trainer.out)
        model_path = from_here(chainer.global_config.user_train_args.model_path)
        params, done = self.config.training_params, trainer.updater.epoch
        finished = f"finished after {_epochs(done)}"
        if done < params.epochs:
            finished = (
                f"ended early, after {done} of {_epochs(params.epochs)}: no better validation mean "
                f"IoU for {_epochs(params.patience)} (training_params.patience)"
            )
        print(
            f"\ntraining {finished}; best epoch {best['epoch']}:\n"
            f"  validation pixel accuracy {best['validation/main/accuracy']:.1%}, "
            f"mean IoU {best['validation/main/miou']:.1%}\n"
            f"  model   {model_path.format('best')}\n"
            f"          {model_path.format('final')} (the last epoch's)\n"
            f"  log     {os.path.join(out, 'log')}\n"
            f"  curves  {os.path.join(out, 'curves.png')}\n"
            f"  report  {os.path.join(out, 'report.html')}\n"
            f"score it on the test images: {command('predict.py', self.arguments)}"
        )


def _epochs(number: int) -> str:
    return f"{number} epoch{'' if number == 1 else 's'}"
