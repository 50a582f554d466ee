//! COCO: datasets of images with instances, keypoints, captions or panoptic segments, and results
//! files of detections.
//!
//! An image is an item, an annotation a row a part: its shape (`polygon` or `mask`), its box
//! (`bbox`, where it is not the box around the shape), its `keypoints` and its caption (`text`)
//! share the annotation's id as `region_id`. An annotation that only names a category is a
//! `choice`. A panoptic annotation is a submission whose segments are rows. What the file says
//! beside images and annotations is the source's row.
//!
//! # Guarantees
//! - An export equals the imported file as JSON values, number texts included.
//! - What is computed is computed again: the area, the box around a shape, the count of keypoints
//!   follow an edited row.
//!
//! # Limitations
//! - Categories and the ids of images are held in memory; annotations are not.
//! - Of two annotations with one id, the second is noticed among the first four million ids.

mod export;
mod gather;
mod import;
mod names;
mod object;
mod parse;
mod plain;
mod plan;
mod rows;
#[cfg(test)]
mod tests;

use std::io::Write;

use crate::{
    ExportOptions, Exporter, ImportOptions, ImportReport, Importer, Input, Loss, Result, Sink, View,
};

/// The COCO format.
#[derive(Debug, Clone, Copy)]
pub struct Coco;

/// The field of segments, and the name of a panoptic annotation that has no id.
const PANOPTIC: &str = "panoptic";

/// The question that a part of an annotation answers.
fn field(kind: &str) -> &'static str {
    match kind {
        "keypoints" => "keypoints",
        "text" => "captions",
        "choice" => "labels",
        _ => "instances",
    }
}

impl Importer for Coco {
    fn name(&self) -> &'static str {
        "coco"
    }

    fn detect(&self, _file_name: &str, head: &[u8]) -> u8 {
        if !crate::json::begins(head) {
            return 0;
        }
        let head = String::from_utf8_lossy(head);
        let has = |member: &str| after(&head, member).is_some();
        let has_list = |member: &str| after(&head, member).is_some_and(|c| c == '[');
        let annotation = has("image_id") && (has("category_id") || has("caption"));
        match head.trim_start_matches('\u{feff}').trim_start().chars().next() {
            Some('[') if annotation && !has("annotations") => 2,
            Some('{') if has_list("annotations") && (annotation || has("segments_info")) => 2,
            Some('{') if has_list("images") && (has("file_name") || has("coco_url")) => 2,
            Some('{') if has_list("licenses") && has("info") => 2,
            Some('{') if has_list("categories") && has("supercategory") => 2,
            Some('{') if has_list("images") || has_list("categories") => 1,
            _ => 0,
        }
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        import::import(input, options, sink)
    }
}

/// The first character of the value of a member of that name, wherever one stands.
fn after(text: &str, member: &str) -> Option<char> {
    let name = format!("\"{member}\"");
    text.match_indices(&name).find_map(|(at, _)| {
        let rest = text.get(at + name.len()..)?.trim_start().strip_prefix(':')?;
        rest.trim_start().chars().next()
    })
}

impl Exporter for Coco {
    fn name(&self) -> &'static str {
        "coco"
    }

    fn export(
        &self,
        view: &dyn View,
        options: &ExportOptions,
        out: &mut (dyn Write + Send),
    ) -> Result<Vec<Loss>> {
        export::export(view, options, out)
    }
}
