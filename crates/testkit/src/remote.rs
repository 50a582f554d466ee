//! An object store at whose n-th request something goes wrong.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteFault {
    /// It does not get there, and neither does any later one: the process or the network is gone.
    DeadBefore,
    /// It takes effect, and no answer comes, nor does any later request get there.
    DeadAfter,
    /// It does not get there.
    LostRequest,
    /// It takes effect, and no answer comes.
    LostReply,
    /// It gets there twice, and the second answer comes.
    Twice,
    /// It is refused, as by a server that is too busy.
    Refused,
    /// What is read ends early, without an error.
    Short,
    /// What is read has one bit changed.
    Flipped,
    /// What is read goes on behind its end.
    Long,
    /// What is there is said not to be.
    Absent,
}

impl RemoteFault {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::DeadBefore,
        Self::DeadAfter,
        Self::LostRequest,
        Self::LostReply,
        Self::Twice,
        Self::Refused,
        Self::Short,
        Self::Flipped,
        Self::Long,
        Self::Absent,
    ];
}

/// Passes requests on to another store, all but one as they are.
#[derive(Debug)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    fault: Option<(u64, RemoteFault)>,
    hook: Option<(u64, Hook)>,
    requests: AtomicU64,
}

/// What happens meanwhile, on another thread.
struct Hook(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faults over {}", self.inner)
    }
}

/// How a request goes on.
enum Way {
    Through,
    Fail,
    FailAfter,
    Twice,
    Read(RemoteFault),
}

fn lost() -> object_store::Error {
    object_store::Error::Generic { store: "faults", source: "the connection broke".into() }
}

impl FaultStore {
    /// Lets the request of that number, from 0, go wrong; none: counts.
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Option<(u64, RemoteFault)>) -> Self {
        Self { inner, fault, hook: None, requests: AtomicU64::new(0) }
    }

    /// Does something before the request of that number, from 0.
    #[must_use]
    pub fn meanwhile(mut self, at: u64, what: impl Fn() + Send + Sync + 'static) -> Self {
        self.hook = Some((at, Hook(Box::new(what))));
        self
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    fn way(&self) -> Way {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if let Some((at, hook)) = &self.hook
            && *at == number
        {
            // Requests of its own need a thread of its own.
            std::thread::scope(|scope| {
                scope.spawn(|| (hook.0)());
            });
        }
        use RemoteFault::{DeadAfter, DeadBefore, LostReply, LostRequest, Refused, Twice};
        match self.fault {
            Some((at, DeadBefore | DeadAfter)) if number > at => Way::Fail,
            Some((at, fault)) if number == at => match fault {
                DeadBefore | LostRequest | Refused => Way::Fail,
                DeadAfter | LostReply => Way::FailAfter,
                Twice => Way::Twice,
                fault => Way::Read(fault),
            },
            _ => Way::Through,
        }
    }
}

/// What is read, changed.
fn changed(mut found: GetResult, fault: RemoteFault) -> GetResult {
    let payload =
        std::mem::replace(&mut found.payload, GetResultPayload::Stream(stream::empty().boxed()));
    let GetResultPayload::Stream(parts) = payload;
    let whole = parts.collect::<Vec<_>>();
    let made = async move {
        let parts: Result<Vec<_>> = whole.await.into_iter().collect();
        let mut bytes: Vec<u8> = parts?.concat();
        match fault {
            RemoteFault::Short => bytes.truncate(bytes.len() / 2),
            RemoteFault::Flipped => {
                if let Some(byte) = bytes.get_mut(0) {
                    *byte ^= 1;
                }
            }
            _ => bytes.extend_from_slice(&[0; 100_000]),
        }
        Ok(bytes.into())
    };
    found.payload = GetResultPayload::Stream(stream::once(made).boxed());
    found
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let put = || self.inner.put_opts(location, payload.clone(), opts.clone());
        match self.way() {
            Way::Through | Way::Read(_) => put().await,
            Way::Fail => Err(lost()),
            Way::FailAfter => {
                put().await?;
                Err(lost())
            }
            Way::Twice => {
                let first = put().await;
                let second = put().await;
                first.and(second)
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        match self.way() {
            Way::Fail | Way::FailAfter => Err(lost()),
            _ => self.inner.put_multipart_opts(location, opts).await,
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.way() {
            Way::Fail | Way::FailAfter => Err(lost()),
            Way::Through | Way::Twice => self.inner.get_opts(location, options).await,
            Way::Read(RemoteFault::Absent) => {
                let (path, source) = (location.to_string(), "a stale answer".into());
                Err(object_store::Error::NotFound { path, source })
            }
            Way::Read(fault) => Ok(changed(self.inner.get_opts(location, options).await?, fault)),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.way() {
            Way::Fail => stream::once(async { Err(lost()) }).boxed(),
            _ => self.inner.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.way() {
            Way::Fail | Way::FailAfter => stream::once(async { Err(lost()) }).boxed(),
            _ => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
