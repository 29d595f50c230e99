from types import SimpleNamespace

import numpy as np
import pytest

from training.validation_warnings import ValidationWarnings, has_fallen

GOOD = np.diag([6, 3, 1])
NO_CAR = np.array([[6, 0, 0], [0, 3, 0], [1, 0, 0]])
SKY_ONLY = np.array([[6, 0, 0], [3, 0, 0], [1, 0, 0]])


def said(confusions, capsys) -> list[tuple[int, str]]:
    """(epoch, sentence) of all that is printed over some epochs."""
    warnings = ValidationWarnings(["Sky", "Road", "Car"])
    found = []
    log = []
    for epoch, confusion in enumerate(confusions, 1):
        log.append({"epoch": epoch, "validation/main/miou": 0.5, "main/miou": 0.5})
        parts = {
            "validation": SimpleNamespace(confusion=confusion),
            "LogReport": SimpleNamespace(log=log),
        }
        warnings(SimpleNamespace(get_extension=parts.get))
        found += [(epoch, line) for line in capsys.readouterr().out.splitlines()]
    return found


def test_one_class_only_is_said_once_and_again_after_it_was_better(capsys):
    epochs = [SKY_ONLY] * 5 + [GOOD] + [SKY_ONLY] * 4
    found = said(epochs, capsys)
    assert [epoch for epoch, _ in found] == [3, 9]
    assert "for 3 epochs validation has predicted Sky only" in found[0][1]


def test_class_that_is_never_predicted_is_named_once_with_its_share(capsys):
    ((epoch, line),) = said([GOOD] + [NO_CAR] * 15, capsys)
    assert epoch == 11
    assert "has not once predicted Car (10.00 % of the pixels)" in line


def test_classes_that_do_not_occur_are_no_mistake(capsys):
    only_sky_occurs = np.diag([5, 0, 0])
    assert said([only_sky_occurs] * 12, capsys) == []


@pytest.mark.parametrize(
    ("later", "epochs"),
    [
        ([0.5] * 15, [12]),  # 10 epochs after epoch 2
        ([0.59] * 15, []),  # within 5 % of the best
        ([0.59] * 12 + [0.3] * 4, [15]),  # (4 * 0.59 + 0.3) / 5 = 0.532 < 0.57
        (
            [0.5] * 5 + [0.61] + [0.5] * 10,
            [18],
        ),  # counted from the new best one, epoch 8
    ],
)
def test_validation_that_falls_is_said_once(later, epochs):
    log = [
        {"epoch": n, "validation/main/miou": miou, "main/miou": 0.7}
        for n, miou in enumerate([0.1, 0.6, *later], 1)
    ]
    found = [n for n in range(1, len(log) + 1) if has_fallen(log[:n])]
    assert found == epochs
    if found:
        sentence = has_fallen(log[: found[0]])
        assert f"since epoch {8 if found == [18] else 2}: mean IoU 6" in sentence


def test_counts_are_kept_in_a_snapshot(capsys):
    from chainer.serializers import DictionarySerializer, NpzDeserializer

    warnings = ValidationWarnings(["Sky", "Road", "Car"])
    warnings._one_class(SKY_ONLY)
    warnings._one_class(SKY_ONLY)
    stored = DictionarySerializer()
    warnings.serialize(stored)
    resumed = ValidationWarnings(["Sky", "Road", "Car"])
    resumed.serialize(NpzDeserializer(stored.target))
    assert "Sky only" in resumed._one_class(SKY_ONLY)
