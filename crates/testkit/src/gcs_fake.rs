//! A fake of the part of Google Cloud Storage that remotes use: its XML interface with
//! conditions on generations, in memory. It shows that we speak the protocol, not that Google's
//! servers keep it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// When every object of the fake was written.
const DATE: &str = "Wed, 15 Nov 2023 00:00:00 GMT";
/// The same in a list.
const LIST_DATE: &str = "2023-11-15T00:00:00Z";

/// A running fake; it ends with the process.
#[derive(Debug)]
pub struct FakeGcs {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes and generation by `bucket/key`.
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    uploads: HashMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Generations never repeat, also across keys that were removed.
    last: u64,
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl FakeGcs {
    /// Starts a fake with any bucket that is asked for.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let state: Arc<Mutex<State>> = Arc::default();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = state.clone();
                std::thread::spawn(move || drop(serve(client, &state)));
            }
        });
        Self { endpoint }
    }

    /// The key file of a service account that leads to the fake and needs no sign-in.
    pub fn service_account(&self) -> String {
        let endpoint = &self.endpoint;
        format!(
            "{{\"gcs_base_url\":\"{endpoint}\",\"disable_oauth\":true,\"private_key\":\"none\",\
             \"private_key_id\":\"none\",\"client_email\":\"none\"}}"
        )
    }
}

fn serve(client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    let Some(request) = read(&mut reader)? else { return Ok(()) };
    let answer = {
        let mut state = state.lock().map_err(|_| io::Error::other("a panic"))?;
        state.answer(&request)
    };
    let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", answer.body.len()));
    client.write_all(head.as_bytes())?;
    client.write_all(&answer.body)?;
    client.shutdown(Shutdown::Both)
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = query.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let path = decoded(path.trim_start_matches('/'));
    Ok(Some(Request { method, path, query, headers, body }))
}

fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn plain(status: &'static str) -> Answer {
    Answer { status, headers: Vec::new(), body: Vec::new() }
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        match request.method.as_str() {
            "PUT" if request.query.contains_key("partNumber") => self.part(request),
            "POST" if request.query.contains_key("uploads") => self.begin(),
            "POST" if request.query.contains_key("uploadId") => self.complete(request),
            "PUT" => self.put(&request.path, request.body.clone(), condition(request)),
            "GET" | "HEAD" if request.query.contains_key("list-type") => self.list(request),
            "GET" | "HEAD" => self.get(request),
            "DELETE" => match self.objects.remove(&request.path) {
                Some(_) => plain("204 No Content"),
                None => plain("404 Not Found"),
            },
            _ => plain("501 Not Implemented"),
        }
    }

    /// Writes where the generation is as expected: 0 is none.
    fn put(&mut self, path: &str, body: Vec<u8>, expected: Option<u64>) -> Answer {
        let found = self.objects.get(path).map_or(0, |(_, generation)| *generation);
        if expected.is_some_and(|expected| expected != found) {
            return plain("412 Precondition Failed");
        }
        self.last += 1_000_003;
        self.objects.insert(path.to_owned(), (body, self.last));
        Answer { headers: tags(self.last), ..plain("200 OK") }
    }

    fn get(&self, request: &Request) -> Answer {
        let Some((bytes, generation)) = self.objects.get(&request.path) else {
            return plain("404 Not Found");
        };
        let mut headers = tags(*generation);
        headers.push(("last-modified", DATE.to_owned()));
        let range = request.headers.get("range").and_then(|text| text.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Answer { headers, body: bytes.clone(), ..plain("200 OK") };
        };
        let first: usize = first.parse().unwrap_or(0);
        let end = last.parse().map_or(bytes.len(), |last: usize| (last + 1).min(bytes.len()));
        if first >= end {
            return plain("416 Range Not Satisfiable");
        }
        headers.push(("content-range", format!("bytes {first}-{}/{}", end - 1, bytes.len())));
        let body = bytes[first..end].to_vec();
        Answer { headers, body, ..plain("206 Partial Content") }
    }

    fn list(&self, request: &Request) -> Answer {
        let prefix = request.query.get("prefix").map_or("", String::as_str);
        let bucket = format!("{}/", request.path.trim_end_matches('/'));
        let mut body = "<ListBucketResult>".to_owned();
        for (path, (bytes, generation)) in &self.objects {
            let Some(key) = path.strip_prefix(&bucket).filter(|key| key.starts_with(prefix)) else {
                continue;
            };
            let size = bytes.len();
            body.push_str(&format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"{generation}\"</ETag>\
                 <LastModified>{LIST_DATE}</LastModified></Contents>"
            ));
        }
        body.push_str("</ListBucketResult>");
        Answer { body: body.into_bytes(), ..plain("200 OK") }
    }

    fn begin(&mut self) -> Answer {
        self.last += 1;
        let id = format!("upload-{}", self.last);
        let body = format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>"
        );
        self.uploads.insert(id, BTreeMap::new());
        Answer { body: body.into_bytes(), ..plain("200 OK") }
    }

    fn part(&mut self, request: &Request) -> Answer {
        let upload = request.query.get("uploadId").and_then(|id| self.uploads.get_mut(id));
        let number = request.query.get("partNumber").and_then(|text| text.parse().ok());
        let (Some(upload), Some(number)) = (upload, number) else { return plain("404 Not Found") };
        upload.insert(number, request.body.clone());
        Answer { headers: tags(u64::from(number)), ..plain("200 OK") }
    }

    fn complete(&mut self, request: &Request) -> Answer {
        let id = request.query.get("uploadId").map_or("", String::as_str);
        let Some(parts) = self.uploads.remove(id) else { return plain("404 Not Found") };
        let body = parts.into_values().flatten().collect();
        let mut answer = self.put(&request.path, body, None);
        answer.body = format!(
            "<CompleteMultipartUploadResult><ETag>\"{}\"</ETag></CompleteMultipartUploadResult>",
            self.last
        )
        .into_bytes();
        answer
    }
}

fn condition(request: &Request) -> Option<u64> {
    request.headers.get("x-goog-if-generation-match")?.parse().ok()
}

fn tags(generation: u64) -> Vec<(&'static str, String)> {
    vec![("etag", format!("\"{generation}\"")), ("x-goog-generation", generation.to_string())]
}
