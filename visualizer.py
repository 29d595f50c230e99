"""Draws curves of a training run."""

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")


def draw_curves(log: list[dict], path: str) -> None:
    """Draw loss and mean IoU over the epochs, for training and validation.

    Args:
        log: the entries of Chainer's LogReport.
        path: the picture to write (PNG).
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss_axes, iou_axes = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in log]
    for prefix, label in (("main", "training"), ("validation/main", "validation")):
        loss_axes.plot(epochs, [e[f"{prefix}/loss"] for e in log], label=label)
        iou_axes.plot(epochs, [100 * e[f"{prefix}/miou"] for e in log], label=label)
    loss_axes.set(xlabel="epoch", ylabel="cross entropy (nats per pixel)", title="Loss")
    iou_axes.set(xlabel="epoch", ylabel="mean IoU (%)", title="Mean IoU")
    for axes in (loss_axes, iou_axes):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)
