//! Answers that are several objects on one item: boxes, areas and spans, and which of two people's
//! objects are the same.

use std::collections::BTreeMap;

use glossator_store::geometry::Shape;
use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use crate::measure::{Measure, NO_OVERLAP, Undefined, ratio};

const NO_OBJECTS: Undefined = Undefined("nobody drew anything");
const NO_MATCH: Undefined = Undefined("no two objects match");
/// The assignment counts in whole numbers: parts of an IoU.
const PARTS: f64 = (1_u64 << 40) as f64;

/// One drawn or marked object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it covers; `None` where its geometry says nothing, and it matches nothing.
    pub shape: Option<Shape>,
    /// Its label, if it has one.
    pub label: Option<u32>,
}

/// How one person's objects are paired with another's, one to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// So that the sum of IoU is the largest. Kuhn, *The Hungarian method for the assignment
    /// problem*, 1955.
    #[default]
    Best,
    /// By falling IoU, each taken where both are still free.
    Greedy,
}

/// Pairs of objects by their places in two answers, and their IoU.
type Close = Vec<(usize, usize, f64)>;

/// Pairs of objects with an IoU of `threshold` (above 0) or more, one to one: their places in `a`
/// and `b`, and their IoU. With `same_label` only objects of one label are paired.
///
/// IoU is of continuous areas, or lengths for spans. An object without extent has none.
pub fn matched(
    a: &[Object],
    b: &[Object],
    threshold: f64,
    matching: Matching,
    same_label: bool,
) -> Vec<(usize, usize, f64)> {
    let mut close = Vec::new();
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            let may = !same_label || x.label == y.label;
            let shapes = x.shape.as_ref().zip(y.shape.as_ref()).filter(|_| may);
            let iou = shapes.and_then(|(x, y)| x.iou(y)).filter(|iou| *iou >= threshold);
            close.extend(iou.map(|iou| (i, j, iou)));
        }
    }
    if matching == Matching::Greedy || !contested(&close, a.len(), b.len()) {
        return greedy(close, a.len(), b.len());
    }
    // Objects that are far from each other compete for nothing: each heap is paired by itself, for
    // the cost is that of its number of objects to the third.
    let mut found: Vec<_> = heaps(&close, a.len(), b.len()).into_iter().flat_map(best).collect();
    found.sort_unstable_by_key(|&(i, j, _)| (i, j));
    found
}

/// Close pairs by heaps: objects that are close to each other, or by way of others.
fn heaps(close: &[(usize, usize, f64)], a: usize, b: usize) -> Vec<Close> {
    let mut with: Vec<usize> = (0..a + b).collect();
    fn first(with: &mut [usize], mut at: usize) -> usize {
        while with[at] != at {
            with[at] = with[with[at]];
            at = with[at];
        }
        at
    }
    for &(i, j, _) in close {
        let (x, y) = (first(&mut with, i), first(&mut with, a + j));
        with[x.max(y)] = x.min(y);
    }
    let mut heaps: BTreeMap<usize, Close> = BTreeMap::new();
    for &pair in close {
        heaps.entry(first(&mut with, pair.0)).or_default().push(pair);
    }
    heaps.into_values().collect()
}

/// The pairs of one heap, one to one, with the largest sum of IoU.
fn best(mut close: Close) -> Close {
    let sorted = |of: fn(&(usize, usize, f64)) -> usize| {
        let mut all: Vec<usize> = close.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (first, second) = (sorted(|pair| pair.0), sorted(|pair| pair.1));
    let place = |pair: &(usize, usize, f64)| {
        (first.partition_point(|x| *x < pair.0), second.partition_point(|y| *y < pair.1))
    };
    // The method wants no more rows than columns.
    let turned = first.len() > second.len();
    let (rows, columns) = (first.len().min(second.len()), first.len().max(second.len()));
    let mut weights = Matrix::new(rows, columns, 0_i64);
    for pair in &close {
        let (i, j) = place(pair);
        weights[if turned { (j, i) } else { (i, j) }] = (pair.2 * PARTS) as i64;
    }
    let (_, assigned) = kuhn_munkres(&weights);
    close.retain(|pair| {
        let (i, j) = place(pair);
        if turned { assigned[j] == i } else { assigned[i] == j }
    });
    close
}

/// Whether any object is close to two.
fn contested(close: &[(usize, usize, f64)], a: usize, b: usize) -> bool {
    let (mut first, mut second) = (vec![false; a], vec![false; b]);
    close.iter().any(|&(i, j, _)| {
        std::mem::replace(&mut first[i], true) | std::mem::replace(&mut second[j], true)
    })
}

fn greedy(mut close: Close, a: usize, b: usize) -> Close {
    close.sort_by(|x, y| y.2.total_cmp(&x.2).then((x.0, x.1).cmp(&(y.0, y.1))));
    let (mut first, mut second) = (vec![false; a], vec![false; b]);
    close.retain(|&(i, j, _)| {
        let free = !first[i] && !second[j];
        if free {
            first[i] = true;
            second[j] = true;
        }
        free
    });
    close
}

/// What the objects of pairs of answers have in common, summed over pairs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ObjectCounts {
    /// Pairs of answers.
    pub pairs: u64,
    /// Objects of the first of each pair.
    pub first: u64,
    /// Objects of the second.
    pub second: u64,
    /// Objects that match, with equal labels.
    pub matched: u64,
    /// The sum of their IoU.
    pub iou: f64,
    /// Objects that match whatever their labels.
    pub matched_any: u64,
    /// Those of these that have the same label.
    pub same_label: u64,
    /// Objects that are equal in extent and label.
    pub equal: u64,
    /// Pairs of answers with the same number of objects.
    pub same_count: u64,
    /// Pairs in which neither drew anything.
    pub both_empty: u64,
    /// Pairs in which one drew nothing and the other something.
    pub one_empty: u64,
}

impl ObjectCounts {
    /// Adds one pair of answers.
    pub fn add(&mut self, a: &[Object], b: &[Object], threshold: f64, matching: Matching) {
        self.pairs += 1;
        self.first += a.len() as u64;
        self.second += b.len() as u64;
        self.same_count += u64::from(a.len() == b.len());
        self.both_empty += u64::from(a.is_empty() && b.is_empty());
        self.one_empty += u64::from(a.is_empty() != b.is_empty());
        let any = matched(a, b, threshold, matching, false);
        let same = any.iter().filter(|(i, j, _)| a[*i].label == b[*j].label).count();
        self.matched_any += any.len() as u64;
        self.same_label += same as u64;
        let pairs = match same == any.len() {
            true => any,
            false => matched(a, b, threshold, matching, true),
        };
        self.matched += pairs.len() as u64;
        self.iou += pairs.iter().map(|(_, _, iou)| iou).sum::<f64>();
        self.equal += equal(a, b);
    }

    /// 2·matched / (objects of both): pooled F1, which says nothing about pairs that are both
    /// empty.
    pub fn f1(&self) -> Measure {
        self.harmonic(self.matched)
    }

    /// The same, whatever the labels are.
    pub fn f1_any_label(&self) -> Measure {
        self.harmonic(self.matched_any)
    }

    /// The same of objects that are equal in extent and label.
    pub fn f1_equal(&self) -> Measure {
        self.harmonic(self.equal)
    }

    fn harmonic(&self, matched: u64) -> Measure {
        if self.pairs == 0 {
            return Err(NO_OVERLAP);
        }
        ratio(2.0 * matched as f64, (self.first + self.second) as f64, NO_OBJECTS)
    }

    /// The mean IoU of objects that match.
    pub fn mean_iou(&self) -> Measure {
        ratio(self.iou, self.matched as f64, NO_MATCH)
    }

    /// Of objects that match whatever their labels, the share with the same label.
    pub fn label_agreement(&self) -> Measure {
        ratio(self.same_label as f64, self.matched_any as f64, NO_MATCH)
    }

    /// The share of pairs of answers with as many objects.
    pub fn same_count(&self) -> Measure {
        ratio(self.same_count as f64, self.pairs as f64, NO_OVERLAP)
    }
}

/// Whether two answers have the same objects, in whichever order.
pub(crate) fn same_objects(a: &[Object], b: &[Object]) -> bool {
    let mut left: Vec<&Object> = b.iter().collect();
    a.len() == b.len()
        && a.iter().all(|x| {
            let found = left.iter().position(|y| *y == x);
            found.map(|at| left.swap_remove(at)).is_some()
        })
}

/// How many objects of two answers are equal, each counting once.
fn equal(a: &[Object], b: &[Object]) -> u64 {
    let mut taken = vec![false; b.len()];
    let mut count = 0;
    for x in a.iter().filter(|x| x.shape.is_some()) {
        let found = b.iter().zip(&taken).position(|(y, taken)| !taken && x == y);
        if let Some(at) = found {
            taken[at] = true;
            count += 1;
        }
    }
    count
}
