//! What reviewers decided.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::unit::{Answers, Field};

/// Decisions of reviewers on answers, and the share of each.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct ReviewCounts {
    /// Decisions in all.
    pub decisions: u64,
    /// How many accept.
    pub accepted: u64,
    /// How many put right.
    pub fixed: u64,
    /// How many reject.
    pub rejected: u64,
    /// How many settle a dispute.
    pub adjudicated: u64,
    /// Accepted among all; null where there are none.
    pub accepted_rate: Option<f64>,
    /// Fixed among all.
    pub fixed_rate: Option<f64>,
    /// Rejected among all.
    pub rejected_rate: Option<f64>,
    /// Adjudicated among all.
    pub adjudicated_rate: Option<f64>,
}

impl ReviewCounts {
    pub(crate) fn add(&mut self, decision: &str) {
        self.decisions += 1;
        match decision {
            "accepted" => self.accepted += 1,
            "fixed" => self.fixed += 1,
            "rejected" => self.rejected += 1,
            "adjudicated" => self.adjudicated += 1,
            _ => {}
        }
        let rate = |count: u64| Some(count as f64 / self.decisions as f64);
        self.accepted_rate = rate(self.accepted);
        self.fixed_rate = rate(self.fixed);
        self.rejected_rate = rate(self.rejected);
        self.adjudicated_rate = rate(self.adjudicated);
    }
}

/// Reviews of the answers to a field; each review counts once for each answer that it is of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReviewReport {
    /// All of them.
    pub all: ReviewCounts,
    /// By what was answered.
    pub labels: BTreeMap<String, ReviewCounts>,
    /// By the policy that the answer was given under; the empty name where none is known.
    pub policies: BTreeMap<String, ReviewCounts>,
    /// By round; 0 where nobody says.
    pub rounds: BTreeMap<i32, ReviewCounts>,
}

impl ReviewReport {
    pub(crate) fn new(field: &Field, answers: &Answers) -> Self {
        let mut report = Self::default();
        for review in &field.reviews {
            report.all.add(&review.decision);
            let policy = answers.policy(review.policy).unwrap_or_default().to_owned();
            report.policies.entry(policy).or_default().add(&review.decision);
            report.rounds.entry(review.round).or_default().add(&review.decision);
            for label in field.set_labels(review.set) {
                report.labels.entry(label.to_owned()).or_default().add(&review.decision);
            }
        }
        report
    }
}
