//! Real crowd answers. The expected figures were computed by crowd-kit, krippendorff and numpy,
//! and stand beside the data in REFERENCE.md; every answer counts, repeats too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use glossator_quality::aggregate::{DawidSkene, DawidSkeneOptions, majority};
use glossator_quality::agreement::{Coincidences, interval_alpha, ordinal_alpha};
use glossator_quality::gold::{Scores, majority_accuracy, winner_accuracy};
use glossator_quality::measure::Measure;
use glossator_quality::numbers::number_gold;
use glossator_quality::votes::Votes;

/// Answers and gold of one set.
struct Crowd {
    votes: Votes,
    gold: Vec<Option<u32>>,
    labels: Vec<String>,
}

/// Where a file of the shared folder is; with `CI` set it must be there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    println!("skipped: {} is missing", path.display());
    None
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let file = File::open(path).unwrap();
    let file: Box<dyn Read> = match path.extension().is_some_and(|end| end == "gz") {
        true => Box::new(flate2::read::GzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut reader = csv::Reader::from_reader(file);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Numbers of texts in their order as texts.
fn numbered<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<String, u32> {
    let mut numbers: BTreeMap<String, u32> = texts.map(|text| (text.to_owned(), 0)).collect();
    numbers.values_mut().zip(0..).for_each(|(number, at)| *number = at);
    numbers
}

fn crowd(name: &str) -> Option<Crowd> {
    let folder = shared(&format!("crowd-{name}"))?;
    let packed = folder.join("answers.csv.gz");
    let answers = rows(&if packed.exists() { packed } else { folder.join("answers.csv") });
    let gold = rows(&folder.join("gold.csv"));
    let items = numbered(answers.iter().map(|row| &row[0][..]));
    let annotators = numbered(answers.iter().map(|row| &row[1][..]));
    let labels =
        numbered(answers.iter().map(|row| &row[2][..]).chain(gold.iter().map(|row| &row[1][..])));
    let column = |at: usize, of: &BTreeMap<String, u32>| -> Vec<u32> {
        answers.iter().map(|row| of[&row[at]]).collect()
    };
    let votes = Votes::new(&column(0, &items), &column(1, &annotators), &column(2, &labels));
    let mut by_item = vec![None; items.len()];
    for row in &gold {
        if let Some(&item) = items.get(&row[0]) {
            by_item[item as usize] = Some(labels[&row[1]]);
        }
    }
    Some(Crowd { votes, gold: by_item, labels: labels.into_keys().collect() })
}

/// Equal in all digits of the expected text.
#[track_caller]
pub fn printed(value: Measure, expected: &str, what: &str) {
    let decimals = expected.split_once('.').map_or(0, |(_, digits)| digits.len());
    let value = value.unwrap_or_else(|why| panic!("{what}: {why}"));
    assert_eq!(format!("{value:.decimals$}"), expected, "{what}");
}

/// name, answers, gold items, answer accuracy, majority (fractional), Dawid-Skene with s = 0.01,
/// alpha, Fleiss, item mean, pair pooled, ties.
type Row = (&'static str, usize, u64, [&'static str; 7], usize);

const ROWS: [Row; 8] = [
    (
        "duck",
        4_212,
        108,
        ["0.635565", "0.759259", "0.898148", "0.125501", "0.125293", "0.588194", "0.588194"],
        0,
    ),
    (
        "dog",
        8_070,
        807,
        ["0.696406", "0.822181", "0.842627", "0.519418", "0.519358", "0.641140", "0.641140"],
        50,
    ),
    (
        "product",
        24_945,
        8_315,
        ["0.816316", "0.896572", "0.939988", "0.157473", "0.157440", "0.725476", "0.725476"],
        0,
    ),
    (
        "rte",
        8_000,
        800,
        ["0.729125", "0.896875", "0.927500", "0.241479", "0.241384", "0.628694", "0.628694"],
        65,
    ),
    (
        "temp",
        4_620,
        462,
        ["0.733766", "0.936147", "0.941558", "0.223413", "0.223245", "0.612891", "0.612891"],
        17,
    ),
    (
        "trec-vuurens",
        17_395,
        290,
        ["0.623159", "0.698276", "0.686207", "0.165802", "", "0.587421", "0.578915"],
        109,
    ),
    (
        "adult2-ordinal",
        92_721,
        333,
        ["0.681107", "0.759760", "0.738739", "0.313554", "", "0.750980", "0.703875"],
        414,
    ),
    (
        "cifar10n-large",
        150_000,
        50_000,
        ["0.823347", "0.911787", "0.919500", "0.683671", "0.683669", "0.715433", "0.715433"],
        3_041,
    ),
];

#[test]
fn categorical_sets_have_their_reference_figures() {
    for (name, answers, gold_items, figures, ties) in ROWS {
        let Some(Crowd { votes, gold, .. }) = crowd(name) else { continue };
        let [answer, most, model, alpha, fleiss, item_mean, pooled] = figures;
        assert_eq!(votes.len(), answers, "{name}");
        let scores = Scores::new(&votes, &gold, |_, _| true);
        assert_eq!(scores.items, gold_items, "{name}");
        printed(scores.all.accuracy(), answer, name);
        let winners = majority(&votes);
        assert_eq!(winners.ties().count(), ties, "{name}");
        printed(majority_accuracy(&winners, &gold), most, name);
        let counted = Coincidences::new(&votes);
        printed(counted.nominal_alpha(), alpha, name);
        printed(counted.percent_item_mean(), item_mean, name);
        printed(counted.percent_pair_pooled(), pooled, name);
        match fleiss {
            "" => assert!(counted.fleiss_kappa().is_err(), "{name}"),
            fleiss => printed(counted.fleiss_kappa(), fleiss, name),
        }
        let fit = DawidSkene::fit(&votes, &DawidSkeneOptions::default()).unwrap();
        println!("{name}: {} iterations, {}", fit.iterations, fit.log_likelihood);
        printed(winner_accuracy(&fit.winners(), &gold), model, name);
    }
}

/// One slot of a fixed place stands for each annotator of this set: what was published of them.
#[test]
fn the_slots_of_cifar_have_their_published_error_rates() {
    let Some(Crowd { votes, gold, .. }) = crowd("cifar10n-large") else { return };
    let scores = Scores::new(&votes, &gold, |_, _| true);
    for (slot, error) in [(0, "0.17234"), (1, "0.18122"), (2, "0.17640")] {
        printed(scores.annotators[slot].accuracy().map(|right| 1.0 - right), error, "slot");
    }
}

#[test]
fn an_ordinal_scale_has_its_reference_figures_whatever_its_levels_are_called() {
    let Some(Crowd { votes, gold, labels }) = crowd("adult2-ordinal") else { return };
    // G < P < R < X is alphabetical by accident: other names must change nothing.
    for names in [["G", "P", "R", "X"], ["z", "m", "q", "a"]] {
        let renamed = |label: u32| {
            let at = ["G", "P", "R", "X"].iter().position(|n| *n == labels[label as usize]);
            names[at.unwrap()]
        };
        let level = |label: u32| names.iter().position(|n| *n == renamed(label)).unwrap() as u32;
        let levels: Vec<u32> = votes.labels().iter().map(|&label| level(label)).collect();
        let values: Vec<f64> = levels.iter().map(|&level| f64::from(level + 1)).collect();
        printed(ordinal_alpha(votes.starts(), &levels), "0.426999", "ordinal");
        printed(interval_alpha(votes.starts(), &values), "0.519236", "interval");
        let gold: Vec<Option<f64>> =
            gold.iter().map(|label| label.map(|l| f64::from(level(l) + 1))).collect();
        let found = number_gold(votes.starts(), &values, &gold);
        assert_eq!(found.items, 333);
        printed(found.mean_mae, "0.340394", "mean MAE");
        printed(found.pearson, "0.879571", "Pearson");
        printed(found.median_mae, "0.289790", "median MAE");
    }
}

#[test]
fn numeric_sets_have_their_reference_figures() {
    let sets = [
        (
            "wordsim",
            ["0.700762", "0.670082", "3.368333", "3.976430", "0.951903", "3.575667", "3.813000"],
        ),
        (
            "valence",
            [
                "0.375356",
                "0.325562",
                "21.695000",
                "26.096109",
                "0.849805",
                "26.530000",
                "34.525000",
            ],
        ),
    ];
    for (name, [ordinal, interval, mae, rmse, pearson, median, single]) in sets {
        let Some(Crowd { votes, gold, labels }) = crowd(name) else { continue };
        let number = |label: u32| -> f64 { labels[label as usize].parse().unwrap() };
        let values: Vec<f64> = votes.labels().iter().map(|&label| number(label)).collect();
        // The reference has a level for each label as it is written: one answer of the 1,000 is
        // `-0`, below the 410 that are `0`.
        let mut scale: Vec<u32> = (0..labels.len() as u32).collect();
        scale.sort_by(|&a, &b| number(a).total_cmp(&number(b)));
        let level = |label: &u32| scale.iter().position(|s| s == label).unwrap() as u32;
        let levels: Vec<u32> = votes.labels().iter().map(level).collect();
        printed(ordinal_alpha(votes.starts(), &levels), ordinal, name);
        printed(interval_alpha(votes.starts(), &values), interval, name);
        let gold: Vec<Option<f64>> = gold.iter().map(|label| label.map(number)).collect();
        let found = number_gold(votes.starts(), &values, &gold);
        printed(found.mean_mae, mae, name);
        printed(found.mean_rmse, rmse, name);
        printed(found.pearson, pearson, name);
        printed(found.median_mae, median, name);
        printed(found.single_mae, single, name);
    }
}

/// Log-likelihoods of the models that crowd-kit 1.4 fits to the same answers (100 iterations,
/// tolerance 1e-5), computed from its priors and error matrices. Its start differs from ours, and
/// it stops earlier; both keep cells from becoming 0.
const CROWD_KIT: [(&str, f64); 8] = [
    ("duck", -1_889.294),
    ("dog", -4_745.555),
    ("product", -7_568.774),
    ("rte", -3_679.631),
    ("temp", -1_256.993),
    ("trec-vuurens", -9_009.602),
    ("adult2-ordinal", -36_777.820),
    ("cifar10n-large", -218_170.810),
];

#[test]
fn without_smoothing_the_likelihood_is_not_lower_than_that_of_crowd_kit() {
    for (name, theirs) in CROWD_KIT {
        let Some(Crowd { votes, .. }) = crowd(name) else { continue };
        let options = DawidSkeneOptions { smoothing: 0.0, ..DawidSkeneOptions::default() };
        let ours = DawidSkene::fit(&votes, &options).unwrap().log_likelihood;
        println!("{name}: {ours}, crowd-kit {theirs}");
        assert!(ours >= theirs - 1e-6 * theirs.abs(), "{name}: {ours} is less than {theirs}");
    }
}
