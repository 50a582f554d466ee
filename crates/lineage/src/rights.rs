//! Rights: what may be done with items, and on what it rests.
//!
//! A record is `rights/<id>.toml` in the tree of a commit; the column `rights` of an item names it.
//! Legal bases are those of Article 6(1) of Regulation (EU) 2016/679. A record names nobody: it is
//! git text, which cannot be erased.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::value::{Date, Datetime};

/// On what processing rests: Article 6(1)(a) to (f) of the GDPR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegalBasis {
    /// (a) Consent.
    Consent,
    /// (b) A contract with the person.
    Contract,
    /// (c) A legal obligation.
    LegalObligation,
    /// (d) Vital interests.
    VitalInterests,
    /// (e) A task in the public interest.
    PublicTask,
    /// (f) Legitimate interests.
    LegitimateInterests,
}

/// What a record says. What is absent is unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// An SPDX expression, or what the licence is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// On what it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<LegalBasis>,
    /// Where consent is on file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// Since when consent is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Datetime>,
    /// The approval of an ethics board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethics: Option<String>,
    /// What it may be used for; empty: not limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// Where it may be; empty: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residency: Vec<String>,
    /// The last day on which it may be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_until: Option<Datetime>,
    /// Whether it must be kept whatever else is asked.
    #[serde(default)]
    pub legal_hold: bool,
    /// Whether it may leave the store.
    #[serde(default = "yes")]
    pub export: bool,
}

fn yes() -> bool {
    true
}

/// What is to be done with items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Use {
    /// For what.
    pub purpose: Option<String>,
    /// Where to.
    pub region: Option<String>,
    /// On which day.
    pub day: Option<Date>,
}

/// Why something may not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// The item names a record that is not there.
    NoRecord,
    /// Consent was withdrawn.
    Withdrawn,
    /// The time to keep it is over.
    Expired,
    /// It may not leave the store.
    NoExport,
    /// It may not be where it is to go, or nobody said where that is.
    Residency,
    /// It may not be used for that, or nobody said for what.
    Purpose,
}

impl Hindrance {
    /// As a sentence about items.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoRecord => "name rights that no record describes",
            Self::Withdrawn => "are covered by consent that was withdrawn",
            Self::Expired => "should not be kept any more",
            Self::NoExport => "may not leave the store",
            Self::Residency => "may not be there, or no `--region` is given",
            Self::Purpose => "may not be used for that, or no `--purpose` is given",
        }
    }
}

impl Rights {
    /// Reads a record.
    ///
    /// # Errors
    /// In words, where the text is no TOML, has a member that is unknown, or a date is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rights: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        let dates = [("withdrawn", &rights.withdrawn), ("retain_until", &rights.retain_until)];
        match dates.iter().find(|(_, date)| date.is_some_and(|date| date.date.is_none())) {
            Some((name, _)) => Err(format!("`{name}` is no day: write 2026-05-31")),
            None => Ok(rights),
        }
    }

    /// What stands against a use, the gravest first.
    pub fn against(&self, wanted: &Use) -> Option<Hindrance> {
        let day = |date: &Option<Datetime>| date.and_then(|date| date.date);
        let allowed = |list: &[String], asked: &Option<String>| {
            list.is_empty() || asked.as_ref().is_some_and(|asked| list.contains(asked))
        };
        // A record without a day of withdrawal in the past is asked on the day of use.
        let reached = |date: Option<Date>| match (date, wanted.day) {
            (Some(date), Some(today)) => order(date) <= order(today),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let over = match (day(&self.retain_until), wanted.day) {
            (Some(last), Some(today)) => order(last) < order(today),
            _ => false,
        };
        if reached(day(&self.withdrawn)) {
            Some(Hindrance::Withdrawn)
        } else if over {
            Some(Hindrance::Expired)
        } else if !self.export {
            Some(Hindrance::NoExport)
        } else if !allowed(&self.residency, &wanted.region) {
            Some(Hindrance::Residency)
        } else if !allowed(&self.purposes, &wanted.purpose) {
            Some(Hindrance::Purpose)
        } else {
            None
        }
    }
}

fn order(date: Date) -> (u16, u8, u8) {
    (date.year, date.month, date.day)
}

/// How many items something stands against, by reason and record, with one of them.
pub type Hindrances = BTreeMap<(Hindrance, String), (u64, String)>;

/// Notes an item that names rights.
pub fn note(
    records: &BTreeMap<String, Rights>,
    wanted: &Use,
    item: &str,
    rights: &str,
    found: &mut Hindrances,
) {
    let against = match records.get(rights) {
        None => Some(Hindrance::NoRecord),
        Some(record) => record.against(wanted),
    };
    if let Some(against) = against {
        let of = || (0, item.to_owned());
        found.entry((against, rights.to_owned())).or_insert_with(of).0 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(day: &str) -> Use {
        let day = day.parse::<Datetime>().ok().and_then(|day| day.date);
        Use { day, ..Use::default() }
    }

    #[test]
    fn what_stands_against_a_use_follows_from_the_record() {
        let record = Rights::parse(
            "licence = \"CC-BY-4.0\"\nlegal_basis = \"consent\"\nconsent = \"form 12\"\n\
             withdrawn = 2026-05-01\nretain_until = 2030-12-31\n",
        )
        .unwrap();
        assert_eq!(record.legal_basis, Some(LegalBasis::Consent));
        // The day of withdrawal counts; the last day of keeping does not.
        assert_eq!(record.against(&on("2026-04-30")), None);
        assert_eq!(record.against(&on("2026-05-01")), Some(Hindrance::Withdrawn));
        let kept = Rights { withdrawn: None, ..record };
        assert_eq!(kept.against(&on("2030-12-31")), None);
        assert_eq!(kept.against(&on("2031-01-01")), Some(Hindrance::Expired));
    }

    #[test]
    fn where_and_for_what_must_be_said_where_it_is_limited() {
        let record =
            Rights::parse("residency = [\"EU\"]\npurposes = [\"training\", \"test\"]").unwrap();
        let used = |region: Option<&str>, purpose: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            record.against(&Use { region: own(region), purpose: own(purpose), day: None })
        };
        assert_eq!(used(None, Some("test")), Some(Hindrance::Residency));
        assert_eq!(used(Some("US"), Some("test")), Some(Hindrance::Residency));
        assert_eq!(used(Some("EU"), None), Some(Hindrance::Purpose));
        assert_eq!(used(Some("EU"), Some("sale")), Some(Hindrance::Purpose));
        assert_eq!(used(Some("EU"), Some("test")), None);
        assert_eq!(Rights::parse("export = false").unwrap().against(&Use::default()), {
            Some(Hindrance::NoExport)
        });
    }

    #[test]
    fn a_record_that_says_what_nobody_knows_is_refused() {
        assert!(Rights::parse("person = \"Ann\"").unwrap_err().contains("unknown field"));
        assert!(
            Rights::parse("legal_basis = \"because\"").unwrap_err().contains("unknown variant")
        );
        let time = Rights::parse("withdrawn = 12:00:00").unwrap_err();
        assert!(time.contains("`withdrawn` is no day"), "{time}");
        let (mut found, records) = (Hindrances::new(), BTreeMap::new());
        note(&records, &Use::default(), "a", "gone", &mut found);
        note(&records, &Use::default(), "b", "gone", &mut found);
        let key = (Hindrance::NoRecord, "gone".to_owned());
        assert_eq!(found, Hindrances::from([(key, (2, "a".to_owned()))]));
    }
}
