"""Lists that leave one group of images out, a drive for instance; ablation.py judges recipes on it.

Frames of one drive are much alike: a recipe that is judged on neighbours of its training frames
looks better than it is on another street.
"""

import os
import re

from config import Config
from dataset.list_reader import read_list
from files.errors import UserError
from files.whole_file import write_text


def write_lists(config: Config, pattern: str, folder: str) -> dict[str, list[str]]:
    """For each group of the training images, lists to train on the others and to judge on it.

    Args:
        config: whose ``train_image_pointer`` is divided; its other lists are not used.
        pattern: a regular expression; images whose file names begin with the same match are a
            group.
        folder: where the lists go, in a folder for each group.

    Returns:
        dict: {group: what to ``--set`` to use its lists}. The group is validated with, too:
        the last epoch's model is scored, which does not depend on that.

    Raises:
        UserError: the expression is none, or does not make two groups or more.
    """
    images = read_list(config.train_image_pointer, "train_image_pointer")
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(images.images):
        groups.setdefault(_group(pattern, os.path.basename(name)), []).append(index)
    if len(groups) < 2:
        raise UserError(f"--leave-out: all images are of one group, {min(groups)}")
    settings = {}
    for group, own in groups.items():
        others = sorted(set(range(len(images.lines))) - set(own))
        paths = {}
        for part, indices in (("train", others), ("test", own)):
            paths[part] = os.path.join(folder, group, part)
            text = "".join(f"{images.lines[i]}\n" for i in indices)
            write_text(paths[part], text)
        settings[group] = [
            f"train_image_pointer={paths['train']}",
            f"val_image_pointer={paths['test']}",
            f"test_image_pointer={paths['test']}",
        ]
    return settings


def _group(pattern: str, name: str) -> str:
    try:
        found = re.match(pattern, name)
    except re.error as error:
        raise UserError(
            f"--leave-out: {pattern} is no regular expression: {error}"
        ) from None
    group = found and re.sub(r"\W", "_", found.group())
    if not group:
        raise UserError(f"--leave-out: {name} does not begin with {pattern}")
    return group
