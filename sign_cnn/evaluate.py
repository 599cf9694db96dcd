"""Report on a finished run's best checkpoint, or paired comparison of two: `python -m sign_cnn.evaluate RUN [RUN]`."""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.config import DataConfig, to_dataclass
from sign_cnn.console import print_line, print_table
from sign_cnn.data.csv import find_csvs
from sign_cnn.data.dataset import Rows, load_dataset
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.files import explain_os_errors, write_text
from sign_cnn.hands.finder import HandFinder
from sign_cnn.hands.landmarks import measure_folder, read_landmarks, to_points
from sign_cnn.images import open_image
from sign_cnn.letters import class_index
from sign_cnn.predict import THRESHOLD, prepare_input
from sign_cnn.reports.run import compare, format_report, make_report
from sign_cnn.runs import Predictions, Run, load_config, load_run


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.evaluate", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="directory of a finished run; two: compare",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--split", choices=("test", "val"), default="test", help="rows of its data (default: test)"
    )
    choice.add_argument(
        "--images", type=Path, metavar="DIR", help="pictures instead, in one sub-folder per letter"
    )
    choice.add_argument(
        "--landmarks", type=Path, metavar="CSV", help="a table of points of hands instead"
    )
    text = "with --images, of a run on images: cut the hand out of photographs, in place of reading close crops"
    parser.add_argument("--find-hand", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    if len(options.runs) > 2 or (len(options.runs) == 2 and (options.images or options.landmarks)):
        parser.error("name one run, or two runs without --images and --landmarks")
    with exit_on_user_error():
        run, *others = [load_run(path) for path in options.runs]
        if options.landmarks or (options.images and run.result.data_kind == "landmarks"):
            report = evaluate_landmarks(run, options.landmarks or options.images)
        else:
            split, images = options.split, (options.images, options.find_hand)
            report = (
                compare_runs(run, others[0], split) if others else evaluate(run, split, *images)
            )
    if options.json:
        print(to_json(report))
        return
    for title, table in format_report(report).items():
        print_table(table.head(10), title if len(table) <= 10 else f"{title} (10 of {len(table)})")
    print_line("\n".join(report["notes"]))


def evaluate(
    run: Run, split: str, folder: Path | None = None, find_hand: bool = False
) -> dict[str, Any]:
    """Report on a split of a run's data, or on a folder of pictures; also written to `<run>/evaluation`."""
    from sign_cnn.reports import figures

    rows, letters = None, load_config(run.path).data.letters
    if folder:
        split = f"images-{folder.resolve().name}"
        rows, files, notes = read_folder(folder, run, find_hand)
        predictions, _ = load_predictions(run, split, rows)
    else:
        predictions, *notes = load_predictions(run, split)
        try:
            rows = load_rows(run, split)
        except UserError as error:
            notes.append(f"hardest.png is left out: {error}")
    context = {
        key: getattr(run.result, key)
        for key in ("experiment", "data_kind", "data_fingerprint", "git_commit")
    }
    report = {
        "run": str(run.path),
        "split": split,
        **context,
        **make_report(predictions, letters),
        "notes": notes,
    }
    title = f"{run.path.resolve().name}, {split}: {report['acc']:.2%} right"
    drawn = {
        "confusion": figures.plot_confusion_matrix(np.array(report["confusion"]), letters, title),
        "reliability": figures.plot_reliability(predictions, title),
    }
    if rows:
        images = rows.images[report["hardest"]["row"]]
        drawn["hardest"] = figures.plot_hardest(report["hardest"], images, title)
        if confused := figures.plot_confused(report["confused"], rows.images, title):
            drawn["confused"] = confused
        try:
            heat, heading = attend(run, images), f"{title}; bright: what it looks at"
            drawn["attention"] = figures.plot_hardest(report["hardest"], images, heading, heat)
        except UserError as error:
            notes.append(f"attention.png is left out: {error}")
    if folder:
        report["hardest"]["photo"] = [files[photo] for photo in report["hardest"]["photo"]]
    facts = [f"{key}: {value}" for key, value in report.items() if isinstance(value, str)]
    page = [
        f"# {title}",
        "- " + "\n- ".join(facts + notes),
        *(f"![{name}]({name}.png)" for name in drawn),
    ]
    page += [
        f"## {name}\n\n{table.to_markdown(index=False)}"
        for name, table in format_report(report).items()
    ]
    directory = run.path / "evaluation" / split
    notes.append(f"written to {directory}")
    with explain_os_errors(directory):
        for name, figure in drawn.items():
            figures.save_figure(figure, directory / f"{name}.png")
        write_text(directory / "letters.csv", report["letters"].to_csv(index=False))
        write_text(directory / "report.md", "\n\n".join(page) + "\n")
        write_text(directory / "report.json", to_json(report))
    return report


def evaluate_landmarks(run: Run, path: Path) -> dict[str, Any]:
    """How many rows of a table or pictures of a folder the run reads right; those without a hand count as wrong."""
    from scipy.special import softmax

    from sign_cnn.models.classifier import SignClassifier  # torch
    from sign_cnn.statistics import photo_interval

    if run.result.data_kind != "landmarks":
        raise UserError(f"{run.path} reads pictures, not landmarks: name a run of experiment=hands")
    table, notes = measure_folder(path) if path.is_dir() else (read_landmarks(path), [])
    letters = load_config(run.path).data.letters
    known = table["letter"].isin(list(letters))
    notes += [f"left out: {(~known).sum():,} rows of other letters"] if not known.all() else []
    table = table[known]
    if table.empty:
        raise DataError(f"{path} holds no row of the letters {letters}")
    found = (table["found"] == 1).to_numpy()
    logits = SignClassifier.load(run.best_checkpoint).predict_logits(to_points(table[found]))
    read, sure = np.full(len(table), "", dtype=object), np.full(len(table), False)
    read[found], sure[found] = (
        np.array(list(letters))[logits.argmax(1)],
        softmax(logits, 1).max(1) >= THRESHOLD,
    )
    table = table[["source", "person", "letter"]].assign(found=found, read=read, sure=sure)
    table["right"] = table["read"] == table["letter"]
    table["sure_right"] = table["right"] & sure

    def summarize(group: str) -> pd.DataFrame:
        sums = table.groupby(group)[["found", "right", "sure", "sure_right"]].sum()
        rows = table.groupby(group).size()
        shares = {
            "accuracy": sums["right"] / rows,
            "accuracy_if_sure": sums.pop("sure_right") / sums["sure"],
        }
        return sums.assign(rows=rows, **shares).reset_index()

    confused = table[found & ~table["right"]].groupby(["letter", "read"], as_index=False).size()
    rows, right = len(table), int(table["right"].sum())
    wrong_low, wrong_high = photo_interval(rows - right, rows)
    return {
        "run": str(run.path),
        "landmarks": str(path),
        "accuracy": right / rows,
        "accuracy_ci95": [1 - wrong_high, 1 - wrong_low],
        "rows": rows,
        "found": int(found.sum()),
        "right": right,
        "sure": int(sure.sum()),
        "accuracy_if_sure": table["sure_right"].sum() / max(sure.sum(), 1),
        "sources": summarize("source"),
        "letters": summarize("letter").sort_values("accuracy"),
        "confused": confused.sort_values("size", ascending=False),
        "notes": [*notes, "the interval takes rows for independent; those of one person are not"],
    }


def attend(run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where the last convolution speaks for what the network reads, by Grad-CAM without its mean over space.

    That mean, of Selvaraju et al. (2017), is nothing to dense layers on a flattened map: HiResCAM (Draelos, 2020).
    Images uint8 (N, S, S), 0..255; returns (N, S, S), 0..1. Raises UserError: captum or a convolution is missing.
    """
    try:
        from captum.attr import LayerAttribution, LayerGradientXActivation
    except ImportError:
        raise UserError('it needs captum: pip install -e ".[explain]"') from None
    import torch

    from sign_cnn.models.classifier import SignClassifier

    model, inputs = SignClassifier.load(run.best_checkpoint), torch.from_numpy(images).float()
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)]
    if not layers:
        raise UserError("the network has no convolution")
    heat = LayerGradientXActivation(model, layers[-1]).attribute(inputs, model(inputs).argmax(1))
    heat = LayerAttribution.interpolate(
        heat.sum(1, keepdim=True).relu(), images.shape[1:], "bilinear"
    )
    heat = heat.detach().squeeze(1)
    return np.asarray(heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12))


def compare_runs(a: Run, b: Run, split: str) -> dict[str, Any]:
    """Paired comparison of two runs on one split; a UserError unless it is the same for both."""
    if a.result.data_fingerprint != b.result.data_fingerprint:
        raise UserError(
            f"{a.path} and {b.path} were trained on different data, and cannot be compared"
        )
    comparison = compare(*(load_predictions(run, split)[0] for run in (a, b)))
    comparison["notes"].insert(0, f"{split} rows, A: {a.path}, B: {b.path}")
    return {"run_A": str(a.path), "run_B": str(b.path), "split": split, **comparison}


def load_predictions(run: Run, split: str, pictures: Rows | None = None) -> tuple[Predictions, str]:
    """Logits of a split in file order or of pictures, and a note on whether they were stored; else a UserError."""
    if split == "test" and run.result.data_kind == "landmarks":
        raise UserError(f"{run.path} has no test rows: use --split val, or --landmarks CSV")
    if split == "val" and run.result.val_split == "none":
        raise UserError(
            f"{run.path} has no validation rows (data.val_split=none): use --split test"
        )
    if (
        not pictures
        and run.predictions.exists()
        and len((stored := Predictions.load(run.predictions).of(split)).row)
    ):
        return stored, f"{split} rows: logits stored in {run.predictions.name}"
    from sign_cnn.models.classifier import SignClassifier  # torch, which stored logits do without

    rows, data = (
        pictures or load_rows(run, split),
        to_dataclass(DataConfig, load_config(run.path).data),
    )
    index = np.arange(len(rows.labels))
    if split == "val":
        from sign_cnn.data.datamodule import split_rows  # torch

        index = split_rows(rows, data).val
    logits = SignClassifier.load(run.best_checkpoint).predict_logits(rows.images[index])
    predictions = Predictions.of_rows(split, rows, index, logits)
    return predictions, f"{split} rows: logits computed with {run.best_checkpoint.name}"


def load_rows(run: Run, split: str) -> Rows:
    """The CSV that holds a split of the run's data, below `data.root` or SIGN_MNIST_DIR; a UserError if it is gone."""
    data, elsewhere = (
        to_dataclass(DataConfig, load_config(run.path).data),
        os.environ.get("SIGN_MNIST_DIR"),
    )
    if (
        elsewhere
        and run.result.data_kind in ("official", "custom")
        and not find_csvs(Path(data.root))
    ):
        data = replace(data, root=elsewhere)
    dataset = load_dataset(data)
    if dataset.fingerprint != run.result.data_fingerprint:
        raise DataError(
            f"the data found ({dataset.fingerprint[:12]}) are not those of {run.path} "
            f"({run.result.data_fingerprint[:12]}): point SIGN_MNIST_DIR at those"
        )
    return dataset.test if split == "test" else dataset.train


def read_folder(folder: Path, run: Run, find_hand: bool) -> tuple[Rows, list[str], list[str]]:
    """Pictures in sub-folders named after letters, of either case; their files, and notes on what is left out."""
    data, found, notes = load_config(run.path).data, [], []
    finder = HandFinder() if find_hand else None
    for file in sorted(folder.glob("[!.]*/[!.]*")):
        try:
            label = class_index(file.parent.name, data.letters)
            image = prepare_input(open_image(file), str(file), data.image_size, finder, {})
            found.append((file.relative_to(folder).as_posix(), label, image))
        except (
            ValueError,
            DataError,
        ) as error:  # ValueError: the folder is no letter, for each of its files
            notes.append(f"left out: {error}")
    if not found:
        raise DataError(
            f"{folder} holds no picture that can be read: put those of each letter in a sub-folder, such "
            f"as {folder / data.letters[0]}{f' ({notes[0]})' if notes else ''}"
        )
    files, labels, images = zip(*found, strict=True)
    photos = np.arange(len(files))
    unknown = np.full(len(files), np.nan, np.float32)
    return (
        Rows(np.stack(images), np.array(labels), photos, {}, unknown),
        list(files),
        list(dict.fromkeys(notes)),
    )


def to_json(report: dict[str, Any]) -> str:
    """A JSON object; tables are lists of objects, NaN is null."""
    return json.dumps(
        report,
        indent=2,
        ensure_ascii=False,
        default=lambda t: json.loads(t.to_json(orient="records")),
    )


if __name__ == "__main__":
    main()
