//! Three JSON objects merged member by member; numbers and nested values keep their text.

use std::collections::BTreeMap;

use glossator_store::change::{Resolution, resolve};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// Merges two versions of an object; `None` where a member was changed in two ways, or where one of
/// the three is no object. An object without members is no text.
///
/// Members of the base keep their order, further ones follow by name: the same whichever side is
/// which.
pub(super) fn merge(
    base: Option<&str>,
    ours: Option<&str>,
    theirs: Option<&str>,
) -> Option<Option<String>> {
    let read = |text: Option<&str>| -> Option<Vec<(String, Box<RawValue>)>> {
        text.map_or(Some(Vec::new()), |text| Some(serde_json::from_str::<Members>(text).ok()?.0))
    };
    let (base, ours, theirs) = (read(base)?, read(ours)?, read(theirs)?);
    let find = |members: &[(String, Box<RawValue>)], name: &str| {
        members.iter().find(|(n, _)| n == name).map(|(_, value)| value.get().to_owned())
    };
    let mut names: Vec<&str> = base.iter().map(|(name, _)| name.as_str()).collect();
    let more: BTreeMap<&str, ()> = ours
        .iter()
        .chain(&theirs)
        .map(|(name, _)| (name.as_str(), ()))
        .filter(|(name, ())| !names.contains(name))
        .collect();
    names.extend(more.into_keys());
    let mut merged = String::from("{");
    for name in names {
        let (was, own, other) = (find(&base, name), find(&ours, name), find(&theirs, name));
        let value = match resolve(was.as_ref(), other.as_ref(), own.as_ref()) {
            Resolution::Apply => other,
            Resolution::Drop => own,
            Resolution::Conflict if was == other => own,
            Resolution::Conflict => return None,
        };
        if let Some(value) = value {
            let comma = if merged.len() > 1 { "," } else { "" };
            merged.push_str(&format!("{comma}{}:{value}", serde_json::to_string(name).ok()?));
        }
    }
    merged.push('}');
    Some((merged.len() > 2).then_some(merged))
}

#[cfg(test)]
mod tests {
    use super::merge;

    /// Expected values by hand.
    #[test]
    fn members_merge_apart_and_keep_their_text() {
        for (base, ours, theirs, merged) in [
            (
                r#"{"a":1.0}"#,
                r#"{"a":1.0,"c":3}"#,
                r#"{"a":1.0,"b":2}"#,
                r#"{"a":1.0,"b":2,"c":3}"#,
            ),
            (r#"{"a":1,"b":2}"#, r#"{"b":2}"#, r#"{"a":1,"b":3}"#, r#"{"b":3}"#),
            (r#"{"z":0,"a":1}"#, r#"{"z":1,"a":1}"#, r#"{"z":0,"a":2}"#, r#"{"z":1,"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            for (ours, theirs) in [(ours, theirs), (theirs, ours)] {
                let made = merge(Some(base), Some(ours), Some(theirs));
                assert_eq!(made, Some(Some(merged.to_owned())), "{base} {ours} {theirs}");
            }
        }
        assert_eq!(merge(Some(r#"{"a":1}"#), None, Some("{}")), Some(None));
        assert_eq!(merge(None, Some(r#"{"a":1}"#), Some(r#"{"a":2}"#)), None);
        assert_eq!(merge(None, Some(r#"{"a":1}"#), Some(r#"{"a":1.0}"#)), None, "text counts");
        assert_eq!(merge(None, Some("[1]"), Some("{}")), None);
    }
}
