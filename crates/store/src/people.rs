//! `.gloss/private/people`: identity facts, kept apart from rows and never pushed by default.
//!
//! A JSON line a person: `{id, emails, facts}`. Rows hold the id; an e-mail address that belongs to
//! no known id becomes `p-` and 16 hex digits of its BLAKE3 keyed with `.gloss/private/key`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::id::Digest;
use crate::store::Store;

/// One person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    emails: Vec<String>,
    /// JSON object with what the tool said of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<Box<RawValue>>,
}

impl Person {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), emails: Vec::new(), facts: None }
    }
}

/// The key and the people of another copy of a store.
#[derive(Debug)]
pub(crate) struct PeopleBundle {
    key: Digest,
    people: Vec<Person>,
}

impl PeopleBundle {
    /// Reads what [`Store::people_bundle`] gives.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the bytes are no such bundle.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Head {
            key: Digest,
        }
        let damaged = |what: String| Error::damaged("people", what);
        let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let first = lines.next().ok_or_else(|| damaged("it is empty".to_owned()))?;
        let head: Head = serde_json::from_slice(first).map_err(|e| damaged(e.to_string()))?;
        let person = |line| serde_json::from_slice(line).map_err(|e| damaged(e.to_string()));
        Ok(Self { key: head.key, people: lines.map(person).collect::<Result<_>>()? })
    }
}

/// The people of a store.
#[derive(Debug)]
pub struct People {
    path: PathBuf,
    key: [u8; 32],
    by_id: BTreeMap<String, Person>,
    by_email: HashMap<String, String>,
    changed: BTreeSet<String>,
    /// Ids that are in no file yet.
    fresh: BTreeSet<String>,
    /// Ids that are to leave the file.
    gone: BTreeSet<String>,
    /// Pseudonyms of persons whose id became known: pseudonym to id.
    pub aliases: BTreeMap<String, String>,
}

impl Store {
    /// Reads the people file; a missing one is empty.
    pub fn people(&self) -> Result<People> {
        let dir = self.root().join("private");
        let key_path = dir.join("key");
        let key = match self.disk().read_optional(&key_path)? {
            Some(bytes) => {
                std::str::from_utf8(&bytes)
                    .ok()
                    .and_then(|text| text.trim().parse::<Digest>().ok())
                    .ok_or_else(|| Error::BadFile {
                        path: key_path.clone(),
                        what: "it is not a key of 64 hex digits".to_owned(),
                    })?
                    .0
            }
            None => return self.make_people_key(&key_path),
        };
        let path = dir.join("people");
        let mut people = People {
            path: path.clone(),
            key,
            by_id: BTreeMap::new(),
            by_email: HashMap::new(),
            changed: BTreeSet::new(),
            fresh: BTreeSet::new(),
            gone: BTreeSet::new(),
            aliases: BTreeMap::new(),
        };
        let text = self.disk().read_optional(&path)?.unwrap_or_default();
        for (number, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let person: Person = serde_json::from_slice(line).map_err(|e| Error::BadFile {
                path: path.clone(),
                what: format!("line {}: {e}", number + 1),
            })?;
            for email in &person.emails {
                people.by_email.insert(email.to_lowercase(), person.id.clone());
            }
            people.by_id.insert(person.id.clone(), person);
        }
        Ok(people)
    }

    /// What is known of people, a line each, as it lies on the disk.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn people_file(&self) -> Result<Vec<u8>> {
        let found = self.disk().read_optional(&self.root().join("private/people"))?;
        Ok(found.unwrap_or_default())
    }

    /// The key and the people of the store as bytes for another copy of it.
    pub(crate) fn people_bundle(&self) -> Result<Vec<u8>> {
        let people = self.people()?;
        let mut bytes = format!("{{\"key\":\"{}\"}}\n", Digest(people.key)).into_bytes();
        people.write_lines(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes in the key and the people of another copy. Whom both know keeps what is said of them
    /// here. Pseudonyms that were made with the key that was here stay, and are known by address.
    pub(crate) fn take_people(&self, bundle: PeopleBundle) -> Result<()> {
        let PeopleBundle { key, people: theirs } = bundle;
        {
            let _lock = self.disk().lock(&self.root().join("private/lock"))?;
            let path = self.root().join("private/key");
            let key = format!("{key}\n").into_bytes();
            if self.disk().read_optional(&path)?.as_ref() != Some(&key) {
                self.disk().write(&path, &key)?;
            }
        }
        let mut people = self.people()?;
        for person in theirs {
            people.join(person);
        }
        self.save_people(&mut people)
    }

    /// Makes the key, unless another process just did, and reads the people with it.
    fn make_people_key(&self, path: &Path) -> Result<People> {
        {
            let _lock = self.disk().lock(&self.root().join("private/lock"))?;
            if self.disk().read_optional(path)?.is_none() {
                let key = Digest(crate::random_bytes()?);
                self.disk().put(path, format!("{key}\n").as_bytes())?;
            }
        }
        self.people()
    }

    /// Writes what changed to the people file; what another process wrote in the meantime stays.
    pub fn save_people(&self, people: &mut People) -> Result<()> {
        let changed = std::mem::take(&mut people.changed);
        people.fresh.clear();
        let gone = std::mem::take(&mut people.gone);
        if changed.is_empty() && gone.is_empty() {
            // Who is known already may be so by a process that died before that was to last.
            return match people.by_id.is_empty() {
                true => Ok(()),
                false => self.disk().sync_dir(&self.root().join("private")),
            };
        }
        let _lock = self.disk().lock(&self.root().join("private/lock"))?;
        let written = self.people()?;
        for (id, person) in written.by_id.into_iter().filter(|(id, _)| !gone.contains(id)) {
            match people.by_id.get_mut(&id) {
                None => drop(people.by_id.insert(id, person)),
                Some(ours) if !changed.contains(&id) => *ours = person,
                Some(ours) => {
                    let known = |email: &String| people.by_email.contains_key(email);
                    ours.emails.extend(person.emails.into_iter().filter(|email| !known(email)));
                }
            }
        }
        let mut bytes = Vec::new();
        people.write_lines(&mut bytes)?;
        self.disk().write(&people.path, &bytes)
    }
}

impl People {
    fn write_lines(&self, bytes: &mut Vec<u8>) -> Result<()> {
        for person in self.by_id.values() {
            serde_json::to_writer(&mut *bytes, person)
                .map_err(|e| Error::damaged(self.path.display(), e))?;
            bytes.push(b'\n');
        }
        Ok(())
    }

    /// Forgets who somebody is: rows hold the id alone from now on.
    pub fn forget(&mut self, id: &str) {
        if let Some(person) = self.by_id.remove(id) {
            person
                .emails
                .iter()
                .for_each(|email| drop(self.by_email.remove(&email.to_lowercase())));
            self.gone.insert(id.to_owned());
        }
    }

    /// The annotator id for a person as a file names them, and keeps what it says of them.
    ///
    /// `2`, `{"id": 2, "email": "ann1@…"}` and `ann1@…` are one person once the second was seen;
    /// an address that came before its id keeps its pseudonym, which [`People::aliases`] joins to
    /// the id.
    pub fn identify(
        &mut self,
        id: Option<&str>,
        email: Option<&str>,
        facts: Option<&str>,
    ) -> String {
        // An id that is an address is an address.
        let (id, email) = match id {
            Some(id) if id.contains('@') => (None, email.or(Some(id))),
            other => (other, email),
        };
        let email = email.map(str::to_lowercase);
        let known = email.as_ref().and_then(|email| self.by_email.get(email)).cloned();
        let id = match (id, &known, &email) {
            (Some(id), ..) => id.to_owned(),
            (None, Some(known), _) => known.clone(),
            (None, None, Some(email)) => self.pseudonym(email),
            (None, None, None) => return "unknown".to_owned(),
        };
        if email.is_none() && facts.is_none() {
            return id;
        }
        if !self.by_id.contains_key(&id) {
            self.changed.insert(id.clone());
            self.fresh.insert(id.clone());
        }
        if let Some(email) = email {
            // A pseudonym that rows hold keeps its address, and is joined to the id by a record;
            // one that was made a moment ago gives way.
            let known = known.filter(|known| *known != id);
            let fresh = known.as_ref().is_some_and(|known| self.fresh.remove(known));
            if fresh && let Some(before) = known.as_ref().and_then(|k| self.by_id.get_mut(k)) {
                // Its facts stay: what is left over of the file may name it.
                before.emails.retain(|e| *e != email);
            }
            match known.filter(|_| !fresh) {
                Some(known) => drop(self.aliases.insert(known, id.clone())),
                None => {
                    let person = self.by_id.entry(id.clone()).or_insert_with(|| Person::new(&id));
                    if !person.emails.contains(&email) {
                        person.emails.push(email.clone());
                        self.changed.insert(id.clone());
                    }
                    self.by_email.insert(email, id.clone());
                }
            }
        }
        if let Some(facts) = facts {
            let person = self.by_id.entry(id.clone()).or_insert_with(|| Person::new(&id));
            if person.facts.as_ref().is_none_or(|old| old.get() != facts)
                && let Ok(facts) = RawValue::from_string(facts.to_owned())
            {
                person.facts = Some(facts);
                self.changed.insert(id.clone());
            }
        }
        id
    }

    /// Adds what another copy of the store knows of a person.
    fn join(&mut self, theirs: Person) {
        let ours = self.by_id.entry(theirs.id.clone()).or_insert_with(|| Person::new(&theirs.id));
        for email in theirs.emails {
            // Known here already, of this person or, by another id, of somebody else.
            if let Entry::Vacant(entry) = self.by_email.entry(email.to_lowercase()) {
                entry.insert(theirs.id.clone());
                ours.emails.push(email);
                self.changed.insert(theirs.id.clone());
            }
        }
        if ours.facts.is_none() && theirs.facts.is_some() {
            ours.facts = theirs.facts;
            self.changed.insert(theirs.id);
        }
    }

    /// The pseudonym of an address.
    fn pseudonym(&self, email: &str) -> String {
        let hash = blake3::keyed_hash(&self.key, email.as_bytes());
        format!("p-{}", &hash.to_hex()[..16])
    }

    /// What a tool said of a person: a JSON object.
    pub fn facts(&self, id: &str) -> Option<&str> {
        self.by_id.get(id)?.facts.as_ref().map(|facts| facts.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Disk;

    #[test]
    fn one_person_by_id_object_and_address() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::init(&Disk::default(), dir.path()).unwrap();
        let mut people = store.people().unwrap();
        let early = people.identify(None, Some("Ann@example.com"), None);
        assert!(early.starts_with("p-") && early.len() == 18, "{early}");
        // Nothing was stored under the pseudonym: it gives way.
        assert!(people.identify(None, Some("eve@example.com"), None).starts_with("p-"));
        assert_eq!(people.identify(Some("4"), Some("eve@example.com"), None), "4");
        assert_eq!(people.identify(None, Some("eve@example.com"), None), "4");
        store.save_people(&mut people).unwrap();
        let facts = r#"{"id":2,"email":"ann@example.com"}"#;
        assert_eq!(people.identify(Some("2"), Some("ann@example.com"), Some(facts)), "2");
        // Rows hold the pseudonym already: it stays, and is joined to the id.
        assert_eq!(people.identify(None, Some("ANN@example.com"), None), early);
        assert_eq!(people.identify(Some("ann@example.com"), None, None), early);
        assert_eq!(people.aliases.get(&early).map(String::as_str), Some("2"));
        let facts_3 = r#"{"id":3}"#;
        assert_eq!(people.identify(Some("3"), Some("bob@example.com"), Some(facts_3)), "3");
        assert_eq!(people.identify(None, Some("Bob@example.com"), None), "3");
        assert_eq!(people.identify(None, None, None), "unknown");
        store.save_people(&mut people).unwrap();
        let mut again = store.people().unwrap();
        assert_eq!(again.facts("2"), Some(facts));
        assert_eq!(again.identify(None, Some("ann@example.com"), None), early);
        assert_eq!(again.identify(None, Some("bob@example.com"), None), "3");
    }
}
