//! A real S3 server on this machine: moto with its authentication on, in an environment of its own.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "it installs and starts a program, and says why where it cannot"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use crate::setup::{alone, or_skipped, run};

/// How many buckets there are: `labels-0`, `labels-1`, …
///
/// Each case has its own, without a prefix: with its authentication on this server takes the slash
/// in the prefix of a list for another text than what was signed.
pub const BUCKETS: usize = 12;

/// What is installed; a change makes a new environment.
const PACKAGES: [&str; 2] = ["moto[server]==5.1.22", "boto3"];

/// The server asks for no credentials for its first calls: these.
const SET_UP: &str = "
import boto3, json, sys
where = dict(endpoint_url=sys.argv[1], region_name='us-east-1',
             aws_access_key_id='first', aws_secret_access_key='first')
iam = boto3.client('iam', **where)
iam.create_user(UserName='gloss')
allow = {'Version': '2012-10-17',
         'Statement': [{'Effect': 'Allow', 'Action': 's3:*', 'Resource': '*'}]}
iam.put_user_policy(UserName='gloss', PolicyName='all', PolicyDocument=json.dumps(allow))
key = iam.create_access_key(UserName='gloss')['AccessKey']
s3 = boto3.client('s3', **where)
for number in range(int(sys.argv[2])):
    s3.create_bucket(Bucket=f'labels-{number}')
print(key['AccessKeyId'])
print(key['SecretAccessKey'])
";

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// The key that is allowed everything.
    pub key: String,
    /// Its secret.
    pub secret: String,
    log: Mutex<Receiver<String>>,
    used: AtomicUsize,
}

impl Moto {
    /// Starts a server, which is installed first where that was not done yet.
    ///
    /// Where that cannot be, `None`, and why is printed; with `CI` set that is a failure.
    ///
    /// # Panics
    /// See above; and where a server that is installed does not start.
    pub fn start() -> Option<Self> {
        let env = or_skipped("an S3 server", environment())?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.expect("a free port").port();
        let mut child = Command::new(env.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", (3 + BUCKETS).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
        let up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Running on"));
        assert!(up, "moto ended before it was up");
        let (send, log) = channel();
        // Read to its end: a server whose messages nobody takes would wait for that.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| send.send(l)));
        let endpoint = format!("http://127.0.0.1:{port}");
        let made = Command::new(env.join("bin/python"))
            .args(["-c", SET_UP, &endpoint, &BUCKETS.to_string()])
            .output()
            .expect("python runs");
        let text = String::from_utf8_lossy(&made.stdout).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let [key, secret] = words[..] else {
            panic!("no credentials: {}", String::from_utf8_lossy(&made.stderr));
        };
        Some(Self {
            child,
            endpoint,
            key: key.to_owned(),
            secret: secret.to_owned(),
            log: Mutex::new(log),
            used: AtomicUsize::new(0),
        })
    }

    /// A bucket that nothing has used yet.
    ///
    /// # Panics
    /// Where there is none left.
    pub fn bucket(&self) -> String {
        let number = self.used.fetch_add(1, Ordering::SeqCst);
        assert!(number < BUCKETS, "no bucket is left");
        format!("labels-{number}")
    }

    /// Requests that the server answered since it was asked last, as it logs them.
    ///
    /// # Panics
    /// Where the server is gone.
    pub fn requests(&self) -> Vec<String> {
        // A request of our own ends the list: what it logs comes after all before it.
        const LAST: &str = "/moto-api/the-last-request";
        let place = self.endpoint.trim_start_matches("http://");
        let mut socket = TcpStream::connect(place).expect("the server listens");
        write!(socket, "GET {LAST} HTTP/1.0\r\n\r\n").expect("a request");
        socket.read_to_end(&mut Vec::new()).expect("an answer");
        let log = self.log.lock().expect("the log");
        let lines = log.iter().take_while(|line| !line.contains(LAST));
        lines.collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory of the environment: installed once for all tests of this build directory.
fn environment() -> Result<PathBuf, String> {
    let (target, _lock) = alone("moto")?;
    let env = target.join("moto");
    let done = env.join(format!("done-{}", PACKAGES.join("-").replace(['[', ']', '='], "_")));
    if !done.is_file() {
        run(Path::new("python3"), &["-m", "venv", "--clear", &env.display().to_string()])?;
        let mut install = vec!["install", "--quiet", "--disable-pip-version-check"];
        install.extend(PACKAGES);
        run(&env.join("bin/pip"), &install)?;
        File::create(&done).map_err(|e| format!("its mark: {e}"))?;
    }
    Ok(env)
}
