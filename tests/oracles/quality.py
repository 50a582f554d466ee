"""Recomputes figures of `gloss quality --json` with other people's libraries.

    pip install crowd-kit krippendorff statsmodels scikit-learn nltk jiwer scipy
    python tests/oracles/quality.py --gloss target/release/gloss ../shared/data/crowd-dog …

Each folder holds answers.csv (or .csv.gz) with item, annotator, label, and gold.csv with item, label;
or texts, as crowd-text-wsa; or spans, as crowd-ner-conll. Exits with 1 where a figure differs by more
than 1e-9 (Dawid-Skene and weighted majorities apart, whose implementations differ in ties: there both
are printed).
"""

import argparse
import collections
import csv
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jiwer
import krippendorff
import numpy
import pandas
from crowdkit.aggregation import DawidSkene, Wawa
from crowdkit.aggregation.classification import majority_vote, wawa
from nltk.metrics import jaccard_distance, masi_distance
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

TOLERANCE = 1e-9
# crowd-kit 1.4 asks scikit-learn whether its estimators are fitted in a way that was given up.
majority_vote.check_is_fitted = wawa.check_is_fitted = lambda *_, **__: None


def ours(gloss, answers, *options):
    with tempfile.TemporaryDirectory() as store:
        who = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "o"), ("EMAIL", "o@o"))}
        run = lambda *words: subprocess.run(
            [gloss, "-C", store, *words], check=True, capture_output=True, text=True, env=who
        ).stdout
        run("init")
        run("import", str(answers), *options, "-m", "answers")
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
    report = ours(gloss, answers, "--gold", str(folder / "gold.csv"))
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
    triples = frame.rename(columns={"item": "task", "annotator": "worker"})
    weighted = Wawa().fit_predict(triples).to_frame("label").join(gold.rename("gold"), how="inner")
    print(
        f"{folder.name}: weighted majority {field['gold']['weighted_majority_accuracy']}; "
        f"crowd-kit {(weighted.label == weighted.gold).mean()}"
    )
    model = DawidSkene(n_iter=100, tol=1e-5).fit(triples)
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


def same(name, found, value):
    equal = found is not None and abs(found - value) <= TOLERANCE
    print(f"{name}: {found} {'is' if equal else 'IS NOT'} {value}")
    return equal


def texts(gloss, folder):
    """jiwer parts words at U+0020 alone: other white space is made so before."""
    wrong = 0
    for answers in sorted(folder.glob("*_label_anonymous.tsv")):
        truth = answers.with_name(answers.name.replace("_label_anonymous", "_gt"))
        read = lambda path: list(csv.DictReader(open(path, encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE))
        gold = {row["sentence"]: row["trueanswer"] for row in read(truth)}
        rows = [row for row in read(answers) if row["sentence"] in gold]
        ref, said = [gold[row["sentence"]] for row in rows], [row["workeranswer"] for row in rows]
        plain = lambda all: [" ".join(text.split()) for text in all]
        found = ours(gloss, answers, "--gold", str(truth))["fields"][0]["texts"]
        wrong += not same(f"{answers.name}: gold_cer", found["gold_cer"], jiwer.cer(ref, said))
        wrong += not same(f"{answers.name}: gold_wer", found["gold_wer"], jiwer.wer(plain(ref), plain(said)))
    return wrong


def tokens(gloss, folder):
    """Alpha over words, each tagged by the spans of each annotator."""
    file = folder / "spans.jsonl.gz"
    whole, within, margins = 0, 0.0, collections.Counter()
    for line in gzip.open(file, "rt"):
        document = json.loads(line)
        words = [match.span() for match in re.finditer(r"\S+", document["text"])]
        tagged = []
        for spans in document["annotations"].values():
            tags = ["O"] * len(words)
            for start, end, label in sorted(spans):
                inside = [at for at, (x, y) in enumerate(words) if x < end and start < y]
                for place, at in enumerate(inside):
                    tags[at] = ("I-" if place else "B-") + label
            tagged.append(tags)
        for tags in zip(*tagged) if len(tagged) > 1 else ():
            counts = collections.Counter(tags)
            whole += len(tags)
            within += sum(n * (n - 1) for n in counts.values()) / (len(tags) - 1)
            margins.update(counts)
    expected = whole * whole - sum(n * n for n in margins.values())
    alpha = 1 - (whole - within) / whole / (expected / (whole * (whole - 1)))
    report = ours(gloss, file, "--each", "annotations.*,gold")
    return not same(f"{folder.name}: token_alpha", report["fields"][0]["spans"]["token_alpha"], alpha)


def distributions():
    """The figures of `crates/quality/tests/measures/distribution.rs`."""
    a, b = numpy.array([30, 14, 34, 0]), numpy.array([10, 0, 25, 45])
    test = chi2_contingency([a, b], correction=False)
    print(f"Jensen-Shannon {jensenshannon(a, b, base=2) ** 2}, chi-square {test.statistic}, p {test.pvalue}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gloss", required=True, help="the binary, as an absolute path")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    distances()
    distributions()
    gloss, wrong = str(pathlib.Path(args.gloss).resolve()), 0
    for folder in args.folders:
        kind = check if list(folder.glob("gold.csv")) else texts if list(folder.glob("*_gt.tsv")) else tokens
        wrong += kind(gloss, folder.resolve())
    print("all figures are equal" if not wrong else f"{wrong} figures differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
