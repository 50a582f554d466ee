//! What holds of any answers.

use glossator_quality::aggregate::{DawidSkene, DawidSkeneOptions, majority};
use glossator_quality::agreement::{
    Coincidences, SetDistance, Sets, Weights, interval_alpha, ordinal_alpha, pairwise_kappa,
    set_alpha,
};
use glossator_quality::measure::Measure;
use glossator_quality::votes::Votes;
use proptest::prelude::*;

const ITEMS: u32 = 8;
const PEOPLE: u32 = 5;
const LABELS: u32 = 4;

/// `(item, annotator, label)`, in any order, with repeats.
fn answers() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
    prop::collection::vec((0..ITEMS, 0..PEOPLE, 0..LABELS), 1..60)
}

fn votes(answers: &[(u32, u32, u32)]) -> Votes {
    let column = |of: fn(&(u32, u32, u32)) -> u32| answers.iter().map(of).collect::<Vec<_>>();
    Votes::new(&column(|a| a.0), &column(|a| a.1), &column(|a| a.2))
}

/// Every measure that names of labels must not change.
fn nominal(votes: &Votes) -> Vec<Measure> {
    let counted = Coincidences::new(votes);
    let mut all = vec![
        counted.percent_item_mean(),
        counted.percent_pair_pooled(),
        counted.nominal_alpha(),
        counted.fleiss_kappa(),
    ];
    // In no order of people: only what pairs agree on is compared.
    let mut pairs: Vec<Measure> = pairwise_kappa(votes, 2, Weights::None)
        .unwrap()
        .into_iter()
        .map(|pair| pair.kappa)
        .collect();
    pairs.sort_by(|a, b| a.unwrap_or(9.0).total_cmp(&b.unwrap_or(9.0)));
    all.extend(pairs);
    all
}

fn ordered(votes: &Votes) -> Vec<Measure> {
    let values: Vec<f64> = votes.labels().iter().map(|&label| f64::from(label)).collect();
    let mut all = vec![
        ordinal_alpha(votes.starts(), votes.labels()),
        interval_alpha(votes.starts(), &values),
    ];
    for weights in [Weights::Linear, Weights::Quadratic] {
        let mut pairs: Vec<Measure> =
            pairwise_kappa(votes, 2, weights).unwrap().into_iter().map(|pair| pair.kappa).collect();
        pairs.sort_by(|a, b| a.unwrap_or(9.0).total_cmp(&b.unwrap_or(9.0)));
        all.extend(pairs);
    }
    all
}

fn same(a: &[Measure], b: &[Measure]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Ok(a), Ok(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        })
}

/// Krippendorff's definition, by the coincidence matrix and any distance of labels.
fn alpha_by_matrix(votes: &Votes, distance: impl Fn(usize, usize, &[f64]) -> f64) -> Option<f64> {
    let labels = votes.label_count();
    let mut matrix = vec![vec![0.0; labels]; labels];
    for (_, given) in votes.items() {
        for (i, &c) in given.iter().enumerate() {
            for (j, &k) in given.iter().enumerate() {
                if i != j {
                    matrix[c as usize][k as usize] += 1.0 / (given.len() - 1) as f64;
                }
            }
        }
    }
    let margins: Vec<f64> = matrix.iter().map(|row| row.iter().sum()).collect();
    let n: f64 = margins.iter().sum();
    let (mut observed, mut expected) = (0.0, 0.0);
    for c in 0..labels {
        for k in 0..labels {
            observed += matrix[c][k] * distance(c, k, &margins);
            expected += margins[c] * margins[k] * distance(c, k, &margins);
        }
    }
    (expected > 1e-9).then(|| 1.0 - (n - 1.0) * observed / expected)
}

proptest! {
    #[test]
    fn measures_are_bounded(answers in answers()) {
        let votes = votes(&answers);
        let counted = Coincidences::new(&votes);
        for percent in [counted.percent_item_mean(), counted.percent_pair_pooled()] {
            prop_assert!(percent.is_err() || (0.0..=1.0).contains(&percent.unwrap()));
        }
        for measure in nominal(&votes).into_iter().chain(ordered(&votes)).flatten() {
            prop_assert!(measure.is_finite() && measure <= 1.0 + 1e-12);
        }
    }

    #[test]
    fn the_order_of_rows_means_nothing(
        (answers, shuffled) in
            answers().prop_flat_map(|a| (Just(a.clone()), Just(a).prop_shuffle()))
    ) {
        let (a, b) = (votes(&answers), votes(&shuffled));
        prop_assert!(same(&nominal(&a), &nominal(&b)));
        prop_assert!(same(&ordered(&a), &ordered(&b)));
        prop_assert_eq!(majority(&a), majority(&b));
    }

    #[test]
    fn names_of_annotators_mean_nothing(
        answers in answers(),
        names in Just((0..PEOPLE).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let renamed: Vec<_> =
            answers.iter().map(|&(i, a, l)| (i, names[a as usize], l)).collect();
        let (a, b) = (votes(&answers), votes(&renamed));
        prop_assert!(same(&nominal(&a), &nominal(&b)));
        prop_assert!(same(&ordered(&a), &ordered(&b)));
    }

    #[test]
    fn names_of_labels_mean_nothing_to_nominal_measures(
        answers in answers(),
        names in Just((0..LABELS).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let renamed: Vec<_> =
            answers.iter().map(|&(i, a, l)| (i, a, names[l as usize])).collect();
        prop_assert!(same(&nominal(&votes(&answers)), &nominal(&votes(&renamed))));
    }

    #[test]
    fn a_scale_may_be_turned_round(answers in answers()) {
        let turned: Vec<_> = answers.iter().map(|&(i, a, l)| (i, a, LABELS - 1 - l)).collect();
        prop_assert!(same(&ordered(&votes(&answers)), &ordered(&votes(&turned))));
    }

    #[test]
    fn alphas_are_those_of_the_coincidence_matrix(answers in answers()) {
        let votes = votes(&answers);
        let values: Vec<f64> = votes.labels().iter().map(|&label| f64::from(label)).collect();
        let nominal = alpha_by_matrix(&votes, |c, k, _| f64::from(u8::from(c != k)));
        let interval = alpha_by_matrix(&votes, |c, k, _| (c as f64 - k as f64).powi(2));
        let ordinal = alpha_by_matrix(&votes, |c, k, n| {
            let (low, high) = (c.min(k), c.max(k));
            let between: f64 = n[low..=high].iter().sum();
            (between - (n[c] + n[k]) / 2.0).powi(2)
        });
        for (ours, theirs) in [
            (Coincidences::new(&votes).nominal_alpha(), nominal),
            (interval_alpha(votes.starts(), &values), interval),
            (ordinal_alpha(votes.starts(), votes.labels()), ordinal),
        ] {
            match (ours, theirs) {
                (Ok(ours), Some(theirs)) => prop_assert!((ours - theirs).abs() < 1e-9),
                (ours, theirs) => prop_assert!(ours.is_err() && theirs.is_none()),
            }
        }
    }

    /// Sets of one label are labels: no distance but 0 and 1.
    #[test]
    fn sets_of_one_label_are_nominal(answers in answers()) {
        let votes = votes(&answers);
        let mut sets = Sets::default();
        let given: Vec<u32> = votes.labels().iter().map(|&label| sets.number(&[label])).collect();
        let alpha = Coincidences::new(&votes).nominal_alpha();
        for distance in [SetDistance::Jaccard, SetDistance::Masi] {
            prop_assert!(same(&[alpha], &[set_alpha(votes.starts(), &given, &sets, distance)]));
        }
    }

    #[test]
    fn distances_of_sets_are_distances(
        a in prop::collection::btree_set(0_u32..6, 0..5),
        b in prop::collection::btree_set(0_u32..6, 0..5),
    ) {
        let (a, b): (Vec<u32>, Vec<u32>) = (a.into_iter().collect(), b.into_iter().collect());
        for distance in [SetDistance::Jaccard, SetDistance::Masi] {
            let d = distance.of(&a, &b);
            prop_assert!((0.0..=1.0).contains(&d));
            prop_assert_eq!(d, distance.of(&b, &a));
            prop_assert_eq!(d == 0.0, a == b);
        }
        prop_assert!(SetDistance::Masi.of(&a, &b) >= SetDistance::Jaccard.of(&a, &b));
    }

    /// Without smoothing each step is one of maximum likelihood, but for cells of 1e-10 in the
    /// place of 0: it never falls.
    #[test]
    fn the_likelihood_rises(answers in answers()) {
        let votes = votes(&answers);
        let mut before = f64::NEG_INFINITY;
        for steps in 1..8 {
            let options =
                DawidSkeneOptions { smoothing: 0.0, tolerance: 0.0, iterations_max: steps };
            let fit = DawidSkene::fit(&votes, &options).unwrap();
            let now = fit.log_likelihood;
            prop_assert!(now >= before - 1e-6 * (1.0 + now.abs()), "{steps}: {before} to {now}");
            before = fit.log_likelihood;
            for item in 0..votes.item_count() {
                let sum: f64 = fit.posterior(item).iter().sum();
                prop_assert!((sum - 1.0).abs() < 1e-9 || sum == 0.0);
            }
        }
    }
}
