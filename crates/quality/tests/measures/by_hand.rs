//! Small cases, calculated by hand.

use glossator_quality::aggregate::{DawidSkene, DawidSkeneOptions, majority, weighted_majority};
use glossator_quality::agreement::{
    Bootstrap, Coincidences, SetDistance, Sets, Units, Weights, interval_alpha, ordinal_alpha,
    pairwise_kappa, set_alpha,
};
use glossator_quality::gold::{Score, Scores, majority_accuracy, winner_accuracy};
use glossator_quality::measure::{Measure, NO_ANSWERS, NO_GOLD, NO_OVERLAP, ONE_LABEL};
use glossator_quality::numbers::{number_gold, pearson};
use glossator_quality::votes::Votes;

#[track_caller]
fn near(value: Measure, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
}

/// Answers item by item, of annotators 0, 1, 2…
fn votes(items: &[&[u32]]) -> Votes {
    let (mut item, mut annotator, mut label) = (vec![], vec![], vec![]);
    for (at, labels) in items.iter().enumerate() {
        for (who, what) in labels.iter().enumerate() {
            item.push(at as u32);
            annotator.push(who as u32);
            label.push(*what);
        }
    }
    Votes::new(&item, &annotator, &label)
}

/// Items aa, ab, bb, a. Pairs: 6 ordered ones on three items, of which 4 are equal. The last item
/// drops out, so there are 3 a and 3 b.
#[test]
fn nominal_measures() {
    let counted = Coincidences::new(&votes(&[&[0, 0], &[0, 1], &[1, 1], &[0]]));
    near(counted.percent_item_mean(), 2.0 / 3.0);
    near(counted.percent_pair_pooled(), 2.0 / 3.0);
    // D_o = 2/6, D_e = (36 - 9 - 9)/(6·5) = 0.6: 1 - (1/3)/0.6 = 4/9.
    near(counted.nominal_alpha(), 4.0 / 9.0);
    // Of 3 pairs with an a on the left, 2 have one on the right.
    near(counted.specific_agreement(0), 2.0 / 3.0);
    assert!(counted.fleiss_kappa().is_err(), "one item has one answer, others two");
    // aab, abb: shares 1/3 and 1/3; P_e = 1/4 + 1/4; (1/3 - 1/2)/(1/2) = -1/3.
    let three = Coincidences::new(&votes(&[&[0, 0, 1], &[0, 1, 1]]));
    near(three.fleiss_kappa(), -1.0 / 3.0);
    // aaa, ab: item mean (1 + 0)/2, pooled 6/8.
    let uneven = Coincidences::new(&votes(&[&[0, 0, 0], &[0, 1]]));
    near(uneven.percent_item_mean(), 0.5);
    near(uneven.percent_pair_pooled(), 0.75);
}

#[test]
fn what_is_not_defined_says_why() {
    let nobody = Votes::new(&[], &[], &[]);
    assert_eq!(Coincidences::new(&nobody).nominal_alpha(), Err(NO_OVERLAP));
    assert_eq!(
        DawidSkene::fit(&nobody, &DawidSkeneOptions::default()).map(|_| ()),
        Err(NO_ANSWERS)
    );
    let alone = Coincidences::new(&votes(&[&[0], &[1]]));
    assert_eq!(alone.nominal_alpha(), Err(NO_OVERLAP));
    assert_eq!(alone.percent_item_mean(), Err(NO_OVERLAP));
    assert_eq!(alone.fleiss_kappa(), Err(NO_OVERLAP));
    let same = votes(&[&[3, 3], &[3, 3]]);
    let counted = Coincidences::new(&same);
    assert_eq!(counted.nominal_alpha(), Err(ONE_LABEL));
    assert_eq!(counted.fleiss_kappa(), Err(ONE_LABEL));
    near(counted.percent_item_mean(), 1.0);
    assert!(counted.specific_agreement(0).is_err());
    assert!(counted.specific_agreement(99).is_err());
    assert_eq!(pairwise_kappa(&same, 1, Weights::None).unwrap()[0].kappa, Err(ONE_LABEL));
    assert_eq!(interval_alpha(&[0, 2], &[0.1, 0.1]), Err(ONE_LABEL));
    assert_eq!(interval_alpha(&[0, 1], &[0.1]), Err(NO_OVERLAP));
    assert_eq!(Score::default().accuracy(), Err(NO_GOLD));
    assert_eq!(Score::default().wilson(), None);
    assert_eq!(majority_accuracy(&majority(&same), &[None, None]), Err(NO_GOLD));
    assert!(pearson(&[1.0], &[1.0]).is_err());
    assert!(pearson(&[1.0, 2.0], &[3.0, 3.0]).is_err());
}

/// Items (1, 2), (3, 3), (4): the last drops out. Values 1, 2, 3, 3 have mean 9/4; squares about
/// it: 25/16 + 1/16 + 9/16 + 9/16 = 11/4.
#[test]
fn alpha_of_numbers_and_levels() {
    let starts = [0, 2, 4, 5];
    // D_o = (1² + 1²)/4 = 1/2, D_e = 2·(11/4)/3 = 11/6; 1 - 3/11 = 8/11.
    near(interval_alpha(&starts, &[1.0, 2.0, 3.0, 3.0, 4.0]), 8.0 / 11.0);
    // Mid-ranks 1/2, 3/2, 3, 3: mean 2, squares 9/4 + 1/4 + 1 + 1 = 9/2. D_o = (1 + 1)/4 = 1/2,
    // D_e = 2·(9/2)/3 = 3; 1 - 1/6 = 5/6.
    near(ordinal_alpha(&starts, &[0, 1, 2, 2, 3]), 5.0 / 6.0);
    // How far apart levels are called makes no difference, nor levels that nobody gave.
    near(ordinal_alpha(&starts, &[0, 5, 7, 7, 9]), 5.0 / 6.0);
}

/// Annotators 0 and 1 on four items: (a,a), (a,b), (b,b), (c,b).
#[test]
fn cohens_kappa_plain_and_weighted() {
    let pairs = votes(&[&[0, 0], &[0, 1], &[1, 1], &[2, 1]]);
    let kappa = |weights| {
        let found = pairwise_kappa(&pairs, 4, weights).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].annotators, found[0].shared, found[0].percent), ((0, 1), 4, 0.5));
        found[0].kappa
    };
    // First: a 2, b 1, c 1; second: a 1, b 3. p_e = (2·1 + 1·3)/16 = 5/16: (1/2 - 5/16)/(11/16).
    near(kappa(Weights::None), 3.0 / 11.0);
    // |c-k| observed 1 + 1 = 2 of 4 pairs; by chance: aa 0·2, ab 1·6, ba 1·1, bb 0·3, ca 2·1,
    // cb 1·3: 12/16. 1 - (2/4)/(12/16) = 1/3.
    near(kappa(Weights::Linear), 1.0 / 3.0);
    // (c-k)²: observed 2/4; by chance 6 + 1 + 4 + 3 = 14 of 16. 1 - (2/4)/(14/16) = 3/7.
    near(kappa(Weights::Quadratic), 3.0 / 7.0);
    assert!(pairwise_kappa(&pairs, 5, Weights::None).unwrap().is_empty(), "they share four");
}

/// Many annotators, of whom few share an item, are not laid out as a square.
#[test]
fn kappa_of_very_many_annotators() {
    let who = [70_000, 3, 70_000, 3, 70_000, 3, 9];
    let found = pairwise_kappa(
        &Votes::new(&[0, 0, 1, 1, 2, 2, 2], &who, &[0, 0, 1, 1, 0, 1, 1]),
        2,
        Weights::None,
    )
    .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].annotators, found[0].shared), ((3, 70_000), 3));
    // Equal on 2 of 3; 3 gave a once and b twice, 70,000 the other way: p_e = (2 + 2)/9.
    near(found[0].kappa, (2.0 / 3.0 - 4.0 / 9.0) / (5.0 / 9.0));
}

#[test]
fn distances_of_sets() {
    for (a, b, jaccard, masi) in [
        (&[][..], &[][..], 0.0, 0.0),
        (&[1, 2], &[1, 2], 0.0, 0.0),
        (&[1, 2], &[], 1.0, 1.0),
        (&[1, 2], &[3], 1.0, 1.0),
        // J = 1/2, one within the other: M = 2/3.
        (&[1, 2], &[2], 0.5, 1.0 - 1.0 / 3.0),
        // J = 1/3, they overlap: M = 1/3.
        (&[1, 2], &[2, 3], 1.0 - 1.0 / 3.0, 1.0 - 1.0 / 9.0),
    ] {
        for (x, y) in [(a, b), (b, a)] {
            near(Ok(SetDistance::Jaccard.of(x, y)), jaccard);
            near(Ok(SetDistance::Masi.of(x, y)), masi);
        }
    }
}

/// Items {1}{1}, {1,2}{1}: three sets {1}, one {1,2}; Jaccard distance 1/2, MASI 2/3.
#[test]
fn alpha_of_sets() {
    let mut sets = Sets::default();
    let answers: Vec<u32> =
        [&[1][..], &[1], &[2, 1, 2], &[1]].iter().map(|set| sets.number(set)).collect();
    assert_eq!(sets.all().len(), 2);
    // D_o = 2·(1/2)/4 = 1/4, D_e = 2·3·1·(1/2)/(4·3) = 1/4: alpha is 0, and with any distance.
    near(set_alpha(&[0, 2, 4], &answers, &sets, SetDistance::Jaccard), 0.0);
    near(set_alpha(&[0, 2, 4], &answers, &sets, SetDistance::Masi), 0.0);
    assert_eq!(set_alpha(&[0, 1], &[0], &sets, SetDistance::Masi), Err(NO_OVERLAP));
    assert_eq!(set_alpha(&[0, 2], &[0, 0], &sets, SetDistance::Masi), Err(ONE_LABEL));
}

/// Items aab, ab, b and one that nobody answered, gold a, b, a, a.
#[test]
fn majority_and_gold() {
    let votes = Votes::new(&[0, 0, 0, 1, 1, 2], &[0, 1, 2, 0, 1, 2], &[0, 0, 1, 0, 1, 1]);
    let winners = majority(&votes);
    assert_eq!(winners.labels, [vec![0], vec![0, 1], vec![1]]);
    assert_eq!(winners.ties().collect::<Vec<_>>(), [1]);
    let gold = [Some(0), Some(1), Some(0), Some(0)];
    // 1 + 1/2 + 0 over three answered items.
    near(majority_accuracy(&winners, &gold), 0.5);
    // The third counts three times: it wins the first item, and the tie is decided by the second.
    let heavy = weighted_majority(&votes, &[1.0, 1.5, 3.0]);
    assert_eq!(heavy.labels, [vec![1], vec![1], vec![1]]);
    let scores = Scores::new(&votes, &gold, |_, _| true);
    assert_eq!((scores.items, scores.all.answers, scores.all.right), (3, 6, 3));
    assert_eq!(scores.annotators[0], Score { answers: 2, right: 1 });
    assert_eq!(scores.labels[1], Score { answers: 2, right: 1 });
    let but_one = Scores::new(&votes, &gold, |item, annotator| (item, annotator) != (2, 2));
    assert_eq!((but_one.items, but_one.all.answers), (2, 5));
}

/// 8 of 10: Wilson's 95 % interval is 0.4902 to 0.9433 (Agresti and Coull 1998, and any table).
#[test]
fn wilsons_interval() {
    let range = Score { answers: 10, right: 8 }.wilson().unwrap();
    assert_eq!(
        (format!("{:.4}", range.low), format!("{:.4}", range.high)),
        ("0.4902".into(), "0.9433".into())
    );
    // None of 10: 0 to z²/(n + z²) = 3.8415/13.8415.
    let none = Score { answers: 10, right: 0 }.wilson().unwrap();
    assert_eq!((none.low, format!("{:.4}", none.high)), (0.0, "0.2775".into()));
}

/// Two annotators on two items, aa and ab. The first step by hand, with s = 0; cells that would be
/// 0 are 1e-10.
#[test]
fn one_step_of_dawid_and_skene() {
    let close = |value: f64, expected: f64| {
        assert!((value - expected).abs() < 1e-8, "{value} is not {expected}");
    };
    let options = DawidSkeneOptions { smoothing: 0.0, iterations_max: 1, tolerance: 0.0 };
    let fit = DawidSkene::fit(&votes(&[&[0, 0], &[0, 1]]), &options).unwrap();
    // Shares: (1, 0) and (1/2, 1/2); priors 3/4 and 1/4.
    assert_eq!(fit.priors, [0.75, 0.25]);
    // The first always says a. The second, where a is true: a 1 of 3/2, b 1/2 of 3/2; where b is
    // true: b always.
    for (who, truth, given, expected) in
        [(0, 0, 0, 1.0), (0, 1, 0, 1.0), (1, 0, 0, 2.0 / 3.0), (1, 0, 1, 1.0 / 3.0), (1, 1, 1, 1.0)]
    {
        close(fit.confusion(who, truth, given), expected);
    }
    // Item 1: 3/4·2/3 = 1/2 and 0. Item 2: 3/4·1/3 = 1/4 and 1/4·1 = 1/4.
    close(fit.log_likelihood, 0.5_f64.ln() + 0.5_f64.ln());
    close(fit.posterior(0)[0], 1.0);
    close(fit.posterior(1)[0], 0.5);
    assert_eq!(fit.winners()[0], Some(0));
    assert!(!fit.converged);
    near(winner_accuracy(&[Some(0), Some(0), None], &[Some(0), Some(1), Some(1)]), 0.5);
}

/// 2,000 answers to one item: their product of probabilities is far below the smallest double.
#[test]
fn very_many_answers_to_one_item() {
    let who: Vec<u32> = (0..2_000).collect();
    let items = vec![0; 2_000];
    let labels: Vec<u32> = (0..2_000).map(|at| u32::from(at % 3 == 0)).collect();
    let fit = DawidSkene::fit(
        &Votes::new(&items, &who, &labels),
        &DawidSkeneOptions { smoothing: 1.0, ..DawidSkeneOptions::default() },
    )
    .unwrap();
    assert!(fit.log_likelihood.is_finite() && fit.log_likelihood < -500.0);
    assert!(fit.posterior(0).iter().all(|p| p.is_finite()));
}

/// Means 2 and 4 against gold 1 and 5; medians 1 and 4.
#[test]
fn numbers_against_gold() {
    let found = number_gold(
        &[0, 3, 5, 6, 6],
        &[1.0, 1.0, 4.0, 3.0, 5.0, 9.0],
        &[Some(1.0), Some(5.0), None, Some(7.0)],
    );
    assert_eq!(found.items, 2);
    near(found.mean_mae, 1.0);
    near(found.mean_rmse, 1.0);
    near(found.median_mae, 0.5);
    // 0, 0, 3, 2, 0 over five answers.
    near(found.single_mae, 1.0);
    near(found.pearson, 1.0);
    // x 1 2 3 4, y 1 3 2 4: Σxy about means 4, Σxx = Σyy = 5.
    near(pearson(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]), 0.8);
}

#[test]
fn a_seed_gives_one_interval_and_equal_units_are_drawn_alike() {
    // 60 units that say 1 and 40 that say 0: the mean is 0.6 with a standard error of 0.049, so
    // that the normal interval is 0.504 to 0.696.
    let units = Units::new((0..100).map(|at| at % 5 < 3));
    assert_eq!((units.distinct(), units.total()), (&[true, false][..], 100));
    let interval = |seed| {
        let mean = |weights: &[u64]| [Ok(weights[0] as f64 / (weights[0] + weights[1]) as f64)];
        Bootstrap { seed, replicates: 4_000 }.intervals(&units, 2, mean)[0].unwrap()
    };
    let one = interval(1);
    assert_eq!(one, interval(1));
    assert!((one.low - 0.504).abs() < 0.015 && (one.high - 0.696).abs() < 0.015, "{one:?}");
    let alone = Units::new([1]);
    assert_eq!(Bootstrap::default().intervals(&alone, 1, |_| [Ok(1.0)]), [None]);
}
