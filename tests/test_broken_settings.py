import time
from pathlib import Path

import broken
import broken_settings
import pytest
from broken import Case
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sign_cnn import checks
from sign_cnn.config import Config, typed
from sign_cnn.data import source, splits
from sign_cnn.errors import ConfigError
from sign_cnn.train import CONFIG_DIR, train

CORPUS = broken_settings.CORPUS
FOR_HYDRA = {kind: CORPUS[kind] for kind in ("unknown settings", "settings of a wrong type", "sweeps")}
FOR_US = {
    kind: CORPUS[kind]
    for kind in ("settings out of bounds", "impossible networks", "conflicting settings", "names")
}  # fmt: skip


@broken.each(FOR_US)
def test_it_is_found_before_anything_is_started(case: Case) -> None:
    overrides = case.make(Path())
    if overrides[0].startswith("name="):  # YAML has its own way with blanks and line breaks
        config = Config(name=overrides[0].removeprefix("name="))
    else:
        config = typed(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.from_dotlist(overrides)))
    began = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        checks.check(config)
    assert time.perf_counter() - began < 1
    broken.check_sentence(str(caught.value), case)


@broken.each(FOR_HYDRA | {kind: cases[-1:] for kind, cases in FOR_US.items()})
def test_the_command_line_says_it_and_begins_nothing(
    case: Case, tmp_path: Path, command_line, capsys: pytest.CaptureFixture[str]
) -> None:
    code = command_line(*case.make(tmp_path))
    output = capsys.readouterr()
    assert code not in (0, None)
    said = f"{code if isinstance(code, str) else ''}{output.out}{output.err}"
    assert case.words in said
    assert "Traceback" not in said
    assert broken.files_below(tmp_path) == {}
    assert not list(tmp_path.parent.glob("elsewhere"))


@broken.each({"data": broken_settings.DATA})
def test_what_the_data_do_not_allow_is_one_sentence(case: Case, tmp_path: Path) -> None:
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        config = typed(compose("train", [*case.make(tmp_path / "data"), f"data.cache_dir={tmp_path / 'cache'}"]))
    checks.check(config)
    with pytest.raises(ConfigError) as caught:
        splits.split_rows(source.load(config.data), config.data)
    broken.check_sentence(str(caught.value), case)


@pytest.mark.parametrize("overrides", ["data.batch_size=1000000", "data.eval_batch_size=1000000000000"])
def test_a_batch_larger_than_the_data_is_all_of_them(overrides: str, make_config, tmp_path: Path) -> None:
    result = train(make_config(overrides, "trainer.max_epochs=1"), tmp_path / "run")
    assert (result.status, result.epochs) == ("done", 1)
