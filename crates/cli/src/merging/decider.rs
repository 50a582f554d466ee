//! Who decides a conflict: what was decided before, else the first rule that says something.

use std::collections::{BTreeMap, HashMap};

use glossator_lineage::merge::{Conflict, ConflictKind, FileConflict, Rule};
use glossator_lineage::policy::Policy;
use glossator_store::merging::{Decision, Take};
use glossator_store::schema::ANNOTATIONS;

/// What decisions of files name as their table.
pub(crate) const POLICIES: &str = "policies";

/// What was decided, and what decides the rest.
pub(crate) struct Decider<'r> {
    known: HashMap<(String, String, String), Decision>,
    rules: &'r [Rule],
    /// Policies, whose fields may name a rule.
    policies: Vec<Policy>,
    who: String,
    /// Decisions of conflicts that there are, old and new.
    pub made: Vec<Decision>,
    /// Conflicts by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Decisions by what decided.
    pub decided: BTreeMap<String, u64>,
}

impl<'r> Decider<'r> {
    pub(crate) fn new(known: &[Decision], rules: &'r [Rule], who: &str) -> Self {
        let key = |d: &Decision| (d.table.clone(), d.item.clone(), d.key.clone());
        Self {
            known: known.iter().map(|decision| (key(decision), decision.clone())).collect(),
            rules,
            policies: Vec::new(),
            who: who.to_owned(),
            made: Vec::new(),
            kinds: BTreeMap::new(),
            decided: BTreeMap::new(),
        }
    }

    /// Lets the rules of policies' fields decide what nothing else does.
    pub(crate) fn drive(&mut self, policies: impl Iterator<Item = Policy>) {
        let drives = |policy: &Policy| policy.fields.iter().any(|field| field.merge.is_some());
        self.policies = policies.filter(drives).collect();
    }

    /// The rule that a policy has for the question of a conflict: the row's own policy, else the
    /// only one that has any.
    fn driver(&self, conflict: &Conflict<'_>) -> Option<Rule> {
        let row = conflict.ours.or(conflict.theirs).filter(|_| conflict.table == &ANNOTATIONS)?;
        let field = row.text(conflict.table, "field")?;
        let stated = row.text(conflict.table, "policy");
        let own = stated.as_deref().and_then(|stated| Some(stated.rsplit_once('@')?.0));
        let asks = |policy: &&Policy| policy.field(&field).is_some_and(|f| f.merge.is_some());
        let mut asking = self.policies.iter().filter(asks);
        let policy = match own {
            Some(own) => asking.find(|policy| policy.name == own)?,
            None => asking.next().filter(|_| asking.next().is_none())?,
        };
        policy.field(&field)?.merge
    }

    /// What was decided of a conflict before.
    pub(crate) fn known(&self, conflict: &Conflict<'_>) -> Option<&Decision> {
        let (item, key) = conflict.key;
        self.known.get(&(conflict.table.name.to_owned(), item.to_owned(), key.to_owned()))
    }

    /// Decides a conflict: as before, else by the first rule that says something.
    pub(crate) fn decide(&mut self, conflict: &Conflict<'_>) -> Option<Take> {
        *self.kinds.entry(conflict.kind.word()).or_default() += 1;
        let by_rule = || {
            let driver = if self.policies.is_empty() { None } else { self.driver(conflict) };
            self.rules.iter().copied().chain(driver).find_map(|rule| {
                let take = rule.decide(conflict).filter(|take| conflict.can_take(*take))?;
                Some(self.decision(conflict, take, Some(rule.word())))
            })
        };
        let decision = self.known(conflict).cloned().or_else(by_rule)?;
        let take = decision.take;
        self.note(decision);
        Some(take)
    }

    /// Decides a file: as before, else for a side where the rule is one.
    pub(crate) fn decide_file(&mut self, conflict: &FileConflict<'_>) -> Option<Take> {
        *self.kinds.entry(ConflictKind::Policy.word()).or_default() += 1;
        let side = self.rules.iter().find_map(|rule| match rule {
            Rule::Ours => Some((Take::Ours, *rule)),
            Rule::Theirs => Some((Take::Theirs, *rule)),
            _ => None,
        });
        let by_rule =
            side.map(|(take, rule)| self.file_decision(conflict.path, take, Some(rule.word())));
        let decision = self.known_file(conflict.path).cloned().or(by_rule)?;
        let take = decision.take;
        self.note(decision);
        Some(take)
    }

    /// What was decided of a file before.
    pub(crate) fn known_file(&self, path: &str) -> Option<&Decision> {
        self.known.get(&(POLICIES.to_owned(), path.to_owned(), String::new()))
    }

    /// A decision of a file.
    pub(crate) fn file_decision(&self, path: &str, take: Take, rule: Option<&str>) -> Decision {
        Decision {
            table: POLICIES.to_owned(),
            item: path.to_owned(),
            key: String::new(),
            take,
            rule: rule.map(str::to_owned),
            by: self.who.clone(),
        }
    }

    /// A decision of a conflict.
    pub(crate) fn decision(
        &self,
        conflict: &Conflict<'_>,
        take: Take,
        rule: Option<&str>,
    ) -> Decision {
        Decision {
            table: conflict.table.name.to_owned(),
            item: conflict.key.0.to_owned(),
            key: conflict.key.1.to_owned(),
            take,
            rule: rule.map(str::to_owned),
            by: self.who.clone(),
        }
    }

    /// Keeps a decision.
    pub(crate) fn note(&mut self, decision: Decision) {
        let how = decision.rule.clone().unwrap_or_else(|| decision.take.word().to_owned());
        *self.decided.entry(how).or_default() += 1;
        self.made.push(decision);
    }
}
