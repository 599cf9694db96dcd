"""Report on the best checkpoint of a run, or compare two: `python -m sign_cnn.evaluate RUN [RUN]`.

A run is scored on a split of its own data, on a folder of pictures, or on a table of landmarks.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from numpy.typing import NDArray
from scipy.special import softmax

from sign_cnn.config import explain_settings, whitelist
from sign_cnn.console import print_line, print_table
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.files import explain_os_errors, write_text
from sign_cnn.hands.finder import HandFinder
from sign_cnn.hands.landmarks import read_landmarks, to_landmarks
from sign_cnn.images import open_image
from sign_cnn.predict import THRESHOLD
from sign_cnn.reports.run import compare, format_report, make_report
from sign_cnn.runs import Predictions, Run, load_config, load_run

if TYPE_CHECKING:  # these import torch, which stored logits do without
    from sign_cnn.data.base import BaseDataModule
    from sign_cnn.models.classifier import Classifier

NO_HAND = "no hand"  # the class that is predicted where no hand was found
COLUMNS = ["name", "source", "class", "input"]  # of a table; the input is None without a hand
CONTEXT = ("experiment", "data_kind", "data_fingerprint", "git_commit")


class Examples(NamedTuple):
    """Scored examples."""

    title: str  # of the report
    inputs: NDArray[Any]  # (N, …) as the network takes them; zeros where no hand was found
    predictions: Predictions
    class_names: list[str]  # of the network, and NO_HAND if a hand was not found
    table: pd.DataFrame  # of each row `name` and `source`, and whether a hand was `found`
    notes: list[str]


def evaluate(run: Run, split: str = "test", examples: Examples | None = None) -> dict[str, Any]:
    """Report on a finished run, and write the report with its figures to `<run>/evaluation`.

    Args:
        run: A finished run.
        split: The rows of its data to report on, `test` or `val`.
        examples: The rows to report on in place of a split.

    Returns:
        Numbers, lists and tables by name, see `make_report`; of examples also the numbers of rows
        `found`, `right` and `sure`, the share `accuracy_if_sure` (0..1), and the table `sources`.
    """
    from sign_cnn.reports import figures

    name, notes = examples.title if examples else split, [*examples.notes] if examples else []
    predictions = examples.predictions if examples else load_predictions(run, split)
    class_names = examples.class_names if examples else run.result.class_names
    report = {"run": str(run.path), "split": name} | {k: getattr(run.result, k) for k in CONTEXT}
    report |= make_report(predictions, class_names) | {"notes": notes}
    hardest: pd.DataFrame = report["hardest"]
    if examples:
        scored, table = examples.predictions, examples.table
        total = score_sources(scored, table.assign(source="")).fillna(0).to_dict("records")[0]
        report |= {key: total[key] for key in ("found", "right", "sure", "accuracy_if_sure")}
        report["sources"] = score_sources(scored, table)
        hardest["photo"] = table["name"].iloc[hardest["photo"]].to_numpy()
        notes.append("The intervals assume independent rows, which pictures of one person are not")

    title = f"{run.path.resolve().name}, {name}: {report['acc']:.2%} right"
    confusion = figures.plot_confusion_matrix(report["confusion"], class_names, title)
    drawn = {"confusion": confusion}
    try:
        inputs = examples.inputs if examples else load_data(run).rows_of(split)[0].inputs
        pictures = load_classifier(run).inputs.draw(inputs[hardest["row"].to_numpy()])
        drawn["hardest"] = figures.plot_sheet(hardest, pictures, title)
    except UserError as error:
        notes.append(f"The hardest photos are not drawn: {error}")

    directory = run.path / "evaluation" / name
    notes.append(f"Written to {directory}")
    with explain_os_errors(directory):
        for file, figure in drawn.items():
            figures.save_figure(figure, directory / f"{file}.png")
        write_text(directory / "classes.csv", report["classes"].to_csv(index=False))
        write_text(directory / "report.json", to_json(report))
    return report


def load_classifier(run: Run) -> "Classifier":
    """Return the best network of a run, on the CPU in evaluation mode."""
    from sign_cnn.models.classifier import Classifier

    return Classifier.load(run.best_checkpoint, run.trust)


def load_data(run: Run) -> "BaseDataModule":
    """Return the data module of a run, set up; if `data.root` is gone, below SIGN_MNIST_DIR.

    Raises:
        DataError: If the data are not those of the run.
    """
    node = load_config(run.path).data
    if "root" in node and not Path(node.root).exists():
        node.root = os.environ.get("SIGN_MNIST_DIR", node.root)
    with explain_settings("data"):
        allowed = ["sign_cnn.data.*", *whitelist(run.trust)]
        data: BaseDataModule = instantiate(node, _convert_="all", _execution_whitelist_=allowed)
    if data.identity.fingerprint != run.result.data_fingerprint:
        problem = f"{data.identity.description} is not what {run.path} was trained on"
        raise DataError(f"{problem}: restore the data that its config.yaml names")
    data.setup()
    return data


def load_predictions(run: Run, split: str) -> Predictions:
    """Return the logits of a split in file order, stored or computed.

    Raises:
        UserError: If they are not stored and cannot be computed, or the split has no rows.
    """
    if run.predictions.exists() and len(
        (stored := Predictions.load(run.predictions).for_split(split)).row
    ):
        return stored
    rows, index = load_data(run).rows_of(split)
    if not len(index):
        way_out = "use --split val" if split == "test" else "use --images or --landmarks"
        raise UserError(f"{run.path} has no {split} rows: {way_out}")
    logits = load_classifier(run).predict_logits(rows.inputs[index])
    return Predictions.from_rows(split, rows, index, logits)


def read_folder(folder: Path, model: "Classifier", find_hand: bool = False) -> Examples:
    """Score pictures in sub-folders that are named after classes.

    Args:
        folder: Holds `<class>/*` or `<class>/**/*`.
        model: The network.
        find_hand: Whether to cut the hand out, which inputs that need it always do.

    Returns:
        A row for each picture that can be opened; its `name` is its path below `folder`.
    """
    finder = HandFinder() if find_hand or model.inputs.needs_finder else None
    lines, notes = [], []
    for file in filter(Path.is_file, sorted(folder.glob("[!.]*/**/[!.]*"))):
        path, image, example = file.relative_to(folder), None, None
        try:
            image = open_image(file)
            example = model.inputs.read(image, str(path), finder)
        except DataError as error:
            notes.append(str(error))
        if image:
            lines.append((path.as_posix(), folder.name, path.parts[0], example))
    table = pd.DataFrame(lines, columns=COLUMNS)
    return score_examples(f"images-{folder.resolve().name}", table, model, notes)


def read_table(path: Path, model: "Classifier") -> Examples:
    """Return the scored rows of a table of landmarks; a row's `name` is its number in the file.

    Raises:
        DataError: If the network takes other inputs, or there are no rows of its classes.
    """
    table = read_landmarks(path).rename(columns={"letter": "class"})
    landmarks = to_landmarks(table)
    if landmarks.shape[1:] != model.inputs.shape:
        raise DataError(
            f"the network does not take landmarks, which {path} holds: name another run"
        )
    table["input"] = pd.Series([*landmarks], table.index).where(table["found"] == 1, None)
    table["name"] = table.index
    return score_examples(f"landmarks-{path.resolve().name}", table[COLUMNS], model)


def score_examples(
    title: str, table: pd.DataFrame, model: "Classifier", notes: Sequence[str] = ()
) -> Examples:
    """Compute the logits of examples.

    Where no hand was found, the network is taken to find all classes equally likely, and one more,
    `NO_HAND`, a little likelier: such a row counts as wrong, and as unsure.

    Args:
        title: Of the report.
        table: With `COLUMNS`; a class that is none of the network's may be written in other case.
        model: The network.
        notes: For the report.

    Returns:
        The rows of the network's classes.

    Raises:
        DataError: If there are none.
    """
    from sign_cnn.data.base import Rows

    exact = {name: label for label, name in enumerate(model.class_names)}
    folded = {name.casefold(): label for name, label in exact.items()}
    labels = table["class"].map(exact).fillna(table["class"].str.casefold().map(folded))
    known = table.assign(label=labels, found=table["input"].notna()).dropna(subset="label")
    if known.empty:
        problem = f"{title} holds no readable picture or row of the classes {', '.join(exact)}"
        raise DataError("; ".join([problem, *notes[:1]]))
    found = known["found"].to_numpy()
    inputs = np.zeros((len(known), *model.inputs.shape), model.inputs.dtype)
    logits = np.zeros((len(known), len(exact) + 1), np.float32)
    logits[:, -1] = np.where(found, -1e4, 1e-3)
    if found.any():
        inputs[found] = np.stack([*known.loc[found, "input"]])
        logits[found, :-1] = model.predict_logits(inputs[found])
    class_names = [*exact, NO_HAND][: logits.shape[1] - found.all()]
    rows = Rows.make(inputs, known["label"].to_numpy(int))
    predictions = Predictions.from_rows(title, rows, rows.photos, logits[:, : len(class_names)])
    others = ", ".join(table.loc[labels.isna(), "class"].unique())
    left_out = [f"Left out, because the network has no such class: {others}"] if others else []
    facts = known[["name", "source", "found"]]
    return Examples(title, inputs, predictions, class_names, facts, [*notes, *left_out])


def score_sources(predictions: Predictions, table: pd.DataFrame) -> pd.DataFrame:
    """Return a line per `source`: its rows found, right and sure (counts), and shares (0..1)."""
    sure, right = softmax(predictions.logits, axis=1).max(1) >= THRESHOLD, predictions.correct
    facts = table.assign(rows=1, right=right, sure=sure, accuracy_if_sure=right & sure)
    sums = facts.drop(columns="name").groupby("source").sum()
    sums["accuracy_if_sure"] /= sums["sure"]
    return sums.assign(accuracy=sums["right"] / sums["rows"]).reset_index()


def to_json(report: dict[str, Any]) -> str:
    """Return a JSON object; tables become lists of objects, in which NaN is null."""
    to_list = lambda table: json.loads(table.to_json(orient="records"))  # noqa: E731
    return json.dumps(report, indent=2, ensure_ascii=False, default=to_list)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m sign_cnn.evaluate", description="Report on a run.")
    add, choice = parser.add_argument, parser.add_mutually_exclusive_group()
    add("runs", type=Path, nargs="+", metavar="RUN", help="a finished run; two are compared")
    choice.add_argument("--split", choices=("test", "val"), default="test", help="rows to score")
    choice.add_argument("--images", type=Path, metavar="DIR", help="pictures in a folder per class")
    choice.add_argument("--landmarks", type=Path, metavar="CSV", help="landmarks to score instead")
    add("--find-hand", action="store_true", help="cut the hand out of --images of whole scenes")
    add("--trust", action="append", default=[], metavar="PACKAGE", help="package of its network")
    add("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    if len(options.runs) > 2 or (len(options.runs) == 2 and (options.images or options.landmarks)):
        parser.error("name one run, or two runs without --images and --landmarks")
    with exit_on_user_error():
        run, *others = [load_run(path, options.trust) for path in options.runs]
        examples = None
        if options.landmarks:
            examples = read_table(options.landmarks, load_classifier(run))
        elif options.images:
            examples = read_folder(options.images, load_classifier(run), options.find_hand)
            source = load_config(run.path).data.get("root")
            if source and options.images.resolve().is_relative_to(Path(source).resolve()):
                examples.notes.append(f"Pictures of {source} may have been trained on: see --split")
        if others:
            both = [load_predictions(run, options.split) for run in (run, *others)]
            report = {"run_A": str(run.path), "run_B": str(others[0].path), **compare(*both)}
            report["notes"].append(f"A is {run.path}, and B is {others[0].path}")
        else:
            report = evaluate(run, options.split, examples)
        if options.json:
            print(to_json(report))
            return
        for title, table in format_report(report).items():
            if title != "Summary" and len(table) > 10:
                table, title = table.head(10), f"{title} (10 of {len(table)})"
            print_table(table, title)
        print_line("\n".join(report["notes"]))


if __name__ == "__main__":
    main()
