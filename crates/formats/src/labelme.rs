//! LabelMe of the web: one XML file an image and folder, with polygons that each say who drew them.
//!
//! An image is an item, called by its file name; an object is a row of kind `polygon` in pixels,
//! whose number in the file is its `region_id`. A deleted object is a row that is superseded. What
//! no column holds (folder, source, occlusion, attributes, parts) stands in `extra` of the object's
//! row.
//!
//! # Guarantees
//! - Nothing of an object is lost; what the file says of an image without objects, but its size, is
//!   reported.
//!
//! # Limitations
//! - Folders are those of annotators or rounds: one file name is one image in all of them.
//! - Objects that are painted (`segm`) are no polygons, and are refused or quarantined.

use std::io::Read;

use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, AnnotationsBuilder, ITEMS, ItemRow, ItemsBuilder, SOURCES,
    SourceRow, SourcesBuilder,
};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use quick_xml::events::Event;
use serde_json::{Map, Value};

use crate::{
    BadRecord, Error, ImportOptions, ImportReport, Importer, Input, Person, Place,
    RECORD_BYTES_MAX, Result, Sink,
};

/// Elements within each other at most.
const DEPTH_MAX: usize = 32;
/// Bytes of a folder's name that each object repeats.
const FOLDER_MAX: usize = 256;
/// How LabelMe writes times, in the zone of its server.
const TIME: &str = "%d-%b-%Y %H:%M:%S";

/// The XML files of the LabelMe web tool.
#[derive(Debug, Clone, Copy)]
pub struct LabelMe;

impl Importer for LabelMe {
    fn name(&self) -> &'static str {
        "labelme-xml"
    }

    fn detect(&self, _file_name: &str, head: &[u8]) -> u8 {
        let head = String::from_utf8_lossy(head);
        let text = head.trim_start_matches('\u{feff}').trim_start();
        let begins = text.starts_with("<annotation") || text.starts_with("<?xml");
        let is_it = text.contains("<annotation") && (text.contains("LabelMe") || polygons(text));
        if begins && is_it { 2 } else { 0 }
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        let source = options.source.clone().unwrap_or_else(|| "labelme".to_owned());
        let root = tree(input)?;
        let records = image(input, &root, &source, sink)?;
        Ok(ImportReport { source, mapping: Vec::new(), records })
    }
}

/// Whether objects are polygons: those of Pascal VOC are boxes.
fn polygons(text: &str) -> bool {
    text.contains("<object>") && text.contains("<polygon>")
}

/// An element with the text and the elements in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child without white space around it; none where it is empty.
    fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// The same as JSON: text, or an object with what is in it. Elements of one name are a list.
    fn json(&self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text.trim().to_owned());
        }
        let mut object = Map::new();
        self.children.iter().for_each(|child| add(&mut object, child));
        Value::Object(object)
    }
}

fn add(object: &mut Map<String, Value>, child: &Element) {
    let value = child.json();
    match object.get_mut(&child.name) {
        None => drop(object.insert(child.name.clone(), value)),
        Some(Value::Array(list)) => list.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
}

/// Adds text to the element that is open.
fn put(open: &mut [Element], text: &str) {
    if let Some(last) = open.last_mut() {
        last.text.push_str(text);
    }
}

/// Reads a whole file; it is of one image.
fn tree(input: &Input) -> Result<Element> {
    let mut text = String::new();
    let mut limited = input.open()?.take(RECORD_BYTES_MAX as u64 + 1);
    let place = || Place::file(input.name());
    limited.read_to_string(&mut text).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::input(place(), "it is not UTF-8"),
        _ => Error::Io { file: input.name(), source: e },
    })?;
    if text.len() > RECORD_BYTES_MAX {
        return Err(Error::input(place(), format!("it exceeds {} MiB", RECORD_BYTES_MAX >> 20)));
    }
    let line = |at: u64| {
        let before = &text.as_bytes()[..(at as usize).min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Place::line(input.name(), line)
    };
    let mut reader = quick_xml::Reader::from_str(&text);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event();
        let at = reader.buffer_position();
        let wrong = |what: String| Error::input(line(at), what);
        match event.map_err(|e| wrong(format!("broken XML: {e}")))? {
            Event::Start(tag) => {
                if open.len() > DEPTH_MAX {
                    return Err(wrong(format!("more than {DEPTH_MAX} elements in each other")));
                }
                let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                open.push(Element { name, ..Element::default() });
            }
            Event::Empty(tag) => {
                let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                if let Some(last) = open.last_mut() {
                    last.children.push(Element { name, ..Element::default() });
                }
            }
            Event::End(_) => {
                let done = open.pop().unwrap_or_default();
                let Some(last) = open.last_mut() else {
                    return Err(wrong("an element ends that did not begin".to_owned()));
                };
                last.children.push(done);
            }
            Event::Text(part) => {
                let part = part.decode().map_err(|e| wrong(e.to_string()))?;
                put(&mut open, &part);
            }
            Event::CData(part) => {
                let part = part.decode().map_err(|e| wrong(e.to_string()))?;
                put(&mut open, &part);
            }
            Event::GeneralRef(entity) => {
                let resolved = entity.resolve_char_ref().map_err(|e| wrong(e.to_string()))?;
                let text = match resolved {
                    Some(c) => c.to_string(),
                    None => {
                        let name = entity.decode().map_err(|e| wrong(e.to_string()))?;
                        let known = quick_xml::escape::resolve_predefined_entity(&name);
                        known.ok_or_else(|| wrong(format!("unknown entity `&{name};`")))?.to_owned()
                    }
                };
                put(&mut open, &text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let root = match open.len() {
        1 => open.pop().and_then(|mut all| all.children.pop()),
        _ => None,
    };
    root.filter(|root| root.name == "annotation").ok_or_else(|| {
        Error::input(place(), "it is no `<annotation>` that is whole")
            .hint("export it again from LabelMe, or name the file's format with `--format`")
    })
}

/// Hands over the item and its objects; gives how many records they are.
fn image(input: &Input, root: &Element, source: &str, sink: &mut dyn Sink) -> Result<u64> {
    let place = || Place::file(input.name());
    let item = root.text_of("filename").ok_or_else(|| {
        Error::input(place(), "it does not say its image: `<filename>` is empty or missing")
    })?;
    let side = |name: &str| {
        let text = root.child("imagesize").and_then(|size| size.text_of(name));
        text.and_then(|text| text.parse::<i64>().ok()).filter(|side| *side > 0)
    };
    let mut items = ItemsBuilder::default();
    items.push(&ItemRow {
        item_id: item,
        source: Some(source),
        uri: Some(item),
        width: side("ncols"),
        height: side("nrows"),
        ..ItemRow::default()
    });
    sink.rows(&ITEMS, items.finish())?;
    let mut sources = SourcesBuilder::default();
    sources.push(&SourceRow { source, format: "labelme-xml", data: None, extra: None });
    sink.rows(&SOURCES, sources.finish())?;
    let mut beside = Map::new();
    for child in &root.children {
        if !["filename", "imagesize", "object"].contains(&child.name.as_str()) {
            add(&mut beside, child);
        }
    }
    let objects = root.children.iter().filter(|child| child.name == "object");
    let mut records = 0;
    for (seq, object) in objects.enumerate() {
        records += 1;
        if let Err(reason) = row(item, source, (seq, object), &beside, sink)? {
            let place = Place::path(input.name(), format!("object[{seq}]"));
            sink.bad(BadRecord { place, reason, raw: object.json().to_string() })?;
        }
    }
    if records == 0 && !beside.is_empty() {
        sink.lost("facts beside images without objects", &place());
    }
    Ok(records + 1)
}

/// Hands over one object, or says why it is none.
fn row(
    item: &str,
    source: &str,
    (seq, object): (usize, &Element),
    beside: &Map<String, Value>,
    sink: &mut dyn Sink,
) -> Result<Result<(), String>> {
    let geometry = match geometry(object) {
        Ok(geometry) => geometry,
        Err(reason) => return Ok(Err(reason)),
    };
    let polygon = object.child("polygon");
    let name = polygon.and_then(|polygon| polygon.text_of("username"));
    let annotator = sink.person(&Person { id: name, ..Person::default() })?;
    let date = object.text_of("date");
    let created_at = date.and_then(time);
    // What stands beside the objects stands once; a name of a folder in each.
    let short = |(name, value): &(&String, &Value)| {
        name.as_str() == "folder" && value.as_str().is_some_and(|text| text.len() <= FOLDER_MAX)
    };
    let own = beside.iter().filter(|member| seq == 0 || short(member));
    let mut extra: Map<String, Value> =
        own.map(|(name, value)| (name.clone(), value.clone())).collect();
    for child in &object.children {
        let known = match child.name.as_str() {
            "name" | "id" => true,
            "deleted" => ["0", "1"].contains(&child.text.trim()),
            "date" => created_at.is_some(),
            "polygon" => {
                let rest =
                    child.children.iter().filter(|c| !["username", "pt"].contains(&&*c.name));
                let mut left = Map::new();
                rest.for_each(|child| add(&mut left, child));
                if !left.is_empty() {
                    extra.insert("polygon".to_owned(), Value::Object(left));
                }
                true
            }
            _ => false,
        };
        if !known {
            add(&mut extra, child);
        }
    }
    let deleted = object.text_of("deleted") == Some("1");
    let extra = (!extra.is_empty()).then(|| Value::Object(extra).to_string());
    let mut rows = AnnotationsBuilder::default();
    rows.push(&AnnotationRow {
        item_id: item,
        source,
        region_id: object.text_of("id"),
        annotator_id: &annotator,
        origin: "human",
        field: "object",
        kind: "polygon",
        label: object.text_of("name"),
        geometry: Some(&geometry),
        unit: Some("px"),
        seq: i32::try_from(seq).ok(),
        status: if deleted { "superseded" } else { "submitted" },
        created_at,
        extra: extra.as_deref(),
        ..AnnotationRow::default()
    });
    sink.rows(&ANNOTATIONS, rows.finish())?;
    Ok(Ok(()))
}

/// One ring: 1, the number of its points, then x and y of each.
fn geometry(object: &Element) -> Result<Vec<f64>, String> {
    let polygon = object.child("polygon").ok_or("an object without a polygon")?;
    let points: Vec<&Element> = polygon.children.iter().filter(|c| c.name == "pt").collect();
    if points.is_empty() {
        return Err("a polygon without points".to_owned());
    }
    let mut geometry = vec![1.0, points.len() as f64];
    for (at, point) in points.iter().enumerate() {
        for axis in ["x", "y"] {
            let text = point.text_of(axis).unwrap_or_default();
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            geometry.push(number.ok_or_else(|| format!("pt[{at}].{axis} is {text:?}, no number"))?);
        }
    }
    Ok(geometry)
}

/// Microseconds since 1970: the tool does not say its zone, so it is taken for UTC.
fn time(text: &str) -> Option<i64> {
    let civil = DateTime::strptime(TIME, text).ok()?;
    let back = civil.strftime(TIME).to_string();
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    (back == text).then(|| zoned.timestamp().as_microsecond())
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test writes files, and says what it skips"
)]
mod tests {
    use std::path::Path;

    use glossator_store::schema::{Annotations, Items};

    use super::*;
    use crate::collect::Collected;

    const FILE: &str = r#"<annotation><filename>
a&amp;b.jpg
</filename><folder>round-1</folder><source><sourceImage>web</sourceImage></source>
<object><name>car</name><deleted>0</deleted><verified>0</verified><attributes>red, old</attributes>
<parts><hasparts></hasparts><ispartof/></parts><date>09-Jun-2018 03:09:23</date><id>7</id>
<polygon><username>ann</username><pt><x>1</x><y>2</y></pt><pt><x>5.5</x><y>2</y></pt>
<pt><x>5</x><y>8</y></pt></polygon></object>
<object><name>car</name><deleted>1</deleted><date>yesterday</date><id>8</id>
<polygon><username>bob</username><closed_date>x</closed_date><pt><x>0</x><y>0</y></pt></polygon>
</object><imagesize><nrows>64</nrows><ncols>48</ncols></imagesize></annotation>"#;

    fn read(text: &str, quarantine: bool) -> Result<Collected> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xml");
        std::fs::write(&path, text).unwrap();
        let mut sink = Collected::default();
        sink.quarantine = quarantine;
        LabelMe.import(&Input::new(path), &ImportOptions::default(), &mut sink)?;
        Ok(sink)
    }

    #[test]
    fn an_image_and_its_polygons_become_rows() {
        assert_eq!(LabelMe.detect("a.xml", FILE.as_bytes()), 2);
        let rows = read(FILE, false).unwrap();
        let items = rows.table(&ITEMS);
        let item = Items::new(&items).iter().next().unwrap();
        assert_eq!((item.item_id, item.width, item.height), ("a&b.jpg", Some(48), Some(64)));
        let batch = rows.table(&ANNOTATIONS);
        let [car, gone]: [AnnotationRow<'_>; 2] =
            Annotations::new(&batch).iter().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((car.annotator_id, car.label, car.region_id), ("ann", Some("car"), Some("7")));
        assert_eq!(car.geometry, Some(&[1.0, 3.0, 1.0, 2.0, 5.5, 2.0, 5.0, 8.0][..]));
        // `date -u -d '2018-06-09 03:09:23' +%s`
        assert_eq!(car.created_at, Some(1_528_513_763_000_000));
        let extra: Value = serde_json::from_str(car.extra.unwrap()).unwrap();
        let expected = serde_json::json!({
            "folder": "round-1", "source": {"sourceImage": "web"}, "verified": "0",
            "attributes": "red, old", "parts": {"hasparts": "", "ispartof": ""},
        });
        assert_eq!(extra, expected);
        assert_eq!((gone.status, gone.created_at), ("superseded", None));
        let extra: Value = serde_json::from_str(gone.extra.unwrap()).unwrap();
        assert_eq!(
            (&extra["date"], &extra["polygon"]["closed_date"]),
            (&"yesterday".into(), &"x".into())
        );
    }

    #[test]
    fn what_is_broken_is_told_with_its_place() {
        let fails = |text: &str| read(text, false).unwrap_err().to_string();
        assert!(fails("<annotation><filename>a").contains("whole"), "{}", fails("<annotation>"));
        assert!(fails("<annotation>\n</wrong>").contains("line 2: broken XML"));
        assert!(fails("<annotation></annotation>").contains("`<filename>` is empty or missing"));
        assert!(fails("<other></other>").contains("no `<annotation>`"));
        assert!(fails(&"<annotation>".repeat(40)).contains("more than 32 elements"));
        let entity = "<annotation><filename>&boom;</filename></annotation>";
        assert!(fails(entity).contains("unknown entity `&boom;`"), "{}", fails(entity));
        let bad = FILE.replace("<x>5.5</x>", "<x>wide</x>");
        assert!(
            fails(&bad).contains("`object[0]`: pt[1].x is \"wide\", no number"),
            "{}",
            fails(&bad)
        );
        let kept = read(&bad, true).unwrap();
        assert_eq!((kept.bad.len(), kept.table(&ANNOTATIONS).num_rows()), (1, 1));
        let painted = "<annotation><filename>a</filename><object><segm/></object></annotation>";
        assert!(fails(painted).contains("an object without a polygon"));
        let voc = b"<annotation><object><bndbox></bndbox></object></annotation>";
        assert_eq!(LabelMe.detect("voc.xml", voc), 0);
    }

    /// Four people, 13 images, 54 objects of which two were deleted: as the folder's README counts.
    #[test]
    fn a_real_set_of_polygons_is_read() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = dir.join("../../../shared/data/crowd-polygon-labelme");
        if !dir.is_dir() {
            assert!(std::env::var_os("CI").is_none(), "{} is missing", dir.display());
            eprintln!("skipped: {} is missing", dir.display());
            return;
        }
        let (mut sink, mut files) = (Collected::default(), 0);
        for person in 1..=4 {
            for entry in std::fs::read_dir(dir.join(format!("annotator{person}"))).unwrap() {
                let input = Input::new(entry.unwrap().path());
                LabelMe.import(&input, &ImportOptions::default(), &mut sink).unwrap();
                files += 1;
            }
        }
        assert_eq!(files, 52);
        let batch = sink.table(&ANNOTATIONS);
        let rows = Annotations::new(&batch);
        let of = |who: &str| {
            let own = rows.iter().filter(|row| row.annotator_id == who);
            let counts = own.map(|row| (1, row.geometry.unwrap()[1] as usize));
            counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        };
        let counts = ["annotator1", "annotator2", "annotator3", "annotator4"].map(of);
        assert_eq!(counts, [(14, 366), (13, 275), (14, 325), (13, 395)]);
        assert_eq!(rows.iter().filter(|row| row.status == "superseded").count(), 2);
    }
}
