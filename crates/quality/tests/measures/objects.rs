//! Boxes and spans: by hand, and real crowds against the figures of REFERENCE.md.

use std::collections::BTreeMap;
use std::io::Read;

use glossator_quality::measure::Measure;
use glossator_quality::objects::{Matching, Object, ObjectCounts, matched};
use glossator_store::geometry::Shape;
use serde_json::Value;

use crate::crowd::{printed, shared};

fn a_box(geometry: [f64; 4], label: u32) -> Object {
    Object { shape: Shape::decode("bbox", &geometry), label: Some(label) }
}

#[track_caller]
fn near(value: Measure, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
}

/// Boxes 10 wide, on a line: at 0 and 4 against 3 and 9. IoU of boxes d apart is (10-d)/(10+d):
/// 0~3 7/13, 4~3 9/11, 4~9 5/15. Greedy takes 4~3 and is left with nothing; together 0~3 and 4~9
/// are 0.872, more than 0.818.
#[test]
fn the_best_matching_is_not_the_greedy_one() {
    let at = |x: f64, label| a_box([x, 0.0, 10.0, 10.0], label);
    let (a, b) = ([at(0.0, 1), at(4.0, 1)], [at(3.0, 1), at(9.0, 2)]);
    let places = |found: Vec<(usize, usize, f64)>| {
        found.into_iter().map(|(i, j, _)| (i, j)).collect::<Vec<_>>()
    };
    assert_eq!(places(matched(&a, &b, 0.3, Matching::Greedy, false)), [(1, 0)]);
    assert_eq!(places(matched(&a, &b, 0.3, Matching::Best, false)), [(0, 0), (1, 1)]);
    assert_eq!(places(matched(&b, &a, 0.3, Matching::Best, false)), [(0, 0), (1, 1)]);
    assert_eq!(places(matched(&a, &b, 0.3, Matching::Best, true)), [(1, 0)], "labels differ");
    let more = [at(0.0, 1), at(4.0, 1), at(100.0, 1)];
    assert_eq!(places(matched(&more, &b, 0.3, Matching::Best, false)), [(0, 0), (1, 1)]);
    let mut counts = ObjectCounts::default();
    counts.add(&a, &b, 0.3, Matching::Best);
    near(counts.f1(), 0.5);
    near(counts.f1_any_label(), 1.0);
    near(counts.label_agreement(), 0.5);
    near(counts.mean_iou(), 9.0 / 11.0);
    counts.add(&[], &[], 0.3, Matching::Best);
    counts.add(&a, &[], 0.3, Matching::Best);
    assert_eq!((counts.both_empty, counts.one_empty, counts.same_count), (1, 1, 2));
    // Two of 4 + 2 objects.
    near(counts.f1(), 2.0 / 6.0);
}

#[test]
fn what_covers_nothing_matches_nothing() {
    let flat = [a_box([1.0, 1.0, 0.0, 5.0], 1), Object { shape: None, label: Some(1) }];
    for matching in [Matching::Best, Matching::Greedy] {
        assert!(matched(&flat, &flat, 0.5, matching, false).is_empty());
    }
    let nothing = ObjectCounts::default();
    assert!(nothing.f1().is_err() && nothing.mean_iou().is_err());
    let mut empty = ObjectCounts::default();
    empty.add(&[], &[], 0.5, Matching::Best);
    assert!(empty.f1().is_err(), "two who drew nothing are no objects that match");
    near(empty.same_count(), 1.0);
}

fn lines(name: &str) -> Option<Vec<Value>> {
    let path = shared(name)?;
    let bytes = std::fs::read(&path).unwrap();
    let mut text = String::new();
    match path.extension().is_some_and(|end| end == "gz") {
        true => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
        false => bytes.as_slice().read_to_string(&mut text).unwrap(),
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn boxes(line: &Value) -> Vec<Object> {
    let number = |value: &Value| value.as_f64().unwrap();
    let one = |b: &Value| -> Vec<f64> { b.as_array().unwrap().iter().map(number).collect() };
    let made = |b: &Value| Object { shape: Shape::decode("bbox", &one(b)), label: None };
    line["boxes"].as_array().unwrap().iter().map(made).collect()
}

/// Pairs of people on one image, and people against the in-house boxes; IoU of 0.5 and more.
#[test]
fn pedestrians_have_their_reference_figures() {
    let Some(crowd) = lines("crowd-bbox-pedestrians/crowd.jsonl.gz") else { return };
    let Some(expert) = lines("crowd-bbox-pedestrians/expert.jsonl") else { return };
    let mut images: BTreeMap<&str, Vec<Vec<Object>>> = BTreeMap::new();
    for line in &crowd {
        images.entry(line["image"].as_str().unwrap()).or_default().push(boxes(line));
    }
    let pairs = |matching| {
        let mut counts = ObjectCounts::default();
        for answers in images.values() {
            for (at, a) in answers.iter().enumerate() {
                answers[..at].iter().for_each(|b| counts.add(a, b, 0.5, matching));
            }
        }
        counts
    };
    let greedy = pairs(Matching::Greedy);
    assert_eq!(greedy.pairs, 20_286);
    printed(greedy.f1(), "0.856169", "pair F1");
    printed(greedy.mean_iou(), "0.754349", "mean IoU");
    printed(greedy.same_count(), "0.890664", "same count");
    let best = pairs(Matching::Best);
    assert!(best.iou >= greedy.iou - 1e-6, "no matching has more");
    // The reference for most pairs is an upper bound of what the largest sum of IoU matches.
    let f1 = best.f1().unwrap();
    assert!((0.856169..=0.8565505).contains(&f1), "{f1}");
    let mut gold = ObjectCounts::default();
    for line in &expert {
        let reference = boxes(line);
        for answer in images.get(line["image"].as_str().unwrap()).into_iter().flatten() {
            gold.add(answer, &reference, 0.5, Matching::Greedy);
        }
    }
    printed(Ok(gold.matched as f64 / gold.first as f64), "0.910721", "precision");
    printed(Ok(gold.matched as f64 / gold.second as f64), "0.831169", "recall");
    printed(gold.f1(), "0.869128", "F1");
    printed(gold.mean_iou(), "0.782468", "mean IoU");
}

fn spans(list: &Value) -> Vec<Object> {
    let labels = ["LOC", "MISC", "ORG", "PER"];
    let made = |span: &Value| Object {
        shape: Shape::decode("span", &[span[0].as_f64().unwrap(), span[1].as_f64().unwrap()]),
        label: labels.iter().position(|l| *l == span[2].as_str().unwrap()).map(|at| at as u32),
    };
    list.as_array().unwrap().iter().map(made).collect()
}

/// Spans that are equal in start, end and label.
#[test]
fn named_entities_have_their_reference_figures() {
    let Some(documents) = lines("crowd-ner-conll/spans.jsonl.gz") else { return };
    let (mut pairs, mut gold) = (ObjectCounts::default(), ObjectCounts::default());
    for document in &documents {
        let people = document["annotations"].as_object().unwrap();
        let answers: Vec<Vec<Object>> = people.values().map(spans).collect();
        let reference = spans(&document["gold"]);
        for (at, a) in answers.iter().enumerate() {
            gold.add(a, &reference, 0.5, Matching::Best);
            answers[..at].iter().for_each(|b| pairs.add(a, b, 0.5, Matching::Best));
        }
    }
    printed(pairs.f1_equal(), "0.564118", "pair F1");
    printed(Ok(gold.equal as f64 / gold.first as f64), "0.656757", "precision");
    printed(Ok(gold.equal as f64 / gold.second as f64), "0.563743", "recall");
    printed(gold.f1_equal(), "0.606706", "F1");
}
