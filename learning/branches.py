"""What pool1, pool4 and fire9 each add to the prediction: the figure of the left-out branches."""

import copy

from fcn_squeeze import FCN
from learning.pictures import png
from learning.subject import Subject

# In the order in which the network joins their scores.
BRANCHES = ("pool1", "pool4", "fire9")


def figure(subject: Subject) -> dict:
    """Prediction and validation scores of the whole network, and with each branch left out."""
    x = subject.normalized(subject.photo)
    rows = []
    for left_out in (None, *BRANCHES):
        model = without(subject.model, left_out) if left_out else subject.model
        colors = subject.args.label_table.colors_of_classes(
            subject.classes(x[None], model)[0]
        )
        scores = subject.score(model) if left_out else subject.trained_score
        rows.append(
            {
                "left_out": left_out,
                "picture": png(colors),
                "mean_iou": scores["mean_iou"],
                "pixel_accuracy": scores["pixel_accuracy"],
            }
        )
    return {"rows": rows, "images": len(subject.images)}


def without(model: FCN, branch: str) -> FCN:
    """A copy of a network in which the scores of a branch are 0.

    add_layer is a 1x1 convolution over the joined scores of the three branches: its weights for
    one of them become 0, and everything else stays as it is.
    """
    model = copy.deepcopy(model)
    first = BRANCHES.index(branch) * model.n_class
    model.add_layer.W.array[:, first : first + model.n_class] = 0
    return model
