//! What the measures cost on simulated answers, in CPU seconds.
//!
//! `cargo run --release -p glossator-quality --example one_million -- [ITEMS]`: five answers to
//! each of 200,000 items by 500 annotators, 10 labels; each annotator is right with a probability
//! of their own between 0.6 and 0.95, and errs with a
//! preference of their own for each true label (Dirichlet).

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "it prints what it measured, and asks Linux for the CPU time"
)]

use glossator_quality::aggregate::{DawidSkene, DawidSkeneOptions, majority};
use glossator_quality::agreement::{Coincidences, Weights, pairwise_kappa};
use glossator_quality::gold::winner_accuracy;
use glossator_quality::votes::Votes;
use rand::{RngExt, SeedableRng};

const ANNOTATORS: u32 = 500;
const LABELS: u32 = 10;
const EACH: u32 = 5;

fn main() {
    let items = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(7);
    let skill: Vec<f64> = (0..ANNOTATORS).map(|_| random.random_range(0.6..0.95)).collect();
    // How likely each error is up to the one: a step for each label that is not true.
    let errors: Vec<Vec<f64>> = (0..ANNOTATORS * LABELS)
        .map(|_| {
            let parts: Vec<f64> =
                (1..LABELS).map(|_| -random.random_range(f64::MIN_POSITIVE..1.0).ln()).collect();
            let whole: f64 = parts.iter().sum();
            let mut sum = 0.0;
            parts
                .iter()
                .map(|part| {
                    sum += part / whole;
                    sum
                })
                .collect()
        })
        .collect();
    let (mut item, mut annotator, mut label) = (Vec::new(), Vec::new(), Vec::new());
    let mut gold = Vec::new();
    for at in 0..items {
        let truth = random.random_range(0..LABELS);
        gold.push(Some(truth));
        let mut who = random.random_range(0..ANNOTATORS);
        for _ in 0..EACH {
            // Five different annotators, as each is up to 99 further on.
            who = (who + random.random_range(1..100)) % ANNOTATORS;
            let right = random.random_bool(skill[who as usize]);
            let steps = &errors[(who * LABELS + truth) as usize];
            let drawn = random.random_range(0.0..1.0);
            let step = steps.partition_point(|up_to| *up_to < drawn) as u32 + 1;
            let error = (truth + step.min(LABELS - 1)) % LABELS;
            item.push(at);
            annotator.push(who);
            label.push(if right { truth } else { error });
        }
    }
    let votes = timed("ordering by item", || Votes::new(&item, &annotator, &label));
    let start = cpu();
    let counted = timed("alpha, Fleiss, percent", || {
        let counted = Coincidences::new(&votes);
        println!("  alpha {:?}, Fleiss {:?}", counted.nominal_alpha(), counted.fleiss_kappa());
        counted
    });
    let pairs = timed("kappas of all pairs", || pairwise_kappa(&votes, 10, Weights::None));
    let pairs = pairs.expect("few enough pairs");
    println!("{} pairs of annotators, {:?} agree", pairs.len(), counted.percent_item_mean());
    println!("agreement together: {:.4} s", (cpu() - start));
    timed("majority", || majority(&votes));
    let start = cpu();
    let fit = DawidSkene::fit(&votes, &DawidSkeneOptions::default());
    let Ok(fit) = fit else { return };
    let took = cpu() - start;
    println!(
        "Dawid-Skene: {took:.3} s, {} iterations of {:.4} s, log-likelihood {:.3}, accuracy {:?}",
        fit.iterations,
        took / f64::from(fit.iterations),
        fit.log_likelihood,
        winner_accuracy(&fit.winners(), &gold)
    );
}

fn timed<T>(what: &str, of: impl FnOnce() -> T) -> T {
    let start = cpu();
    let made = of();
    println!("{what}: {:.4} s", (cpu() - start));
    made
}

/// Seconds that this process was on a CPU.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}
