//! A proxy between a client and a server of HTTP, at whose requests something happens.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is answered.
    Through,
    /// The connection ends before the server sees it.
    LoseRequest,
    /// The server carries it out, and the connection ends without an answer.
    LoseReply,
    /// The server carries it out, and half of the answer comes.
    HalfReply,
    /// It is answered with 503 and not carried out.
    Busy,
}

impl Way {
    /// Every way but the plain one.
    pub const FAULTS: [Self; 4] = [Self::LoseRequest, Self::LoseReply, Self::HalfReply, Self::Busy];
}

/// When in the life of a request something is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has come, and the server has not seen it.
    Before,
    /// The server has answered, and the client has not seen that.
    After,
}

type Decide = dyn Fn(u64, Moment) -> Way + Send + Sync;

/// A running proxy. It ends with the process.
#[derive(Debug)]
pub struct Proxy {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    requests: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts a proxy before a server. `decide` is asked for each request, by its number from 0, at
    /// both moments; what it says before the server sees the request counts.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn start(
        endpoint: &str,
        decide: impl Fn(u64, Moment) -> Way + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = format!("http://{}", listener.local_addr().expect("its address"));
        let server = endpoint.trim_start_matches("http://").to_owned();
        let requests: Arc<AtomicU64> = Arc::default();
        let (count, decide): (_, Arc<Decide>) = (requests.clone(), Arc::new(decide));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, count, decide) = (server.clone(), count.clone(), decide.clone());
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || drop(serve(client, &server, &count, &*decide)));
            }
        });
        Self { endpoint: own, requests }
    }

    /// Requests since this was asked last.
    pub fn requests(&self) -> u64 {
        self.requests.swap(0, Ordering::SeqCst)
    }
}

/// One request a connection: its answer ends the connection.
fn serve(client: TcpStream, server: &str, count: &AtomicU64, decide: &Decide) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some(request) = read_request(&mut reader)? else { return Ok(()) };
    let number = count.fetch_add(1, Ordering::SeqCst);
    let way = decide(number, Moment::Before);
    let mut client = client;
    match way {
        Way::LoseRequest => return client.shutdown(Shutdown::Both),
        Way::Busy => {
            let answer =
                b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(answer);
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(&request)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    decide(number, Moment::After);
    match way {
        Way::LoseReply => {}
        Way::HalfReply => client.write_all(&answer[..answer.len() / 2])?,
        _ => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Both)
}

/// A whole request, which asks the server to end the connection after it.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    let mut body = 0;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(length) = text.strip_prefix("content-length:") {
            body = length.trim().parse().map_err(io::Error::other)?;
        }
        if text.starts_with("connection:") {
            continue;
        }
        if text.trim().is_empty() {
            break;
        }
        request.extend_from_slice(&line);
    }
    request.extend_from_slice(b"connection: close\r\n\r\n");
    let start = request.len();
    request.resize(start + body, 0);
    reader.read_exact(&mut request[start..])?;
    Ok(Some(request))
}
