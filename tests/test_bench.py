import logging
import sys
from pathlib import Path

import pytest

from scripts.bench import __main__ as bench
from scripts.bench.measure import run_rounds, summarize_rounds


def test_variants_take_turns_and_are_compared_within_a_round():
    order = []

    def take(name: str, seconds: list[float]):
        return lambda: order.append(name) or {"seconds": seconds.pop(0)}

    rounds = run_rounds({"new": take("new", [2, 3]), "old": take("old", [8, 6])}, 2)
    assert order == ["new", "old", "old", "new"]
    medians = summarize_rounds(rounds).set_index("variant")["median"]
    assert medians["new / old"] == pytest.approx((2 / 8 + 3 / 6) / 2)


@pytest.mark.filterwarnings("ignore")  # of Lightning, on few batches
def test_lightning_and_the_plain_loop_end_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "step", "--quick", "--recipes", "speedrun"])
    # Other tests of this process read what is logged.
    monkeypatch.setattr(logging.getLogger("sign_cnn"), "setLevel", lambda _: None)
    bench.main()
    assert "Lightning / plain loop" in capfd.readouterr().out
