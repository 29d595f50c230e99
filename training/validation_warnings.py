"""Says in a sentence where validation goes wrong in a way that curves hide; an extension of train.py."""

import numpy as np
from chainer.training import extension

from evaluation.run_log import best_entry
from files.errors import printable
from files.progress_bar import print_above
from files.text_table import percent

# Epochs in a row after which it is said: that validation predicts one class only, that it never
# predicts a class, that it has not been better.
_ALONE, _NEVER, _FALLEN = 3, 10, 10
# Validation has fallen where its mean over so many epochs is below this part of the best.
_RECENT, _PART = 5, 0.95


class ValidationWarnings(extension.Extension):
    """Prints a sentence when something has gone wrong for some epochs, not again in each of them."""

    trigger = (1, "epoch")
    name = "validation_warnings"

    def __init__(self, names: list[str]):
        self._names = names  # of the classes
        # Epochs in a row in which one class only was predicted, or a class was not.
        self._alone = 0
        self._never = np.zeros(len(names), np.int64)

    def __call__(self, trainer) -> None:
        confusion = trainer.get_extension("validation").confusion
        log = trainer.get_extension("LogReport").log
        for sentence in (
            self._one_class(confusion),
            self._never_predicted(confusion),
            has_fallen(log),
        ):
            if sentence:
                print_above(f"warning: {sentence}")

    def _one_class(self, confusion: np.ndarray) -> str | None:
        occurring, predicted = confusion.any(axis=1), confusion.any(axis=0)
        is_alone = occurring.sum() > 1 and predicted.sum() == 1
        self._alone = self._alone + 1 if is_alone else 0
        if self._alone != _ALONE:
            return None
        return (
            f"for {_ALONE} epochs validation has predicted {self._name(predicted.argmax())} only; if "
            "that goes on, look at the labels with data_check.py, and lower training_params.learning_rate"
        )

    def _never_predicted(self, confusion: np.ndarray) -> str | None:
        missed = confusion.any(axis=1) & ~confusion.any(axis=0)
        self._never = np.where(missed & (not self._alone), self._never + 1, 0)
        classes = np.flatnonzero(self._never == _NEVER)
        if not len(classes):
            return None
        pixels = confusion.sum(axis=1)
        shares = [
            f"{self._name(c)} ({percent(pixels[c] / pixels.sum(), 2)} of the pixels)"
            for c in classes
        ]
        return (
            f"for {_NEVER} epochs validation has not once predicted {', '.join(shares)}; more images of "
            "it, training_params.class_weights or lovasz help rare classes"
        )

    def _name(self, number: int) -> str:
        return printable(self._names[number])

    def serialize(self, serializer) -> None:
        self._alone = int(serializer("alone", self._alone))
        self._never = serializer("never", self._never)


def has_fallen(log: list[dict]) -> str | None:
    """A sentence at the first epoch at which the log shows that validation has fallen since the best."""
    best = best_entry(log)
    if not _is_below(log, best) or any(
        _is_below(log[:end], best) for end in range(best + 1, len(log))
    ):
        return None
    then, now = log[best], log[-1]
    return (
        f"validation has fallen since epoch {then['epoch']}: mean IoU "
        f"{percent(then['validation/main/miou'])} then, {percent(now['validation/main/miou'])} now, in "
        f"training {percent(then['main/miou'])} and {percent(now['main/miou'])}; fcn_best.npz keeps the "
        "best; more images or augmentation help, and training_params.patience ends such a run"
    )


def _is_below(log: list[dict], best: int) -> bool:
    """Whether the last epochs are below the best one, and that is long enough ago."""
    if len(log) - 1 - best < _FALLEN:
        return False
    recent = [entry["validation/main/miou"] for entry in log[-_RECENT:]]
    return float(np.mean(recent)) < _PART * log[best]["validation/main/miou"]
