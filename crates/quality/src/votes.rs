//! Answers to one question as plain arrays, ordered by item.

/// Answers to one question, each one of a fixed set of labels: the `(item, annotator, label)`
/// triples of all measures of agreement and aggregation, as three arrays ordered by item.
///
/// Items, annotators and labels are numbers from 0. Several answers of one annotator to one item
/// are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Votes {
    starts: Vec<u32>,
    annotators: Vec<u32>,
    labels: Vec<u32>,
    annotator_count: usize,
    label_count: usize,
}

impl Votes {
    /// Orders answers by item; those of one item keep their order.
    ///
    /// `annotators[i]` gave `labels[i]` to `items[i]`. There are as many items, annotators and
    /// labels as the largest number of each says.
    ///
    /// # Panics
    /// If the slices differ in length, or are longer than `u32::MAX`.
    pub fn new(items: &[u32], annotators: &[u32], labels: &[u32]) -> Self {
        assert!(items.len() == annotators.len() && items.len() == labels.len());
        assert!(u32::try_from(items.len()).is_ok(), "answers are counted in 32 bits");
        let count = |ids: &[u32]| ids.iter().max().map_or(0, |&max| max as usize + 1);
        let (annotator_count, label_count) = (count(annotators), count(labels));
        let mut starts = vec![0_u32; count(items) + 1];
        items.iter().for_each(|&item| starts[item as usize + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        if items.is_sorted() {
            let (annotators, labels) = (annotators.to_vec(), labels.to_vec());
            return Self { starts, annotators, labels, annotator_count, label_count };
        }
        let mut next = starts.clone();
        let (mut by, mut what) = (vec![0; items.len()], vec![0; items.len()]);
        for ((&item, &annotator), &label) in items.iter().zip(annotators).zip(labels) {
            let at = next[item as usize] as usize;
            next[item as usize] += 1;
            by[at] = annotator;
            what[at] = label;
        }
        Self { starts, annotators: by, labels: what, annotator_count, label_count }
    }

    /// The same answers with other labels: `to` gives the new number of each.
    pub fn relabelled(&self, to: impl Fn(u32) -> u32) -> Self {
        let labels: Vec<u32> = self.labels.iter().map(|&label| to(label)).collect();
        let label_count = labels.iter().max().map_or(0, |&max| max as usize + 1);
        Self { labels, label_count, ..self.clone() }
    }

    /// The number of items, those without answers among them.
    pub fn item_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of annotators.
    pub fn annotator_count(&self) -> usize {
        self.annotator_count
    }

    /// The number of labels.
    pub fn label_count(&self) -> usize {
        self.label_count
    }

    /// The number of answers.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no answers.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Who answered and what, item by item.
    pub fn items(&self) -> impl ExactSizeIterator<Item = (&[u32], &[u32])> {
        self.starts.windows(2).map(|ends| {
            let range = ends[0] as usize..ends[1] as usize;
            (&self.annotators[range.clone()], &self.labels[range])
        })
    }

    /// The answers of all items, in order of items.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Where the answers of each item start, and the number of all answers at the end.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }
}
