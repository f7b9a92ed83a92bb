//! A child process whose output is collected line by line and which is killed when its guard is
//! dropped. Never leaves a zombie behind, and never blocks on a full pipe.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::poll_until;

/// How long output may still trickle in after the process itself has ended.
const DRAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Lines {
    text: Mutex<Vec<String>>,
    arrived: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running child and everything it has written so far.
#[derive(Debug)]
pub struct Background {
    child: Child,
    name: String,
    lines: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the command with standard input closed and both outputs collected.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("failed to start {name}; `cargo xtask setup` installs what is missing")
            })?;
        let lines = Arc::new(Lines::default());
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        let readers = outputs.into_iter().flatten().map(|pipe| collect(pipe, &lines)).collect();
        Ok(Self { child, name, lines, readers })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything written so far, standard output and standard error in order of arrival.
    pub fn output(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// Waits until a line that contains `pattern` has been written, and returns it.
    pub fn wait_for_line(&self, pattern: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut seen = 0;
        let mut text = self.lines.lock();
        loop {
            if let Some(line) = text[seen..].iter().find(|line| line.contains(pattern)) {
                return Ok(line.clone());
            }
            seen = text.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.has_ended() {
                bail!(
                    "{} never wrote {pattern:?} in {limit:?}; it wrote: {}",
                    self.name,
                    text.join("\n")
                );
            }
            let (guard, _) =
                self.lines.arrived.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner);
            text = guard;
        }
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let status = poll_until(limit, || child.try_wait().ok().flatten())
            .with_context(|| format!("{} did not end; it wrote: {}", self.name, self.output()))?;
        poll_until(DRAIN, || self.has_ended().then_some(())).ok();
        Ok(status)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGINT, as Ctrl-C would.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::SIGINT)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("failed to kill {}", self.name))?;
        self.child.wait().with_context(|| format!("failed to wait for {}", self.name))?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("failed to send {signal} to {}", self.name))
    }

    /// Both outputs are closed, so nothing more can arrive.
    fn has_ended(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

fn collect(pipe: Box<dyn Read + Send>, lines: &Arc<Lines>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            lines.lock().push(String::from_utf8_lossy(&line).trim_end().to_owned());
            lines.arrived.notify_all();
            line.clear();
        }
        lines.arrived.notify_all();
    })
}
