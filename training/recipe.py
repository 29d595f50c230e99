"""The options of the network in training that a configuration asks for; for train.py and learn.py."""

from types import SimpleNamespace

from training.class_weights import ClassWeights


def network_options(
    args: SimpleNamespace, class_weights: ClassWeights | None
) -> dict[str, object]:
    """The keyword arguments of FCN() for the keys of a configuration.

    Args:
        args: ``chainer.global_config.user_train_args``.
        class_weights: as count_class_weights() gives them.
    """
    params = args.training_params
    return {
        "dilated": args.dilated,
        "bypass": args.bypass,
        "class_weight": class_weights and class_weights.values,
        "lovasz": params.lovasz,
        "deep_supervision": params.deep_supervision,
        "bilinear": params.init_deconvolutions == "bilinear",
    }
