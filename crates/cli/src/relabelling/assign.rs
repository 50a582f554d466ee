//! Who answers which item again. The same items and names give the same lists everywhere.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;

use crate::error::{CliError, Result};

/// How items are given to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AssignBy {
    /// To who answered it before; what is missing, to those with the least
    Annotator,
    /// So that everybody gets as many of each old label
    Stratified,
    /// In turn
    RoundRobin,
}

impl AssignBy {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Annotator => "annotator",
            Self::Stratified => "stratified",
            Self::RoundRobin => "round-robin",
        }
    }
}

/// What is known of an item that has to be done again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    /// Who answered what is void now.
    pub people: BTreeSet<String>,
    /// What they said.
    pub labels: BTreeSet<String>,
}

/// Names by item, as many each as the overlap says.
pub(crate) type Assigned = BTreeMap<String, Vec<String>>;

/// Gives items to people.
///
/// # Errors
/// Where there are fewer names than people that shall answer an item.
pub(crate) fn assign(
    items: &BTreeMap<String, Before>,
    how: AssignBy,
    among: &[String],
    overlap: u32,
) -> Result<Assigned> {
    let mut names: Vec<&str> = Vec::new();
    among.iter().map(String::as_str).for_each(|name| {
        if !names.contains(&name) {
            names.push(name);
        }
    });
    if names.is_empty() && how == AssignBy::Annotator {
        let all: BTreeSet<&str> =
            items.values().flat_map(|before| &before.people).map(String::as_str).collect();
        names = all.into_iter().collect();
    }
    let wanted = overlap as usize;
    if names.len() < wanted {
        let message = format!("{} name(s) for {overlap} answer(s) to each item", names.len());
        return Err(CliError::input(message).hint("name more people: `--among ann,bob,eve`"));
    }
    let mut order: Vec<(&String, &Before)> = items.iter().collect();
    if how == AssignBy::Stratified {
        // In turn within each stratum, and on from there in the next.
        order.sort_by(|a, b| (&a.1.labels, a.0).cmp(&(&b.1.labels, b.0)));
    }
    let mut load = vec![0_u64; names.len()];
    let mut next = 0;
    let mut assigned = Assigned::new();
    for (item, before) in order {
        let mut chosen: Vec<usize> = Vec::new();
        if how == AssignBy::Annotator {
            let own = |at: &usize| before.people.contains(names[*at]);
            chosen.extend((0..names.len()).filter(own).take(wanted));
            while chosen.len() < wanted {
                let free = (0..names.len()).filter(|at| !chosen.contains(at));
                chosen.extend(free.min_by_key(|at| (load[*at], *at)));
            }
        } else {
            chosen.extend((0..wanted).map(|more| (next + more) % names.len()));
            next = (next + wanted) % names.len();
        }
        chosen.iter().for_each(|at| load[*at] += 1);
        let people = chosen.into_iter().map(|at| names[at].to_owned()).collect();
        assigned.insert(item.clone(), people);
    }
    Ok(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Item, who answered it, and what.
    fn items(of: &[(&str, &str, &str)]) -> BTreeMap<String, Before> {
        let set = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let one = |(item, people, labels): &(&str, &str, &str)| {
            ((*item).to_owned(), Before { people: set(people), labels: set(labels) })
        };
        of.iter().map(one).collect()
    }

    fn given(
        items: &BTreeMap<String, Before>,
        how: AssignBy,
        among: &str,
        overlap: u32,
    ) -> Vec<String> {
        let among: Vec<String> = among.split_whitespace().map(str::to_owned).collect();
        assign(items, how, &among, overlap).unwrap().values().map(|v| v.join(" ")).collect()
    }

    #[test]
    fn items_go_round() {
        let items = items(&[("1", "", ""), ("2", "", ""), ("3", "", "")]);
        assert_eq!(given(&items, AssignBy::RoundRobin, "a b", 1), ["a", "b", "a"]);
        assert_eq!(given(&items, AssignBy::RoundRobin, "a b c", 2), ["a b", "c a", "b c"]);
        let few = assign(&items, AssignBy::RoundRobin, &["a".to_owned()], 2);
        assert!(few.unwrap_err().message().contains("1 name(s) for 2"));
        assert!(assign(&items, AssignBy::Stratified, &[], 1).is_err());
    }

    #[test]
    fn everybody_gets_as_many_of_each_label() {
        let items = items(&[
            ("1", "", "van"),
            ("2", "", "bus"),
            ("3", "", "van"),
            ("4", "", "bus"),
            ("5", "", "van"),
            ("6", "", "van"),
        ]);
        // bus: 2 → a, 4 → b; van: 1 → a, 3 → b, 5 → a, 6 → b.
        let wanted = ["a", "a", "b", "b", "a", "b"];
        assert_eq!(given(&items, AssignBy::Stratified, "a b", 1), wanted);
    }

    #[test]
    fn people_get_what_they_answered_before() {
        let items = items(&[("1", "a", ""), ("2", "a b", ""), ("3", "z", ""), ("4", "b", "")]);
        assert_eq!(given(&items, AssignBy::Annotator, "", 1), ["a", "a", "z", "b"]);
        // Who is not asked any more is replaced by who has the least.
        assert_eq!(given(&items, AssignBy::Annotator, "a b", 1), ["a", "a", "b", "b"]);
        assert_eq!(given(&items, AssignBy::Annotator, "a b c", 2), ["a b", "a b", "c a", "b c"]);
    }
}
