//! What the measures cost on simulated answers, in seconds of one core.
//!
//! `cargo run --release -p glossator-quality --example one_million -- [ITEMS]`: five answers to
//! each of 200,000 items by 500 annotators, 10 labels; each annotator is right with a probability
//! of their own between 0.6 and 0.95, and errs at random.

#![allow(clippy::disallowed_macros, reason = "it prints what it measured")]

use std::time::Instant;

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
            let error = (truth + random.random_range(1..LABELS)) % LABELS;
            item.push(at);
            annotator.push(who);
            label.push(if right { truth } else { error });
        }
    }
    let votes = timed("ordering by item", || Votes::new(&item, &annotator, &label));
    let start = Instant::now();
    let counted = timed("alpha, Fleiss, percent", || {
        let counted = Coincidences::new(&votes);
        println!("  alpha {:?}, Fleiss {:?}", counted.nominal_alpha(), counted.fleiss_kappa());
        counted
    });
    let pairs = timed("kappas of all pairs", || pairwise_kappa(&votes, 10, Weights::None));
    println!("{} pairs of annotators, {:?} agree", pairs.len(), counted.percent_item_mean());
    println!("agreement together: {:.4} s", start.elapsed().as_secs_f64());
    timed("majority", || majority(&votes));
    let start = Instant::now();
    let fit = DawidSkene::fit(&votes, &DawidSkeneOptions::default());
    let Ok(fit) = fit else { return };
    let took = start.elapsed().as_secs_f64();
    println!(
        "Dawid-Skene: {took:.3} s, {} iterations of {:.4} s, log-likelihood {:.3}, accuracy {:?}",
        fit.iterations,
        took / f64::from(fit.iterations),
        fit.log_likelihood,
        winner_accuracy(&fit.winners(), &gold)
    );
}

fn timed<T>(what: &str, of: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = of();
    println!("{what}: {:.4} s", start.elapsed().as_secs_f64());
    made
}
