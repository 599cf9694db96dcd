"""Tables of a sweep: its jobs, its configurations by rank, the effects of factors, pooled folds.

A configuration is what jobs share that differ only in seed and fold. Its factors, which are the
swept settings, are the categorical columns of a table. Test scores never decide an order.
"""

import json
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from sign_cnn.errors import UserError
from sign_cnn.runs import Predictions, Result, is_locked
from sign_cnn.statistics import accuracy_bounds, contrast

MAX_LEVELS = 12  # a factor with more levels is a quantity, not a choice
SCALARS = [item.name for item in fields(Result) if "list" not in str(item.type)]
SCORES = ["val_acc", "val_acc_sd", "val_photos", "val_photos_wrong"]
COLUMNS = {"val_photos_wrong": ",.1f", "num_params": ",.0f", "macs": ",.0f", "fit_seconds": ",.1f"}
"""Formats of numbers that the table shows."""
NUMBERS = ["seed", "fold", "val_acc", "val_loss", "test_acc", "num_params", "macs", "fit_seconds"]


def read_plan(folder: Path) -> tuple[str, list[str]]:
    """Read the command of a sweep and the names of its jobs.

    Args:
        folder: Folder of the sweep, or of any runs.

    Returns:
        The command ("" if unknown), and the jobs of sweep.json, then others that have a result.

    Raises:
        UserError: If there is no run in the folder.
    """
    path = folder / "sweep.json"
    plan = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = sorted(result.parent.name for result in folder.glob("*/result.json"))
    if jobs := list(dict.fromkeys([*plan.get("jobs", []), *found])):
        return plan.get("command", ""), jobs
    raise UserError(f"there is no run in {folder}: name the folder of a sweep, outputs/sweeps/NAME")


def read_jobs(folder: Path, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the results and the validation predictions of all jobs.

    Args:
        folder: Folder of the sweep.
        names: Names of its jobs, such as `depth=2,seed=0`.

    Returns:
        The jobs, in this order: fields of their results, their factors, and a `key`, equal for jobs
        that were validated on the same rows and photos of the same data. A job is `missing` if it
        has not begun, `interrupted` if its process was killed, and `failed` also if one of its
        files is damaged. Then a line for each job and photo: how many validation `rows` it has, how
        many of them are `right`, and whether most are `wrong`.
    """
    results, parts = zip(*(_read_job(folder / name) for name in names), strict=True)
    pairs = [dict(p.split("=", 1) for p in name.split(",") if "=" in p) for name in names]
    labels = pd.DataFrame([pair or {"run": name} for pair, name in zip(pairs, names, strict=True)])
    factors = labels.drop(columns=["seed", "fold"], errors="ignore")
    columns = list(dict.fromkeys(["job", *labels, *SCALARS, "key"]))
    jobs = labels.combine_first(pd.DataFrame(results)).assign(job=names).reindex(columns=columns)
    swept = [row.dropna().items() for _, row in factors.iterrows()]
    described = [", ".join(f"{key}={value}" for key, value in row) for row in swept]
    jobs["configuration"] = [text or folder.resolve().name for text in described]
    jobs[NUMBERS] = jobs[NUMBERS].apply(pd.to_numeric, errors="coerce")
    for factor in factors:
        levels = jobs[factor].dropna().drop_duplicates()
        with suppress(ValueError):  # in numeric order if all levels are numbers
            levels = levels.iloc[pd.to_numeric(levels).argsort()]
        jobs[factor] = pd.Categorical(jobs[factor], levels)
    photos = pd.concat([part for part in parts if len(part)] or parts)
    return jobs, photos.merge(jobs[["job", "configuration", "seed", "fold", "left_out"]])


def _read_job(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    result: dict[str, Any] = {"status": "missing"}
    rows = pd.DataFrame(columns=["photo", "right"])
    try:
        if (path / "result.json").exists():
            result = asdict(Result.load(path / "result.json"))
        if result["status"] in ("missing", "running") and is_locked(path):
            result["status"] = "running"
        elif result["status"] == "running":
            result["status"] = "interrupted"
        if result["status"] == "done" and result["val_acc"] is not None:
            val = Predictions.load(path / "predictions.npz").for_split("val")
            validated_on = (result["data_fingerprint"], val.row.tobytes(), val.photo.tobytes())
            result["key"] = str(hash(validated_on))
            rows = pd.DataFrame({"photo": val.photo, "right": val.correct})
    except UserError as error:
        result = {"status": "failed", "error": str(error)}
    photos = rows.groupby("photo")["right"].agg(rows="size", right="sum").reset_index()
    return result, photos.assign(wrong=2 * photos["right"] < photos["rows"], job=path.name)


def rank(jobs: pd.DataFrame, photos: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rank the configurations by validation accuracy, and compare each with the best.

    Jobs of a configuration that were validated on different rows, such as folds, count together as
    one network. A network that misses folds which others of its configuration have is left out.

    Args:
        jobs: From `read_jobs`.
        photos: From `read_jobs`.

    Returns:
        The table, a line per configuration, ordered by the most folds, then the highest accuracy,
        the fewest wrong photos, loss and MACs. `delta` is the accuracy minus that of the best, with
        an interval, if both were validated on the same rows. Then the lines of `photos` that count,
        with the number of their `network`.
    """
    done = jobs[jobs["status"] == "done"].drop_duplicates(["configuration", "seed", "fold"])
    same_rows = done.sort_values("seed").groupby(["configuration", "key"], dropna=False)
    done = done.assign(network=same_rows.cumcount())
    done["folds"] = done.groupby(["configuration", "network"])["job"].transform("size")
    done = done[done["folds"] == done.groupby("configuration")["folds"].transform("max")]
    judged, by_job = photos.merge(done[["job", "network"]]), done.groupby("configuration")
    scores = {name: score_photos(part) for name, part in judged.groupby("configuration")}

    table = jobs.groupby("configuration", sort=False)[list_factors(jobs)].first()
    table = table.join(pd.DataFrame.from_dict(scores, "index").reindex(columns=SCORES))
    table = table.join(by_job[["val_loss", "num_params", "macs", "fit_seconds", "folds"]].mean())
    table = table.astype({"num_params": "Int64", "macs": "Int64"})
    table["seeds"] = by_job["seed"].nunique().reindex(table.index, fill_value=0)
    table["status"] = jobs.groupby("configuration")["status"].agg(count_statuses)
    sizes = table[["seeds", "folds"]]
    partial = (sizes < sizes.max()).any(axis=1) & (table["status"] == "done")
    table["status"] = table["status"].mask(partial, "incomplete")
    table = table.sort_values(["val_photos_wrong", "val_loss", "macs"], kind="stable")
    table = table.sort_values(["folds", "val_acc"], ascending=False, kind="stable")

    keys = by_job["key"].agg(lambda keys: " ".join(sorted({*keys.dropna()}))).reindex(table.index)
    right, rows = _count_right(judged, table.index[keys == keys.iloc[0]])
    best, deltas = table.index[0], {}
    for name in right.keys() - {best}:
        deltas[name] = contrast([right[name], right[best]], rows, [1, -1])
    columns = ["delta", "delta_low", "delta_high"]
    table = table.join(pd.DataFrame.from_dict(deltas, "index", float, columns))
    is_best, high = table.index == best, table["delta_high"]
    verdicts = {"–": table["val_acc"].isna(), "best": is_best, "worse": high < 0, "tie": high >= 0}
    table["verdict"] = np.select(list(verdicts.values()), list(verdicts), "other rows")
    return table, judged


def _count_right(judged: pd.DataFrame, names: pd.Index) -> tuple[dict[Any, Any], NDArray[Any]]:
    """Return right rows (networks, photos) by configuration, and rows (photos,), for `contrast`."""
    judged = judged[judged["configuration"].isin(names)]
    counts = judged.groupby(["configuration", "network", "photo"])[["right", "rows"]].sum()
    by_name = counts["right"].unstack().groupby("configuration")
    right = {name: part.to_numpy() for name, part in by_name}
    return right, counts["rows"].groupby("photo").first().to_numpy()


def score_photos(judged: pd.DataFrame) -> dict[str, Any]:
    """Score the validation predictions of one network or several.

    Args:
        judged: Lines of `photos` from `read_jobs`, one or more.

    Returns:
        The share of rows that are right (`val_acc`), the share of photos (`val_photos_right`), both
        with the standard deviation between seeds and an interval in which each photo counts once;
        the mean accuracy by fold with the standard deviation between folds and Student's interval;
        the lowest fold and its accuracy; and numbers of photos for one network.
    """
    photos, folds = judged["photo"].nunique(), judged.groupby("fold")[["right", "rows"]].sum()
    scores: dict[str, Any] = {"val_photos": photos}
    judged = judged.assign(one=1, correct=1 - judged["wrong"])
    judged["flawed"] = judged["right"] < judged["rows"]
    for key, part, whole in (("val_acc", "right", "rows"), ("val_photos_right", "correct", "one")):
        by_photo, by_seed = (judged.groupby(by)[[part, whole]].sum() for by in ("photo", "seed"))
        low, high = map(float, accuracy_bounds(*by_photo.to_numpy().T))
        share = round(judged[part].sum() / judged[whole].sum(), 12)  # so that equal shares tie
        sd = (by_seed[part] / by_seed[whole]).std()
        scores |= {key: share, f"{key}_sd": sd, f"{key}_low": low, f"{key}_high": high}
    for key, part in (("val_photos_wrong", "wrong"), ("val_photos_with_error", "flawed")):
        scores[key] = photos * judged[part].mean()
    shares: Any = folds["right"] / folds["rows"]
    mean, margin = shares.mean(), stdtrit(len(shares) - 1, 0.975) * shares.sem()
    bounds = {"by_fold_low": max(mean - margin, 0.0), "by_fold_high": min(mean + margin, 1.0)}
    scores |= {"by_fold": mean, "by_fold_sd": shares.std(), "lowest_fold_acc": shares.min()}
    if len(shares):
        name = judged.loc[judged["fold"] == shares.idxmin(), "left_out"].iloc[0]
        scores["lowest_fold"] = name if isinstance(name, str) else f"fold {shares.idxmin():.0f}"
    return scores | bounds


def average_factors(table: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Compute main effects: the mean accuracy of each level of each factor.

    Means are over the combinations of other factors that all levels share. A factor without any, or
    with more than `MAX_LEVELS` levels, is left out.

    Args:
        table: From `rank`, the configurations that were validated on the same rows.
        judged: From `rank`.

    Returns:
        A line per factor and level: `accuracy`, and as `delta` its difference to the mean of the
        levels, with an interval.
    """
    lines, (right, rows) = [], _count_right(judged, table.index)
    for factor in list_factors(table):
        used = table.dropna(subset=[factor]).assign(all=0)
        others = ["all", *(other for other in list_factors(table) if other != factor)]
        sizes = used.groupby(others, dropna=False, observed=True)["all"].transform("size")
        shared = used[sizes == used[factor].nunique()]
        levels, counts = shared[factor].nunique(), [right[name] for name in shared.index]
        for level, own in shared.groupby(factor, observed=True) if 1 < levels <= MAX_LEVELS else []:
            weights = ((shared[factor] == level) * levels - 1.0) / len(shared)
            delta = contrast(counts, rows, list(weights))
            lines.append((factor, level, own["val_acc"].mean(), *delta, own["seeds"].sum()))
    columns = ["factor", "level", "accuracy", "delta", "delta_low", "delta_high", "networks"]
    return pd.DataFrame(lines, columns=columns)


def list_factors(df: pd.DataFrame) -> list[str]:
    """Return the names of the swept settings other than seed and fold."""
    return list(df.select_dtypes("category").columns)


def count_statuses(statuses: pd.Series) -> str:
    """Return `done` if all jobs are, otherwise counts such as `2 done, 1 failed`."""
    counts = ", ".join(f"{number} {status}" for status, number in statuses.value_counts().items())
    return "done" if (statuses == "done").all() else counts


def format_shares(table: pd.DataFrame, key: str) -> pd.Series:
    """Format shares in percent with standard deviation and bounds: `99.00 ± 0.50 (98.00 to 99.50)`.

    Args:
        table: Has the column `key`, and may have `<key>_sd`, `<key>_low` and `<key>_high`.
        key: Name of a column of shares, 0..1.

    Returns:
        A column of text; missing where the share is.
    """
    keys = [key, f"{key}_sd", f"{key}_low", f"{key}_high"]
    text = (100 * table.reindex(columns=keys)).map("{:z.2f}".format).replace("nan", pd.NA)
    share, sd, low, high = (text[key].str.replace("-", "−") for key in keys)
    return share + (" ± " + sd).fillna("") + (" (" + low + " to " + high + ")").fillna("")


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the ranked configurations as text, without columns that tell nothing apart."""
    text = pd.DataFrame({"#": range(1, len(table) + 1)}, table.index)
    text = text.join(table[[*list_factors(table), "seeds"]].astype("string"))
    text["accuracy %"] = format_shares(table[["val_acc", "val_acc_sd"]], "val_acc")
    for key, style in COLUMNS.items():
        text[key] = table[key].map(f"{{:{style}}}".format, na_action="ignore")
    if len(table) > 1:
        text["Δ vs best (pp)"], text["verdict"] = format_shares(table, "delta"), table["verdict"]
    if (table["status"] != "done").any():
        text["status"] = table["status"]
    return text.astype("string").fillna("–")


def take_notes(jobs: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Return what weakens the table and how to read it, then each error, with the jobs it ended."""
    test, several, one_seed = jobs["test_acc"].dropna(), len(table) > 1, table["seeds"].max() == 1
    kinds = " and ".join(jobs["data_kind"].dropna().replace("", pd.NA).dropna().unique())
    delta = "Δ has a 95 % interval by photo, and by seed if both have several seeds"
    notes = {
        "Only one seed was run, so the order may be chance: sweep seed=0,1,2": several and one_seed,
        "Only one epoch was trained": jobs["epochs"].max() == 1,
        f"The best of {len(table)} is partly luck: expect a little less on other photos": len(table)
        > 5,
        f"{len(jobs)} jobs{kinds and f' on {kinds} data'}: {count_statuses(jobs['status'])}": True,
        f"{delta}; ± is the standard deviation between seeds": several,
        "incomplete: fewer seeds or folds than others": "incomplete" in set(table["status"]),
        f"Test accuracy: {test.mean():.2%}, the mean of {len(test)} jobs": len(test) > 0
        and not several,
    }
    ended = jobs.groupby("error", sort=False)["job"].agg(lambda names: ", ".join(names.head(3)))
    errors = [f"{names}: {error}" for error, names in ended.items()]
    return [note for note, holds in notes.items() if holds] + errors


def pool_folds(table: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Score each finished configuration on all its folds together.

    Each photo is then judged by networks that were not trained on it. A configuration whose folds
    share photos, as those of a random split do, is left out.

    Args:
        table: From `rank`.
        judged: From `rank`.

    Returns:
        The scores of each network (one for each seed, if the seeds sweep the same folds), and as
        network `mean` those of a whole configuration; empty without folds.
    """
    shared = judged.loc[judged.duplicated(["configuration", "network", "photo"]), "configuration"]
    pooled = table.index[(table["status"] == "done") & (table["folds"] > 1)].difference([*shared])
    return pd.DataFrame(
        {"configuration": name, "network": network, **score_photos(part)}
        for name, own in judged[judged["configuration"].isin(pooled)].groupby("configuration")
        for network, part in [*own.groupby(own["network"].astype(str)), ("mean", own)]
    )


def format_pooled(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of `pool_folds` as text, shares in percent."""
    shares = {key: format_shares(scores, key) for key in ("val_acc", "val_photos_right", "by_fold")}
    counts = scores[["val_photos", "val_photos_wrong", "val_photos_with_error"]]
    counts = counts.map("{:,.4g}".format)
    lowest = format_shares(scores, "lowest_fold_acc") + " (" + scores["lowest_fold"] + ")"
    text = scores[["configuration", "network"]].assign(**shares, lowest_fold=lowest)
    return text.join(counts)
