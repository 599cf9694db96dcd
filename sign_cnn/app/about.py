"""What the page says of its model, every figure from the model's own card."""

from sign_cnn.inference.model_card import ModelCard

MOTIONS = "J and Z are motions, which no single picture shows: they cannot be recognised."

_TRAINED_ON = {
    "official": "Trained on Sign Language MNIST: 28×28 grey pictures of one hand, closely cropped.",
    "synthetic": "Trained on hands drawn by this project, not on photographs.",
}


def limits(card: ModelCard) -> str:
    """One paragraph: what the model was trained on, how well it does there, and what to expect elsewhere."""
    sentences = [_TRAINED_ON.get(card.data_kind, "Trained on a private set of 28×28 grey pictures of hands.")]
    hands = "drawings" if card.data_kind == "synthetic" else "photographs"
    if card.test_acc is not None:
        sentences.append(f"It reads {_percent(card.test_acc)} of that set's test pictures.")
        if card.test_originals and card.test_originals_wrong is not None:
            sentences[-1] = (
                f"It reads {_percent(card.test_acc)} of that set's test pictures; of the {card.test_originals} "
                f"{hands} behind them it gets {card.test_originals_wrong} wrong."
            )
    elif card.val_acc is not None:
        sentences.append(f"It reads {_percent(card.val_acc)} of that set's validation pictures.")
    sentences.append("**Pictures unlike those often fail**, and a wrong letter can look sure.")
    if card.drawn_acc is not None and card.data_kind != "synthetic":
        sentences.append(
            f"Of {card.drawn_images} drawn hands, such as the samples here, it reads {_percent(card.drawn_acc)}."
        )
    return " ".join(sentences)


def details(card: ModelCard) -> list[tuple[str, str]]:
    """Where the model comes from: names and values."""
    rows = [
        ("run", card.run),
        ("recipe", card.experiment),
        ("data", f"{card.data_kind} {card.data_fingerprint[:12]}".strip()),
        ("parameters", f"{card.num_params:,}" if card.num_params else None),
        ("precision", card.precision),
        ("validation accuracy", _percent(card.val_acc) if card.val_acc is not None else None),
        ("test accuracy", _percent(card.test_acc) if card.test_acc is not None else None),
        ("commit", (card.git_commit or "")[:12]),
        ("versions", card.versions),
    ]
    return [(name, value) for name, value in rows if value]


def _percent(share: float) -> str:
    """Two figures that matter, and never 100 % of what is less.

    >>> _percent(0.99996)
    '99.9 %'
    """
    return f"{int(share * 1000 + 1e-9) / 10:.1f} %"
