"""Recomputes figures of `gloss quality --json` with other people's libraries.

    pip install crowd-kit krippendorff statsmodels scikit-learn nltk
    python tests/oracles/quality.py --gloss target/release/gloss ../shared/data/crowd-dog …

Each folder holds answers.csv (or .csv.gz) with item, annotator, label, and gold.csv with item, label.
Exits with 1 where a figure differs by more than 1e-9 (Dawid-Skene apart, whose implementations differ:
there both are printed).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import krippendorff
import numpy
import pandas
from crowdkit.aggregation import DawidSkene
from nltk.metrics import jaccard_distance, masi_distance
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

TOLERANCE = 1e-9


def ours(gloss, folder, answers):
    with tempfile.TemporaryDirectory() as store:
        who = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "o"), ("EMAIL", "o@o"))}
        run = lambda *words: subprocess.run(
            [gloss, "-C", store, *words], check=True, capture_output=True, text=True, env=who
        ).stdout
        run("init")
        run("import", str(answers), "--gold", str(folder / "gold.csv"), "-m", "answers")
        return json.loads(run("quality", "--repeats", "all", "--names", "--json"))


def counts(frame):
    return pandas.crosstab(frame.item, frame.label)


def alphas(frame):
    table = counts(frame)
    values = table.to_numpy()
    yield "krippendorff_alpha.nominal", krippendorff.alpha(
        value_counts=values, level_of_measurement="nominal"
    )
    try:
        numbers = [float(label) for label in table.columns]
    except ValueError:
        return
    order = numpy.lexsort((table.columns.to_numpy(), numbers))
    for level in ("ordinal", "interval"):
        # Levels of an ordinal scale are told apart as they are written.
        domain = range(len(numbers)) if level == "ordinal" else [numbers[i] for i in order]
        if len(set(domain)) < len(list(domain)):
            continue
        yield f"krippendorff_alpha.{level}", krippendorff.alpha(
            value_counts=values[:, order], level_of_measurement=level, value_domain=list(domain)
        )


def kappas(frame, report):
    """The mean of scikit-learn's kappas, each pair weighing what it shares."""
    least = report["fields"][0]["agreement"]["cohen_kappa"]["shared_min"]
    first = frame.drop_duplicates(["item", "annotator"])
    if len(first) < len(frame):
        return
    wide = first.pivot(index="item", columns="annotator", values="label")
    people, whole, total = list(wide.columns), 0, 0.0
    for at, a in enumerate(people):
        for b in people[:at]:
            both = wide[[a, b]].dropna()
            if len(both) < least or both.stack().nunique() < 2:
                continue
            total += len(both) * cohen_kappa_score(both[a], both[b])
            whole += len(both)
    if whole:
        yield "cohen_kappa.mean", total / whole


def expected(frame, gold, report):
    table = counts(frame).to_numpy()
    n = table.sum(1)
    equal, pairs = (table * (table - 1)).sum(1), n * (n - 1)
    yield "percent_item_mean", (equal[n > 1] / pairs[n > 1]).mean()
    yield "percent_pair_pooled", equal.sum() / pairs.sum()
    yield from alphas(frame)
    if len(set(n)) == 1:
        yield "fleiss_kappa", fleiss_kappa(table)
    if frame.annotator.nunique() <= 120:
        yield from kappas(frame, report)


def check(gloss, folder):
    answers = next(p for p in (folder / "answers.csv", folder / "answers.csv.gz") if p.exists())
    frame = pandas.read_csv(answers, dtype=str, keep_default_na=False)
    gold = pandas.read_csv(folder / "gold.csv", dtype=str, keep_default_na=False)
    gold = gold.set_index("item").label
    report = ours(gloss, folder, answers)
    field, wrong = report["fields"][0], 0
    for name, value in expected(frame, gold, report):
        found = field["agreement"]
        for part in name.split("."):
            found = found[part]
        same = found is not None and abs(found - value) <= TOLERANCE
        wrong += not same
        print(f"{folder.name}: {name}: {found} {'is' if same else 'IS NOT'} {value}")
    scored = frame[frame.item.isin(gold.index)]
    right = (scored.label == scored.item.map(gold)).mean()
    wrong += abs(right - field["gold"]["answer_accuracy"]) > TOLERANCE
    print(f"{folder.name}: answer accuracy {field['gold']['answer_accuracy']}, by hand {right}")
    model = DawidSkene(n_iter=100, tol=1e-5).fit(
        frame.rename(columns={"item": "task", "annotator": "worker"})
    )
    both = model.labels_.to_frame("label").join(gold.rename("gold"), how="inner")
    theirs = (both.label == both.gold).mean()
    print(
        f"{folder.name}: Dawid-Skene {field['gold']['dawid_skene_accuracy']}, "
        f"log-likelihood {field['dawid_skene']['log_likelihood']}; crowd-kit {theirs}, "
        f"{float(model.loss_history_[-1]) * frame.item.nunique():.3f}"
    )
    return wrong


def distances():
    """nltk rounds the weights of MASI to 0.67 and 0.33; ours are 2/3 and 1/3 as in the paper."""
    for a, b, jaccard, masi in [
        ({1, 2}, {2}, 0.5, 1 - 0.5 * 2 / 3),
        ({1, 2}, {2, 3}, 2 / 3, 1 - 1 / 9),
        ({1, 2}, {3}, 1.0, 1.0),
    ]:
        assert abs(jaccard_distance(a, b) - jaccard) < 1e-9
        assert abs(masi_distance(a, b) - masi) < 2e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gloss", required=True, help="the binary, as an absolute path")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    distances()
    wrong = sum(check(str(pathlib.Path(args.gloss).resolve()), f.resolve()) for f in args.folders)
    print("all figures are equal" if not wrong else f"{wrong} figures differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
