//! Rows that a merge makes of two: nobody gave them, so whoever merges is their author.

use glossator_store::merging::Take;
use glossator_store::schema::ANNOTATIONS;

use super::cells::{How, Pick, Source, Three, how};
use super::window::{Place, Window};

/// What of a box may differ where its mean is taken: its place, and who said it when.
const BESIDE_A_BOX: [&str; 16] = [
    "item_id",
    "annotation_id",
    "source",
    "submission_id",
    "region_id",
    "annotator_id",
    "seq",
    "score",
    "policy",
    "status",
    "gold",
    "parent_id",
    "created_at",
    "updated_at",
    "lead_time",
    "extra",
];

/// The cells of a row that is made of ours and theirs; `None` where these do not allow it.
///
/// It is nobody's submission, and what others said of either row is not said of it.
pub(super) fn sources(
    window: &Window<'_>,
    three: &Three,
    take: Take,
    author: &str,
) -> Option<Vec<Source>> {
    let (ours, theirs) = three.ours.zip(three.theirs)?;
    if window.table != &ANNOTATIONS {
        return None;
    }
    let mean = match take {
        Take::MeanBox => Some(mean_box(window, ours, theirs)?),
        Take::PerColumn => None,
        _ => return None,
    };
    let cell = |column: usize| -> Option<Source> {
        let ours_first = || {
            let time = |place: Place| window.rows[place.0].column(column).int(place.1);
            time(ours) >= time(theirs)
        };
        let name = ANNOTATIONS.columns[column].name;
        Some(match name {
            "annotator_id" => Source::Text(Some(author.to_owned())),
            "submission_id" | "lead_time" | "score" => Source::Text(None),
            "status" => Source::Text(Some("submitted".to_owned())),
            "created_at" => Source::Cell(ours),
            "updated_at" => Source::Cell(if ours_first() { ours } else { theirs }),
            "geometry" if mean.is_some() => Source::Floats(mean.clone()?),
            _ if mean.is_some() && how(&ANNOTATIONS, column) == How::Whole => Source::Cell(ours),
            _ => match three.pick(window, std::iter::once(column).collect()) {
                Pick::Ours | Pick::Equal => Source::Cell(ours),
                Pick::Theirs => Source::Cell(theirs),
                Pick::Clash => {
                    three.apart(window, column, how(&ANNOTATIONS, column), (ours, theirs))?
                }
            },
        })
    };
    (0..ANNOTATIONS.columns.len()).map(cell).collect()
}

/// The box between two that say the same otherwise.
fn mean_box(window: &Window<'_>, ours: Place, theirs: Place) -> Option<Vec<f64>> {
    let named = |column: usize| ANNOTATIONS.columns[column].name;
    let said = |column| named(column) != "geometry" && !BESIDE_A_BOX.contains(&named(column));
    let kind = window.text(ours, ANNOTATIONS.column("kind"));
    if kind != Some("bbox") || !window.same(Some(ours), Some(theirs), said) {
        return None;
    }
    let corners =
        |place: Place| window.rows[place.0].column(ANNOTATIONS.column("geometry")?).floats(place.1);
    let (a, b) = (corners(ours)?, corners(theirs)?);
    // Half of each first: the sum of two large numbers may not be one.
    let mean = a.iter().zip(b).map(|(a, b)| a / 2.0 + b / 2.0);
    (a.len() == b.len()).then(|| mean.collect())
}
