use crate::{LIMIT, cache, root, until};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The program with these arguments, in the project's root, with an environment of its own.
pub fn pelton<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Pelton {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(root()).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("XDG_CACHE_HOME", cache().parent().unwrap());
    Pelton { command, stdin: None }
}

/// The program that was built beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("pelton");
    assert!(path.is_file(), "{} is not there; `cargo xtask test` builds it", path.display());
    path
}

/// The program, not yet started.
pub struct Pelton {
    command: Command,
    stdin: Option<Vec<u8>>,
}

impl Pelton {
    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Pelton {
        self.command.env(name, value);
        self
    }

    /// What stands on its standard input; nothing without this.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Pelton {
        self.stdin = Some(bytes.into());
        self
    }

    /// Lets nobody read its standard output.
    pub fn unread(mut self) -> Pelton {
        // The reading end is gone at once.
        let (_, stdout) = std::io::pipe().unwrap();
        self.command.stdout(stdout);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        self.command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.spawn().unwrap();
        if let (Some(bytes), Some(mut stdin)) = (self.stdin.take(), child.stdin.take()) {
            // It may end before it has read everything.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        let stdout = child.stdout.take().map_or_else(|| Collected::new(std::io::empty()), Collected::new);
        let stderr = Collected::new(child.stderr.take().unwrap());
        Running { child, stdout, stderr }
    }

    /// Starts it, and waits for its end.
    pub fn run(self) -> Ended {
        self.start().end()
    }
}

/// A process. It is killed where the test ends before it does.
pub struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
}

impl Running {
    /// Sends a signal by its name, as in `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell has `kill` built in, wherever there is a shell.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "cannot send SIG{name}: {}", self.stderr());
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes.lock().unwrap()).into_owned()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes.lock().unwrap()).into_owned()
    }

    /// Waits until standard error says this.
    pub fn says(&self, text: &str) {
        self.says_times(text, 1);
    }

    /// Waits until standard error has said this so many times.
    pub fn says_times(&self, text: &str, times: usize) {
        self.until(&format!("{times} × '{text}' on standard error"), || {
            (self.stderr().matches(text).count() >= times).then_some(())
        });
    }

    /// Asks again and again until there is an answer; fails at once where the process has ended.
    pub fn until<T>(&self, what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
        until(what, || {
            answer().or_else(|| {
                assert!(self.is_alive(), "ended before this was seen: {what}\n{}", self.stderr());
                None
            })
        })
    }

    fn is_alive(&self) -> bool {
        // A process that has ended and that nobody has waited for is a zombie.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        state.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
    }

    /// The most physical memory that it has had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kib * 1024
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "does not end, and says:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        };
        let (stdout, stderr) = (self.stdout.all(), self.stderr.all());
        Ended { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has left.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// The lines of its standard output, which must be text.
    pub fn lines(&self) -> Vec<&str> {
        std::str::from_utf8(&self.stdout).unwrap().lines().collect()
    }

    /// Fails where the exit code is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert_eq!(self.code, Some(code), "standard error:\n{}\nstandard output:\n{stdout}", self.stderr);
        self
    }

    /// A handler's row in the summary table: in, out, retried, dead, dropped.
    #[track_caller]
    pub fn row(&self, handler: &str) -> [u64; 5] {
        let row = self.stderr.lines().find_map(|line| line.strip_prefix(handler)?.strip_prefix(' '));
        let row = row.unwrap_or_else(|| panic!("no row for {handler} in:\n{}", self.stderr));
        let mut numbers = row.split_whitespace().map(|cell| cell.replace(',', "").parse().unwrap());
        std::array::from_fn(|_| numbers.next().unwrap())
    }
}

/// Reads a pipe to its end beside the test, or a full pipe would stop the process.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn new(mut pipe: impl Read + Send + 'static) -> Collected {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = bytes.clone();
        let reader = thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(read @ 1..) = pipe.read(&mut chunk) {
                into.lock().unwrap().extend(chunk.iter().take(read));
            }
        });
        Collected { bytes, reader: Some(reader) }
    }

    /// Everything, once the other end is closed.
    fn all(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}
