import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from sign_cnn.sweeps import job_name, short_names, shown


def parsed(*overrides: str):
    return OverridesParser.create().parse_overrides(list(overrides))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        ([24, 48, 96], "24-48-96"),
        ([], "none"),
        (0.1, "0.1"),
        ("a/b c", "a_b_c"),
        (1e-05, "1e-05"),
    ],
)
def test_values_are_shown_as_parts_of_file_names(value, text):
    assert shown(value) == text


def test_names_are_as_short_as_they_can_be_told_apart():
    names = short_names(parsed("model.depth=1,2", "data.name=a,b", "optimizer.name=c,d", "data=x,y"))
    assert list(names.values()) == ["depth", "data.name", "optimizer.name", "data"]


def test_groups_are_named_by_their_choice_and_settings_by_their_value():
    assert job_name(parsed("augment=full,none", "seed=0,1")) == (
        "augment=${shown:${hydra:runtime.choices.augment}},seed=${shown:${seed}}"
    )
