import pytest

from sign_cnn.runs.naming import hparams, labels, short_names, shown
from sign_cnn.sweeps.directories import job_name, merged


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        ([24, 48, 96], "24-48-96"),
        ([], "none"),
        (0.1, "0.1"),
        (0.123456789, "0.123457"),
        ("a/b, c=d", "a_b_c_d"),
        (1e-05, "1e-05"),
    ],
)
def test_values_are_shown_as_parts_of_file_names(value, text):
    assert shown(value) == text


def test_names_are_as_short_as_they_can_be_told_apart():
    names = short_names(["model.depth", "data.name", "optimizer.name", "data"])
    assert list(names.values()) == ["depth", "data.name", "optimizer.name", "data"]


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["seed=0", "augment=full", "model.depth=3"], "augment=full,depth=3"),
        (["model.depth=null", "augment=none"], "augment=none,depth=null"),
        (["augment=full", "model.depth=2", "augment=none"], "augment=none,depth=2"),
    ],
)
def test_a_job_is_named_by_what_is_swept_alone(overrides, name):
    assert job_name(overrides, "augment", "model.depth") == name


def test_lists_and_booleans_are_named_as_they_are_written():
    name = job_name(["model.channels=[24,48,96]", "model.batch_norm=True"], "model.channels", "model.batch_norm")
    assert name == "channels=24-48-96,batch_norm=true"


def test_a_name_gives_its_values_back():
    assert labels("channels=24-48,lr=1e-05,seed=0") == {"channels": "24-48", "lr": "1e-05", "seed": "0"}
    assert labels("2026-01-01") == {"run": "2026-01-01"}


def test_hparams_have_the_type_of_their_value():
    assert hparams("depth=3,lr=0.1,batch_norm=false,augment=full,width=null") == {
        "depth": 3, "lr": 0.1, "batch_norm": "false", "augment": "full", "width": "null"
    }  # fmt: skip


def test_the_command_line_takes_the_place_of_a_study():
    overrides = merged({"model.depth": "1,2,3", "seed": "0,1"}, ["model.depth=2", "trainer.max_epochs=1"])
    assert [(item.key_or_group, item.is_sweep_override()) for item in overrides] == [
        ("model.depth", False), ("seed", True), ("trainer.max_epochs", False)
    ]  # fmt: skip
