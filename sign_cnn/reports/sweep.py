"""A sweep as tables: its jobs, its configurations ranked by validation accuracy, and what each factor does.

A configuration is what jobs share that differ in seed and fold alone; its factors are the categorical columns.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import sem, t

from sign_cnn.config import experiment_settings
from sign_cnn.errors import UserError
from sign_cnn.files import write_text
from sign_cnn.runs import Predictions, Result, is_locked, load_config
from sign_cnn.statistics import accuracy_bounds, contrast, photo_interval

MAX_LEVELS = 12  # a factor with more is a quantity, not a choice
SCALARS = [
    item.name for item in fields(Result) if item.name not in ("name", "overrides", "test_acc_ci95")
]
NUMBERS = ["seed", "fold", "val_acc", "val_loss", "test_acc", "num_params", "macs", "fit_seconds"]
PHOTO_COLUMNS = ["rows", "first_row", "last_row", "label", "right"]


def read_plan(folder: Path) -> tuple[str, list[str]]:
    """The sweep's command, and its jobs: those of sweep.json, then other directories that hold a result.

    Raises UserError: there is no run in the folder.
    """
    path = folder / "sweep.json"
    plan = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if jobs := [
        *plan.get("jobs", []),
        *sorted(path.parent.name for path in folder.glob("*/result.json")),
    ]:
        return plan.get("command", ""), list(dict.fromkeys(jobs))
    problem = "holds no run" if folder.is_dir() else "is not a folder"
    raise UserError(f"{folder} {problem}: name the folder of a sweep, such as outputs/sweeps/NAME")


def read_jobs(folder: Path, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The jobs in this order, and the validation rows of each by photo.

    A job is `missing` if it is planned and not begun, and `failed` also if a file of it is damaged. Jobs have the same
    key that were validated on the same rows and photos of the same data.
    """
    results, photos = [], [pd.DataFrame(columns=["photo", *PHOTO_COLUMNS, "job"])]
    for path in (folder / name for name in names):
        result: dict[str, Any] = {"status": "missing"}
        try:
            if (path / "result.json").exists():
                result = asdict(Result.load(path / "result.json"))
            if result["status"] in ("missing", "running"):  # interrupted: its process was killed
                result["status"] = (
                    "running"
                    if is_locked(path)
                    else result["status"].replace("running", "interrupted")
                )
            if result["status"] == "done" and result["val_acc"] is not None:
                val = Predictions.load(path / "predictions.npz").of("val")
                result["key"] = str(
                    hash((result["data_fingerprint"], val.row.tobytes(), val.photo.tobytes()))
                )
                rows = pd.DataFrame(
                    {"photo": val.photo, "row": val.row, "label": val.label, "right": val.correct}
                )
                sums = rows.groupby("photo").agg(
                    {"row": ["size", "min", "max"], "label": ["first"], "right": ["sum"]}
                )
                photos.append(
                    sums.set_axis(PHOTO_COLUMNS, axis=1).assign(job=path.name).reset_index()
                )
        except UserError as error:
            result = {"status": "failed", "error": str(error)}
        results.append({**result, "job": path.name})
    pairs = {
        name: [part.split("=", 1) for part in name.split(",") if "=" in part] for name in names
    }
    labels = pd.DataFrame([dict(found) or {"run": name} for name, found in pairs.items()])
    if labels.columns.isin(["seed", "fold"]).all():
        labels["sweep"] = folder.resolve().name
    factors = labels.drop(columns=["seed", "fold"], errors="ignore")
    columns = list(dict.fromkeys(["job", *labels, *SCALARS, "key"]))
    jobs = labels.combine_first(pd.DataFrame(results)).reindex(columns=columns)
    jobs["configuration"] = [
        ", ".join(f"{k}={v}" for k, v in row.dropna().items()) for _, row in factors.iterrows()
    ]
    jobs[NUMBERS] = jobs[NUMBERS].apply(pd.to_numeric, errors="coerce")
    for factor in factors:  # levels by size where all are numbers, else as they come
        levels = jobs[factor].dropna().drop_duplicates()
        sizes = pd.to_numeric(levels, errors="coerce")
        jobs[factor] = pd.Categorical(
            jobs[factor], levels if sizes.isna().any() else levels[sizes.sort_values().index]
        )
    return jobs, pd.concat(photos[1:] or photos).merge(jobs[["job", "configuration", "seed"]])


def read_curves(
    folder: Path, jobs: pd.DataFrame, configurations: list[str]
) -> dict[str, pd.DataFrame]:
    """Rows of metrics.csv of the finished jobs of each configuration, in this order; those without any are left out."""
    done = jobs[jobs["status"] == "done"]
    paths = (
        (done["job"].map(lambda job: folder / job / "metrics.csv"))
        .groupby(done["configuration"])
        .agg(list)
    )
    found = {
        name: [path for path in paths.get(name, []) if path.exists()] for name in configurations
    }
    return {name: pd.concat(map(pd.read_csv, files)) for name, files in found.items() if files}


def rank(
    jobs: pd.DataFrame, photos: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, NDArray[Any]], NDArray[Any]]:
    """One line per configuration, the best first; rows right of those comparable with it, (seeds, G); rows, (G,).

    The folds of a seed are pooled over their rows, then seeds are averaged; a seed that misses folds which others of
    its configuration have is left out; where each seed has a fold of its own, all are pooled. Order: most folds, mean
    accuracy, fewest photos wrong, loss, MACs; never the test set. delta: accuracy minus that of the best, with a 95 %
    interval, if both were validated on the same rows.
    """
    network = ["configuration", "draw"]
    done = jobs[jobs["status"] == "done"].drop_duplicates(["configuration", "seed", "fold"])
    paired = is_paired(jobs)
    done = done.assign(draw=0 if paired else done["seed"])
    done = done.assign(num_folds=done.groupby(network)["job"].transform("size"))
    done = done[done["num_folds"] == done.groupby("configuration")["num_folds"].transform("max")]
    judged = (
        photos.merge(done[["job", "draw"]]).groupby([*network, "photo"])[["right", "rows"]].sum()
    )
    seeds = (
        judged.assign(val_photos=1, val_photos_wrong=judged["right"] < judged["rows"] / 2)
        .groupby(network)
        .sum()
    )
    by_seed = seeds.assign(val_acc=seeds["right"] / seeds["rows"]).groupby("configuration")
    by_job = done.groupby("configuration")
    spread = (by_job if paired else by_seed)["val_acc"].std()
    table = jobs.groupby("configuration", sort=False)[list_factors(jobs)].first()
    table["seeds"] = by_job["seed"].nunique().reindex(table.index, fill_value=0)
    table = table.assign(val_acc=by_seed["val_acc"].mean().round(12), val_acc_sd=spread)
    table = table.join(by_seed[["val_photos", "val_photos_wrong"]].mean())
    table = table.join(
        by_job[["val_loss", "num_params", "macs", "fit_seconds", "num_folds"]].mean()
    )
    table = table.astype({"num_params": "Int64", "macs": "Int64"})
    table["status"] = jobs.groupby("configuration")["status"].agg(count_statuses)
    whole = (table["seeds"] == table["seeds"].max()) & (
        table["num_folds"] == table["num_folds"].max()
    )
    table.loc[(table["status"] == "done") & ~whole, "status"] = "incomplete"
    order = {
        "num_folds": False,
        "val_acc": False,
        "val_photos_wrong": True,
        "val_loss": True,
        "macs": True,
    }
    table = table.sort_values(list(order), ascending=list(order.values()), kind="stable").drop(
        columns="num_folds"
    )
    keys = by_job["key"].agg(lambda keys: " ".join(sorted(keys.dropna().unique())))
    keys = keys.where(by_job["key"].nunique() == by_job["num_folds"].max()).reindex(table.index)
    comparable = list(table.index[keys == keys.iloc[0]])
    right = {name: judged["right"].loc[name].unstack().to_numpy() for name in comparable}
    rows = judged["rows"].loc[comparable].groupby("photo").first().to_numpy()
    deltas = {
        name: contrast([right[name], right[comparable[0]]], rows, [1, -1])
        for name in comparable[1:]
    }
    table = table.join(
        pd.DataFrame(deltas, index=["delta", "delta_low", "delta_high"], dtype=float).T
    )
    is_best, high = table.index == table.index[0], table["delta_high"]
    verdicts = {"–": table["val_acc"].isna(), "best": is_best, "worse": high < 0, "tie": high >= 0}
    return (
        table.assign(verdict=np.select(list(verdicts.values()), list(verdicts), "other rows")),
        right,
        rows,
    )


def is_paired(jobs: pd.DataFrame) -> bool:
    """Whether seeds differ in fold without a sweep over folds: `data.fold=${seed}`."""
    return jobs["fold"].nunique() > 1 and not jobs["job"].str.contains(r"\bfold=").any()


def average_factors(
    table: pd.DataFrame, right: dict[str, NDArray[Any]], rows: NDArray[Any]
) -> pd.DataFrame:
    """Main effects: mean accuracy of each level, and delta with interval, its difference to the mean of the levels.

    Over the combinations of other factors that all levels share; a factor without any or with many levels is left out.
    """
    lines = []
    for factor in list_factors(table):
        shared = select_balanced(table, factor)
        levels = shared[factor].nunique()
        for level, own in shared.groupby(factor, observed=True) if 1 < levels <= MAX_LEVELS else []:
            weights = ((shared[factor] == level) * levels - 1.0) / len(shared)
            delta = contrast([right[name] for name in shared.index], rows, list(weights))
            lines.append((factor, level, own["val_acc"].mean(), *delta, own["seeds"].sum()))
    return pd.DataFrame(
        lines,
        columns=["factor", "level", "accuracy", "delta", "delta_low", "delta_high", "networks"],
    )


def select_balanced(table: pd.DataFrame, *factors: str) -> pd.DataFrame:
    """The configurations whose other factors occur with every combination of the levels of these."""
    used = table.dropna(subset=list(factors)).assign(all=0)
    others = [factor for factor in list_factors(table) if factor not in factors]
    sizes = used.groupby(["all", *others], dropna=False, observed=True)["all"].transform("size")
    return used[sizes == used[list(factors)].nunique().prod()]


def list_factors(df: pd.DataFrame) -> list[str]:
    """The swept settings without seed and fold."""
    return list(df.select_dtypes("category").columns)


def count_statuses(statuses: pd.Series) -> str:
    """`done` if all are, else such as `2 done, 1 failed`."""
    counts = ", ".join(f"{number} {status}" for status, number in statuses.value_counts().items())
    return "done" if (statuses == "done").all() else counts


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text; without a status where all jobs are done."""

    def text(column: str, template: str = "{:z.2f}", scale: float = 100) -> pd.Series:
        return (
            table[column]
            .map(lambda value: template.format(scale * value), na_action="ignore")
            .astype("string")
        )

    delta, low, high = (
        text(name).str.replace("-", "−") for name in ("delta", "delta_low", "delta_high")
    )
    columns = {
        "#": range(1, len(table) + 1),
        **table[list_factors(table)].astype("string"),
        "seeds": table["seeds"],
        "accuracy %": text("val_acc") + (" ± " + text("val_acc_sd")).fillna(""),
        "photos wrong": text("val_photos_wrong", "{:,.1f}", 1),
        "parameters": text("num_params", "{:,.0f}", 1),
        "MACs": text("macs", "{:,.2f} M", 1e-6),
        "training time s": text("fit_seconds", "{:,.1f}", 1),
        "Δ vs best (pp)": delta + " (" + low + " to " + high + ")",
        **table[["verdict", "status"]],
    }
    unused = ["Δ vs best (pp)", "verdict"] * (len(table) == 1) + ["status"] * bool(
        (table["status"] == "done").all()
    )
    return pd.DataFrame(columns).drop(columns=unused).fillna("–")


def caution(jobs: pd.DataFrame, table: pd.DataFrame) -> str:
    """What to know before the table; empty if nothing."""
    ranked, epoch = len(table) > 1, jobs["epochs"].max() == 1
    few = {
        "one seed each (seed=0,1,2 tells)": table["seeds"].max() == 1,
        "one epoch (trainer.max_epochs=5)": epoch,
    }
    cautions = {
        "drawn hands, not Sign Language MNIST": (jobs["data_kind"] == "synthetic").any(),
        f"{' and '.join(filter(few.get, few))}: the order may be luck": any(few.values())
        and ranked,
        f"the best of {len(table)} is partly lucky: expect less of it on other photos": len(table)
        > 5,
    }
    text = "; ".join(text for text, holds in cautions.items() if holds)
    return text[:1].upper() + text[1:]


def take_notes(jobs: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """What is needed to read the table; then each error once, with its jobs."""
    test_acc = jobs["test_acc"].dropna()
    notes = {
        f"{len(jobs)} jobs: {count_statuses(jobs['status'])}": True,
        "Δ: 95 % interval by photo and, where both have several, by seed; tie: it holds 0": table[
            "delta"
        ].count()
        > 0,
        "incomplete: fewer seeds or folds than other configurations": (
            table["status"] == "incomplete"
        ).any(),
        "each seed has a fold of its own; ±: standard deviation over both": is_paired(jobs),
        f"test accuracy {100 * test_acc.mean():.2f} %, mean of {len(test_acc)}": len(table) == 1
        and len(test_acc),
    }
    failed = jobs.groupby("error", sort=False)["job"]
    errors = [
        f"{', '.join(names.head(3))}{' …' * (len(names) > 3)}: {error}" for error, names in failed
    ]
    return [note for note, holds in notes.items() if holds] + errors


def write_pooled(
    folder: Path, jobs: pd.DataFrame, photos: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Pool each configuration that sweeps `fold` into pooled.json and pooled.md; scores as text, and refusals."""
    pooled: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
    refused = []
    jobs = jobs[jobs["job"].str.contains(r"\bfold=")]
    for name in jobs.loc[jobs["status"] == "done", "configuration"].unique():
        try:
            pooled[name] = pool_folds(folder, jobs[jobs["configuration"] == name], photos)
        except UserError as error:
            refused.append(f"folds of {name} are not pooled: {error}")
    if not pooled:
        return pd.DataFrame(), refused
    scores, wrong = (
        pd.concat(tables, keys=pooled, names=["configuration", None]).reset_index(0)
        for tables in zip(*pooled.values(), strict=True)
    )
    text = scores[["configuration", "seed"]].copy()
    for title, key in (("rows right %", "accuracy"), ("photos right %", "photos_right")):
        shares = 100 * scores[[key, f"{key}_sd", f"{key}_low", f"{key}_high"]].to_numpy()
        text[title] = [
            "{:.2f} ± {:.2f} ({:.2f} to {:.2f})".format(*row).replace(" ± nan", "")
            for row in shares
        ]
    by_fold = 100 * scores[["accuracy_fold_low", "accuracy_fold_high"]]
    text["by fold %"] = by_fold.map("{:.1f}".format).agg(" to ".join, axis=1)
    text[["photos wrong", "any error"]] = scores[["photos_wrong", "photos_with_error"]].map(
        "{:,.4g}".format
    )
    records = {
        "scores": json.loads(scores.to_json(orient="records")),
        "photos_wrong": wrong.to_dict("records"),
    }
    write_text(folder / "pooled.json", json.dumps(records, indent=2) + "\n")
    markdown = [table.to_markdown(index=False, disable_numparse=True) for table in (text, wrong)]
    legend = "95 % intervals by photo, and by fold (Student); ±: standard deviation between seeds"
    parts = ["# Out-of-fold scores", legend, markdown[0], "## Photos wrong", markdown[1]]
    write_text(folder / "pooled.md", "\n\n".join(parts) + "\n")
    return text, refused


def pool_folds(
    folder: Path, jobs: pd.DataFrame, photos: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Out-of-fold scores of each seed and of their mean, and the photos that a seed gets wrong.

    Raises UserError: the jobs are not the folds of one experiment, each once for each seed; names what is missing.
    """
    done = jobs[jobs["status"] == "done"]
    settings = [experiment_settings(load_config(folder / job)) for job in done["job"]]
    differing = {k for other in settings for k in other if other[k] != settings[0].get(k)} - {
        "seed",
        "data.fold",
    }
    if differing or done["data_fingerprint"].nunique() > 1:
        raise UserError(f"they differ in {', '.join(sorted(differing)) or 'data'}")
    val_split, folds, letters = (
        settings[0][f"data.{key}"] for key in ("val_split", "folds", "letters")
    )
    if val_split in ("random", "none"):
        raise UserError(f"data.val_split={val_split} does not keep the rows of a photo together")
    wanted = [
        (seed, fold) for seed in sorted(jobs["seed"].dropna().unique()) for fold in range(folds)
    ]
    finished = set(zip(done["seed"], done["fold"], strict=True))
    if missing := [
        f"fold {fold} of seed {seed:.0f}" for seed, fold in wanted if (seed, fold) not in finished
    ]:
        raise UserError(f"{', '.join(missing)} missing")
    judged = photos.merge(done[["job", "fold"]])
    judged = judged.assign(
        wrong=judged["right"] < judged["rows"] / 2, with_error=judged["right"] < judged["rows"]
    )
    for seed, part in judged.groupby("seed"):
        if (shared := part.loc[part.duplicated("photo"), "photo"]).size:
            raise UserError(f"photo {shared.iloc[0]} is in several folds of seed {seed:.0f}")
        if (rows := part["rows"].sum()) != (total := judged["last_row"].max() + 1):
            raise UserError(
                f"the folds of seed {seed:.0f} hold {rows:,} of {total:,} training rows"
            )
    scores = [score_photos(f"{seed:.0f}", part) for seed, part in judged.groupby("seed")]
    spread = pd.DataFrame(scores)[["accuracy", "photos_right"]].std().add_suffix("_sd")
    scores.append({**score_photos("mean", judged), **spread})
    wrong = (
        judged.groupby("photo")
        .agg({"label": "first", "first_row": "first", "wrong": "sum"})
        .reset_index()
    )
    wrong = wrong[wrong["wrong"] > 0].sort_values("wrong", ascending=False, kind="stable")
    wrong["label"] = wrong["label"].map(dict(enumerate(letters)))
    return pd.DataFrame(scores), wrong.rename(columns={"label": "letter", "wrong": "seeds_wrong"})


def score_photos(seed: str, judged: pd.DataFrame) -> dict[str, Any]:
    """Shares and numbers of rows and photos; a photo counts once in the intervals, however many seeds judge it."""
    folds = judged.groupby("fold")[["right", "rows"]].sum()
    by_fold = (folds["right"] / folds["rows"]).to_numpy(float)
    fold_mean = by_fold.mean()
    margin = sem(by_fold) * t.ppf(0.975, len(by_fold) - 1) if len(by_fold) > 1 else np.nan
    seeds, sums = (
        judged["seed"].nunique(),
        judged.groupby("photo")[["rows", "right", "wrong", "with_error"]].sum(),
    )
    low, high = map(float, accuracy_bounds(sums["right"].to_numpy(), sums["rows"].to_numpy()))
    wrong_low, wrong_high = map(
        float, accuracy_bounds(sums["wrong"].to_numpy(), np.full(len(sums), seeds))
    )
    if seeds == 1:
        wrong_low, wrong_high = photo_interval(int(sums["wrong"].sum()), len(sums))
    return {
        "seed": seed,
        "rows": sums["rows"].sum() // seeds,
        "photos": len(sums),
        "accuracy": sums["right"].sum() / sums["rows"].sum(),
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_fold_low": np.maximum(fold_mean - margin, 0),
        "accuracy_fold_high": np.minimum(fold_mean + margin, 1),
        "photos_right": 1 - sums["wrong"].sum() / len(judged),
        "photos_right_low": 1 - wrong_high,
        "photos_right_high": 1 - wrong_low,
        "photos_wrong": sums["wrong"].sum() / seeds,
        "photos_with_error": sums["with_error"].sum() / seeds,
    }
