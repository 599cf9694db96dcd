import pickle

from omegaconf import OmegaConf

from sign_cnn.sweeps.composing import RememberingLoader


class Loader:
    """Counts what it composes."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def load_sweep_config(self, master, overrides):
        self.calls.append(overrides)
        return OmegaConf.create({"overrides": overrides})

    def get_group_options(self, name):
        return [name]


MASTER = OmegaConf.create({})


def test_what_was_planned_is_handed_out_once_and_then_composed_anew():
    loader = RememberingLoader(Loader())
    planned = loader.planned(MASTER, ["seed=0"])
    assert loader.load_sweep_config(MASTER, ["seed=0"]) is planned
    assert loader.load_sweep_config(MASTER, ["seed=0"]) is not planned
    assert loader.load_sweep_config(MASTER, ["seed=1"]).overrides == ["seed=1"]
    assert loader.get_group_options("model") == ["model"]


def test_a_worker_gets_no_configurations_but_its_own():
    loader = RememberingLoader(Loader())
    loader.planned(MASTER, ["seed=0"])
    there = pickle.loads(pickle.dumps(loader))
    there.load_sweep_config(MASTER, ["seed=0"])
    assert there.calls == [["seed=0"], ["seed=0"]]
