"""Report on the best checkpoint of a run, or compare two: `python -m sign_cnn.evaluate RUN [RUN]`.

A run is scored on a split of its own data, on a folder of pictures, or on a table of landmarks.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from hydra.utils import instantiate

from sign_cnn.config import explain_settings, whitelist
from sign_cnn.console import print_line, print_table
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.examples import Examples, read_folder, read_table, score_sources
from sign_cnn.files import explain_os_errors, write_text
from sign_cnn.reports.run import compare, format_report, make_report
from sign_cnn.runs import Predictions, Run, load_config, load_run

if TYPE_CHECKING:  # these import torch, which stored logits do without
    from sign_cnn.data.base import BaseDataModule
    from sign_cnn.models.classifier import Classifier

CONTEXT = ("experiment", "data_kind", "data_fingerprint", "git_commit")


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
            shown = title if len(table) <= 10 else f"{title} (10 of {len(table)})"
            print_table(table.head(10), shown)
        print_line("\n".join(report["notes"]))


if __name__ == "__main__":
    main()
