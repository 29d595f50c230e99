"""The table of classes that a configuration asks for; config.py calls it."""

from dataset.file_finder import find_image, find_label, label_beside
from dataset.label_reader import palette_table
from dataset.label_table import LabelTable, ignoring, read_label_table, with_label_rules
from dataset.list_reader import read_list
from files.errors import UserError, printable


def table_of(config) -> LabelTable:
    """The classes of a Config: those in label_path, or of the palette of the first training label.

    Raises:
        UserError: the table is missing or wrong, or another key disagrees with it.
    """
    if config.label_path is None:
        path = _first_label(config)
        table = ignoring(palette_table(path, config.n_class), config.ignore_labels)
    else:
        table = read_label_table(config.label_path, config.ignore_labels)
    if config.n_class not in (None, len(table)):
        raise UserError(
            f"n_class: {config.n_class} disagrees with {printable(config.label_path)}, which "
            f"has {len(table)} classes; remove the key or correct it"
        )
    return with_label_rules(
        table, config.ignore_index, config.label_values, config.background_label
    )


def _first_label(config) -> str:
    images, labels = read_list(config.train_image_pointer, "train_image_pointer")
    if labels and labels[0] is not None:
        return find_label(config.image_dir_path, labels[0])
    return label_beside(find_image(config.image_dir_path, images[0]))
