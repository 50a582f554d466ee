//! The protocol of `schemas/remote-v1.md`, checked in every interleaving of two pushers, a
//! collector and a reader, with requests that arrive late, twice or never, and replies that are
//! lost. A process that stops is one that takes no further step, which is among them. A branch here
//! may move while it is pushed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_macros,
    reason = "a test may stop at once, and print"
)]

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, HasDiscoveries, Model, Property};

/// What one upload made: its epoch, who made it, and which try.
type Attempt = (u8, u8, u8);

/// A commit: whose, and its number; each follows the one before.
type Commit = (u8, u8);

/// An object of the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Rows(Attempt),
    Log(Attempt),
}

/// The one object that changes. Its version is `by`: no two writes have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Root {
    by: (u8, u8),
    epoch: u8,
    /// Logs that the root names.
    log: BTreeSet<Attempt>,
    /// The commits that the branch holds.
    commits: BTreeSet<Commit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Swap {
    from: u8,
    expected: (u8, u8),
    new: Root,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Start,
    Upload,
    Wait,
    Done,
    Refused,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pusher {
    phase: Phase,
    /// The root that was read last.
    base: Option<Root>,
    /// The branch when the push began.
    began: BTreeSet<Commit>,
    /// How many commits the branch has here, besides its first.
    tip: u8,
    /// Which of them is pushed.
    wanted: u8,
    folds: bool,
    attempt: Attempt,
    sends: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Collector {
    Start,
    Wait { base: Root, new: Root },
    Deleting(BTreeSet<Key>),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reader {
    Start,
    Reading {
        root: Root,
        left: BTreeSet<Key>,
    },
    Done,
    /// It found a root that names what is not there.
    Broken,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    root: Root,
    objects: BTreeSet<Key>,
    /// What each log names; logs never change.
    named: BTreeMap<Attempt, BTreeSet<Attempt>>,
    /// Up to which commit of its pusher an upload has rows.
    holds: BTreeMap<Attempt, u8>,
    pushers: Vec<Pusher>,
    collector: Collector,
    reader: Reader,
    /// Requests on their way.
    net: BTreeSet<Swap>,
    copies_left: u8,
    collected: bool,
}

impl World {
    /// Whether somebody uploaded what each commit of the root needs, and the root names it.
    fn is_whole(&self, root: &Root) -> bool {
        let named: BTreeSet<&Attempt> = root.log.iter().flat_map(|log| &self.named[log]).collect();
        root.commits.iter().all(|(who, number)| {
            named.iter().any(|rows| rows.1 == *who && self.holds.get(rows) >= Some(number))
        })
    }

    fn reached(&self, root: &Root) -> BTreeSet<Key> {
        let rows = root.log.iter().flat_map(|log| &self.named[log]).map(|rows| Key::Rows(*rows));
        root.log.iter().map(|log| Key::Log(*log)).chain(rows).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Push(usize),
    /// Somebody commits here, to the branch that is pushed.
    Commit(usize),
    /// The store carries a request out; the request may come once more, the reply may be lost.
    Arrive {
        swap: Swap,
        again: bool,
        reply: bool,
    },
    Collect,
    Read,
}

/// Rules that are left out, to see that the checker notices.
#[derive(Clone, Copy, Debug, Default)]
struct Broken {
    no_epochs: bool,
    refused_on_conflict: bool,
    done_on_conflict: bool,
    refused_when_absent: bool,
    keeps_keys_of_old_epochs: bool,
    /// Each try pushes what the branch is at by then.
    reads_the_branch_again: bool,
}

#[derive(Clone, Debug, Default)]
struct Remote {
    broken: Broken,
    /// Both push to one branch, so that one has to be refused.
    one_branch: bool,
    /// Pushers fold all logs into their own.
    folds: bool,
    collects: bool,
    reads: bool,
    /// One pusher instead of two.
    alone: bool,
    /// Branches move here while they are pushed.
    commits: bool,
}

const COLLECTOR: u8 = 9;
const SENDS_MAX: u8 = 2;

impl Remote {
    fn push(&self, world: &mut World, at: usize) -> bool {
        let who = at as u8;
        let mut me = world.pushers[at].clone();
        match me.phase {
            Phase::Start => {
                me.base = Some(world.root.clone());
                me.began = world.root.commits.clone();
                me.wanted = me.tip;
                me.attempt = (world.root.epoch, who, 0);
                me.phase = Phase::Upload;
            }
            Phase::Upload => {
                world.objects.insert(Key::Rows(me.attempt));
                world.holds.insert(me.attempt, me.wanted);
                let base = me.base.as_ref().unwrap();
                let mut named = BTreeSet::from([me.attempt]);
                if me.folds {
                    // Logs that went meanwhile cannot be read, and are not folded.
                    let there = |log: &&Attempt| world.objects.contains(&Key::Log(**log));
                    for log in base.log.iter().filter(there) {
                        named.extend(&world.named[log]);
                    }
                }
                world.named.insert(me.attempt, named);
                world.objects.insert(Key::Log(me.attempt));
                Self::send(world, &mut me, who);
            }
            // What it reads back decides, whether an answer came or not.
            Phase::Wait => {
                let root = world.root.clone();
                let base = me.base.clone().unwrap();
                if root.commits.contains(&(who, me.wanted)) {
                    me.phase = Phase::Done;
                } else if root.by == base.by && self.broken.refused_when_absent {
                    me.phase = Phase::Refused;
                } else if me.sends == SENDS_MAX {
                    // Nothing says that the last request will not arrive yet, unless another came.
                    me.phase = if root.by == base.by { Phase::Unknown } else { Phase::Refused };
                } else if root.by == base.by {
                    Self::send(world, &mut me, who);
                } else if self.one_branch && root.commits != me.began {
                    me.phase = Phase::Refused;
                } else {
                    let same = root.epoch == base.epoch || self.broken.keeps_keys_of_old_epochs;
                    let folded = world.named[&me.attempt].len() > 1;
                    let again = same && !folded;
                    if !again {
                        // Whoever moved the root may have folded the same logs, or others.
                        me.folds = false;
                        me.attempt = (root.epoch, who, me.attempt.2 + 1);
                        me.phase = Phase::Upload;
                    }
                    me.base = Some(root);
                    if self.broken.reads_the_branch_again {
                        me.wanted = me.tip;
                    }
                    if again {
                        Self::send(world, &mut me, who);
                    }
                }
            }
            _ => return false,
        }
        world.pushers[at] = me;
        true
    }

    fn send(world: &mut World, me: &mut Pusher, who: u8) {
        let base = me.base.clone().unwrap();
        let mut new = base.clone();
        new.by = (who, me.sends);
        new.commits.insert((who, me.wanted));
        let own = &world.named[&me.attempt];
        // A log goes where everything that it names stands in the new one.
        new.log.retain(|log| !me.folds || !world.named[log].is_subset(own));
        new.log.insert(me.attempt);
        world.net.insert(Swap { from: who, expected: base.by, new });
        me.sends += 1;
        me.phase = Phase::Wait;
    }

    fn arrive(&self, world: &mut World, swap: &Swap, again: bool, reply: bool) {
        if again {
            world.copies_left -= 1;
        } else {
            world.net.remove(swap);
        }
        let done = world.root.by == swap.expected;
        if done {
            world.root = swap.new.clone();
        }
        if !reply {
            return;
        }
        if swap.from == COLLECTOR {
            return;
        }
        let me = &mut world.pushers[usize::from(swap.from)];
        if me.phase != Phase::Wait || swap.new.by.1 + 1 != me.sends {
            return;
        }
        me.phase = match done {
            true => Phase::Done,
            false if self.broken.refused_on_conflict => Phase::Refused,
            false if self.broken.done_on_conflict => Phase::Done,
            false => Phase::Wait,
        };
    }

    fn collect(&self, world: &mut World) -> bool {
        match world.collector.clone() {
            Collector::Start if self.broken.no_epochs => {
                let keep = world.reached(&world.root);
                let dead = world.objects.difference(&keep).copied().collect();
                world.collector = Collector::Deleting(dead);
            }
            Collector::Start => {
                let base = world.root.clone();
                let mut new = base.clone();
                new.by = (COLLECTOR, 0);
                new.epoch += 1;
                let swap = Swap { from: COLLECTOR, expected: base.by, new: new.clone() };
                world.net.insert(swap);
                world.collector = Collector::Wait { base, new };
            }
            Collector::Wait { base, new } => {
                // It reads back, whatever the reply was.
                if world.root.epoch > base.epoch {
                    let keep = world.reached(&world.root);
                    let old = |key: &&Key| {
                        let (Key::Rows(made) | Key::Log(made)) = key;
                        made.0 < new.epoch
                    };
                    let dead = world.objects.difference(&keep).filter(old).copied().collect();
                    world.collector = Collector::Deleting(dead);
                } else if world.root.by != base.by {
                    world.collector = Collector::Done;
                } else {
                    return false;
                }
            }
            // Readers may see any part of it gone.
            Collector::Deleting(dead) if !self.reads => {
                world.collected |= dead.iter().any(|key| world.objects.remove(key));
                world.objects.retain(|key| !dead.contains(key));
                world.collector = Collector::Done;
            }
            Collector::Deleting(mut dead) => match dead.pop_first() {
                Some(key) => {
                    world.collected |= world.objects.remove(&key);
                    world.collector = Collector::Deleting(dead);
                }
                None => world.collector = Collector::Done,
            },
            Collector::Done => return false,
        }
        true
    }

    fn read(&self, world: &mut World) -> bool {
        match world.reader.clone() {
            Reader::Start => {
                let (root, left) = (world.root.clone(), world.reached(&world.root));
                world.reader = Reader::Reading { root, left };
            }
            Reader::Reading { root, mut left } => match left.pop_first() {
                None => world.reader = Reader::Done,
                Some(key) if world.objects.contains(&key) => {
                    world.reader = Reader::Reading { root, left };
                }
                // What is gone may have been folded or collected meanwhile: the root tells.
                Some(_) if world.root.by != root.by => world.reader = Reader::Start,
                Some(_) => world.reader = Reader::Broken,
            },
            _ => return false,
        }
        true
    }
}

impl Model for Remote {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let (empty, nobody) = (BTreeSet::new(), BTreeSet::new());
        let first = (0, 8, 0);
        let root = Root { by: (8, 0), epoch: 0, log: BTreeSet::from([first]), commits: nobody };
        let pusher = Pusher {
            phase: Phase::Start,
            base: None,
            began: empty,
            folds: self.folds,
            tip: 0,
            wanted: 0,
            attempt: (0, 0, 0),
            sends: 0,
        };
        vec![World {
            root,
            objects: BTreeSet::from([Key::Rows(first), Key::Log(first)]),
            named: BTreeMap::from([(first, BTreeSet::from([first]))]),
            holds: BTreeMap::new(),
            pushers: vec![pusher; if self.alone { 1 } else { 2 }],
            collector: if self.collects { Collector::Start } else { Collector::Done },
            reader: if self.reads { Reader::Start } else { Reader::Done },
            net: BTreeSet::new(),
            copies_left: 1,
            collected: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (at, pusher) in world.pushers.iter().enumerate() {
            if matches!(pusher.phase, Phase::Start | Phase::Upload | Phase::Wait) {
                steps.push(Step::Push(at));
                if self.commits && pusher.tip == 0 {
                    steps.push(Step::Commit(at));
                }
            }
        }
        for swap in &world.net {
            steps.push(Step::Arrive { swap: swap.clone(), again: false, reply: true });
            steps.push(Step::Arrive { swap: swap.clone(), again: false, reply: false });
            if world.copies_left > 0 {
                steps.push(Step::Arrive { swap: swap.clone(), again: true, reply: false });
            }
        }
        steps.push(Step::Collect);
        steps.push(Step::Read);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        let changed = match step {
            Step::Push(at) => self.push(&mut world, at),
            Step::Commit(at) => {
                world.pushers[at].tip += 1;
                true
            }
            Step::Arrive { swap, again, reply } => {
                self.arrive(&mut world, &swap, again, reply);
                true
            }
            Step::Collect => self.collect(&mut world),
            Step::Read => self.read(&mut world),
        };
        // A request whose condition can never hold again matters to who waits for its answer only.
        let (by, pushers) = (world.root.by, &world.pushers);
        world.net.retain(|swap| {
            let waits = pushers.get(usize::from(swap.from));
            let waits =
                waits.is_some_and(|p| p.phase == Phase::Wait && p.sends == swap.new.by.1 + 1);
            swap.expected == by || waits
        });
        (changed && world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("what the root reaches exists", |_, world: &World| {
                world.reached(&world.root).is_subset(&world.objects)
            }),
            Property::always("what the root says was uploaded", |_, world: &World| {
                world.is_whole(&world.root)
            }),
            Property::always("what is done is in", |_, w: &World| every(w, Phase::Done, true)),
            Property::always("what is refused is not in", |_, w: &World| {
                every(w, Phase::Refused, false)
            }),
            Property::always("no reader meets a gap", |_, w: &World| w.reader != Reader::Broken),
            Property::sometimes("a push ends unknown", |_, w: &World| {
                w.pushers.iter().any(|p| p.phase == Phase::Unknown)
            }),
        ];
        if self.one_branch {
            properties.push(Property::sometimes("one is refused", |_, w: &World| {
                w.pushers[0].phase == Phase::Refused && w.pushers[1].phase == Phase::Done
            }));
        } else {
            properties.push(Property::sometimes("both push", |_, w: &World| {
                w.pushers.iter().all(|p| p.phase == Phase::Done)
            }));
        }
        if self.collects {
            properties.push(Property::sometimes("something is collected", |_, w: &World| {
                w.collected && w.pushers[0].phase == Phase::Done && w.reader == Reader::Done
            }));
        }
        properties
    }
}

/// Whether the commits of all pushers that ended so are in the branch, or are not.
fn every(world: &World, phase: Phase, inside: bool) -> bool {
    let mut all = world.pushers.iter().enumerate();
    all.all(|(at, p)| {
        p.phase != phase || world.root.commits.contains(&(at as u8, p.wanted)) == inside
    })
}

fn holds(model: Remote) {
    let checker = model.checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    assert!(states > 1_000, "only {states} states");
    println!("{states} states");
}

#[track_caller]
fn breaks(model: Remote, property: &'static str) {
    let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = model.checker().finish_when(found).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "the checker does not see: {property}");
}

#[test]
fn pushers_to_branches_of_their_own_and_a_collector() {
    holds(Remote { collects: true, ..Remote::default() });
}

#[test]
fn a_reader_beside_a_pusher_that_folds_and_a_collector() {
    holds(Remote { reads: true, alone: true, collects: true, folds: true, ..Remote::default() });
}

#[test]
fn pushers_that_fold_logs_and_a_collector() {
    holds(Remote { collects: true, folds: true, ..Remote::default() });
}

#[test]
fn pushers_to_one_branch() {
    holds(Remote { one_branch: true, collects: true, ..Remote::default() });
}

#[test]
fn pushers_whose_branches_move_here_and_a_collector() {
    holds(Remote { commits: true, collects: true, ..Remote::default() });
}

#[test]
fn broken_rules_are_seen() {
    let model = |broken: Broken| Remote { collects: true, broken, ..Remote::default() };
    let lost = "what the root reaches exists";
    breaks(model(Broken { no_epochs: true, ..Broken::default() }), lost);
    breaks(model(Broken { keeps_keys_of_old_epochs: true, ..Broken::default() }), lost);
    let (done, refused) = ("what is done is in", "what is refused is not in");
    breaks(model(Broken { done_on_conflict: true, ..Broken::default() }), done);
    breaks(model(Broken { refused_on_conflict: true, ..Broken::default() }), refused);
    breaks(model(Broken { refused_when_absent: true, ..Broken::default() }), refused);
    let broken = Broken { reads_the_branch_again: true, ..Broken::default() };
    let moving = Remote { commits: true, broken, ..Remote::default() };
    breaks(moving, "what the root says was uploaded");
}
