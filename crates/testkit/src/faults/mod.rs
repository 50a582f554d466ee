//! Faults of the disk: a file system that counts each call and fails, dies or loses power at one.
//!
//! Calls that pass go to the real disk, since gix reads its files by itself.

mod power;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glossator_store::fs::{Entry, Fs, Lock, Output, RealFs};

pub use power::{Image, PowerCut, power_cuts, power_cuts_at_end};

/// A primitive call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are the calls of `Fs` and `Output`")]
pub enum Call {
    Read,
    Open,
    List,
    CreateNew,
    Append,
    Overwrite,
    Write,
    Sync,
    Rename,
    RemoveFile,
    CreateDirAll,
    SyncDir,
    Lock,
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub call: Call,
    /// On what.
    pub path: PathBuf,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the call has an effect.
    Kill,
    /// The process dies in the middle of a write.
    KillWithin,
    /// The call fails, and has no effect.
    Fails(Errno),
    /// A write takes a part of the bytes and says so: no failure.
    Short,
    /// A write takes a part of the bytes, then the disk is full.
    ShortThenFull,
}

/// An error of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the names that the operating system gives them")]
pub enum Errno {
    Enospc,
    Edquot,
    Eio,
    Emfile,
    Eacces,
}

impl Errno {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Enospc, Self::Edquot, Self::Eio, Self::Emfile, Self::Eacces];

    /// Whether a call can fail so.
    pub fn is_of(self, call: Call) -> bool {
        use Call::{
            Append, CreateDirAll, CreateNew, List, Lock, Open, Overwrite, Read, Rename, Sync,
            SyncDir, Write,
        };
        match self {
            Self::Enospc | Self::Edquot => {
                matches!(call, CreateNew | Append | Write | Sync | Rename | CreateDirAll | SyncDir)
            }
            Self::Eio => true,
            Self::Emfile => {
                let opens = [Read, Open, List, CreateNew, Append, Overwrite, SyncDir, Lock];
                opens.contains(&call)
            }
            Self::Eacces => !matches!(call, Write | Sync),
        }
    }

    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::Enospc => 28,
            Self::Edquot => 122,
            Self::Eio => 5,
            Self::Emfile => 24,
            Self::Eacces => 13,
        })
    }
}

/// Which fault, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The number of the call, from 0.
    pub step: usize,
    /// What goes wrong.
    pub fault: Fault,
    /// Whether all later calls that can fail so do.
    pub lasting: bool,
}

/// What a call does instead of passing.
enum Verdict {
    Pass,
    Half(io::Result<()>),
}

/// A change that reached the page cache; whether it reached the disk depends on later syncs.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A handle on a file, made where missing.
    Open {
        path: PathBuf,
        handle: u64,
        cut: bool,
    },
    Write {
        handle: u64,
        bytes: Vec<u8>,
    },
    Sync {
        handle: u64,
    },
    /// What was to last never will, whatever a later sync says.
    SyncFailed {
        handle: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Dir {
        path: PathBuf,
    },
    SyncDir {
        path: PathBuf,
    },
    SyncDirFailed {
        path: PathBuf,
    },
}

#[derive(Default)]
struct State {
    steps: Vec<Step>,
    plan: Option<Plan>,
    dead: bool,
    handles: u64,
    events: Vec<Event>,
}

/// What a test does when a call is about to be made, or has to wait for a lock.
pub type Hook = Arc<dyn Fn(Moment) + Send + Sync>;

/// When a [`Hook`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The call of this number is about to be made.
    Step(usize),
    /// Somebody else holds the lock that was asked for.
    Waits,
}

/// A file system with at most one fault.
#[derive(Clone, Default)]
pub struct FaultFs {
    state: Arc<Mutex<State>>,
    hook: Option<Hook>,
}

impl fmt::Debug for FaultFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFs").finish_non_exhaustive()
    }
}

impl FaultFs {
    /// One without a fault, to count the calls.
    pub fn counting() -> Self {
        Self::default()
    }

    /// One with a fault.
    pub fn with(plan: Plan) -> Self {
        let state = State { plan: Some(plan), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), hook: None }
    }

    /// One that calls a hook.
    pub fn hooked(hook: Hook) -> Self {
        Self { hook: Some(hook), ..Self::default() }
    }

    /// Another process goes on after this one died: no fault from here on, and what was not synced
    /// still is not.
    pub fn revive(&self) {
        let mut state = self.state();
        (state.dead, state.plan) = (false, None);
    }

    /// The calls so far.
    pub fn steps(&self) -> Vec<Step> {
        self.state().steps.clone()
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, moment: Moment) {
        if let Some(hook) = &self.hook {
            hook(moment);
        }
    }

    fn note(&self, event: Event) {
        self.state().events.push(event);
    }

    /// Counts a call, and says what becomes of it.
    fn verdict(&self, call: Call, path: &Path) -> io::Result<Verdict> {
        let dead = || io::Error::other("the process is dead");
        let mut state = self.state();
        let number = state.steps.len();
        state.steps.push(Step { call, path: path.to_owned() });
        if state.dead {
            return Err(dead());
        }
        let verdict = match state.plan {
            Some(plan) if plan.step == number || (plan.lasting && plan.step < number) => {
                match plan.fault {
                    Fault::Kill => {
                        state.dead = true;
                        Err(dead())
                    }
                    Fault::KillWithin => {
                        state.dead = true;
                        Ok(Verdict::Half(Err(dead())))
                    }
                    Fault::Fails(errno) if errno.is_of(call) => Err(errno.error()),
                    Fault::Short if call == Call::Write => Ok(Verdict::Half(Ok(()))),
                    Fault::ShortThenFull if call == Call::Write => {
                        Ok(Verdict::Half(Err(Errno::Enospc.error())))
                    }
                    // What filled the disk fails all else that needs room.
                    Fault::ShortThenFull if Errno::Enospc.is_of(call) => Err(Errno::Enospc.error()),
                    _ => Ok(Verdict::Pass),
                }
            }
            _ => Ok(Verdict::Pass),
        };
        drop(state);
        self.tell(Moment::Step(number));
        verdict
    }

    fn pass(&self, call: Call, path: &Path) -> io::Result<()> {
        self.verdict(call, path).map(drop)
    }

    fn output(&self, path: &Path, out: Box<dyn Output>, cut: bool) -> Box<dyn Output> {
        let mut state = self.state();
        let handle = state.handles;
        state.handles += 1;
        state.events.push(Event::Open { path: path.to_owned(), handle, cut });
        Box::new(FaultOutput { fs: self.clone(), path: path.to_owned(), handle, out })
    }
}

impl Fs for FaultFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.pass(Call::Read, path)?;
        RealFs.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.pass(Call::Open, path)?;
        RealFs.open(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.pass(Call::CreateNew, path)?;
        Ok(self.output(path, RealFs.create_new(path)?, false))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.pass(Call::Append, path)?;
        Ok(self.output(path, RealFs.append(path)?, false))
    }

    fn overwrite(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.pass(Call::Overwrite, path)?;
        Ok(self.output(path, RealFs.overwrite(path)?, true))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(Call::Rename, from)?;
        RealFs.rename(from, to)?;
        self.note(Event::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.pass(Call::RemoveFile, path)?;
        RealFs.remove_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.pass(Call::RemoveFile, path)?;
        RealFs.remove_file(path)?;
        self.note(Event::Remove { path: path.to_owned() });
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.pass(Call::CreateDirAll, path)?;
        RealFs.create_dir_all(path)?;
        self.note(Event::Dir { path: path.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if let Err(error) = self.pass(Call::SyncDir, path) {
            if !self.is_dead() {
                self.note(Event::SyncDirFailed { path: path.to_owned() });
            }
            return Err(error);
        }
        self.note(Event::SyncDir { path: path.to_owned() });
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.pass(Call::List, path)?;
        RealFs.list(path)
    }

    fn lock(&self, path: &Path, shared: bool) -> io::Result<Lock> {
        self.pass(Call::Lock, path)?;
        if !path.exists() {
            let handle = u64::MAX;
            self.note(Event::Open { path: path.to_owned(), handle, cut: false });
        }
        if self.hook.is_some() && is_held(path, shared)? {
            self.tell(Moment::Waits);
        }
        RealFs.lock(path, shared)
    }
}

/// Whether somebody else holds a lock.
#[allow(clippy::disallowed_methods, reason = "it asks the lock that the store will wait for")]
fn is_held(path: &Path, shared: bool) -> io::Result<bool> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    let tried = if shared { file.try_lock_shared() } else { file.try_lock() };
    match tried {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

struct FaultOutput {
    fs: FaultFs,
    path: PathBuf,
    handle: u64,
    out: Box<dyn Output>,
}

impl Write for FaultOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (take, then) = match self.fs.verdict(Call::Write, &self.path)? {
            Verdict::Pass => (bytes, Ok(())),
            Verdict::Half(then) => (&bytes[..bytes.len().div_ceil(2)], then),
        };
        self.out.write_all(take)?;
        self.fs.note(Event::Write { handle: self.handle, bytes: take.to_vec() });
        then.map(|()| take.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for FaultOutput {
    /// No real sync: what power loss leaves is told from the calls.
    fn sync(&mut self) -> io::Result<()> {
        if let Err(error) = self.fs.pass(Call::Sync, &self.path) {
            if !self.fs.is_dead() {
                self.fs.note(Event::SyncFailed { handle: self.handle });
            }
            return Err(error);
        }
        self.fs.note(Event::Sync { handle: self.handle });
        Ok(())
    }
}
