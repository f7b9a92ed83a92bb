//! What the agent waits for: kernel events, interfaces that change, time, requests, signals, files
//! that are being read, sockets that go past the programs.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::reading::Resume;
use crate::control::server::Call;
use crate::source::kernel::KernelSource;
use crate::source::kernel::interfaces::Watcher;

/// What the agent waits for.
pub(super) struct Wakeups {
    events: AsyncFd<OwnedFd>,
    watcher: AsyncFd<Watcher>,
    /// None where they are not seen.
    past_programs: Option<AsyncFd<OwnedFd>>,
    signals: Signals,
    poll: Interval,
    calls: Receiver<Call>,
    resumes: Receiver<Resume>,
}

/// The signals that end a run, or ask for a reload. Listened to before anything is attached, so
/// that one that comes while the kernel checks the programs is heeded as soon as they run.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts listening. Needs a runtime.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("failed to listen for signals")?,
            terminate: signal(SignalKind::terminate()).context("failed to listen for signals")?,
            hangup: signal(SignalKind::hangup()).context("failed to listen for signals")?,
        })
    }
}

/// Why the agent continues.
pub(super) enum Wakeup {
    Stop,
    Reload,
    KernelEvent,
    Interfaces,
    Poll,
    Call(Box<Call>),
    /// Something was read away from the loop.
    Read(Resume),
    /// A socket went past the programs.
    PastPrograms,
}

impl Wakeups {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe, for the sake of types that lend their descriptor \
            out; \
                  both types here own theirs"
    )]
    pub(super) fn new(
        kernel: &KernelSource,
        poll_interval: Duration,
        signals: Signals,
        calls: Receiver<Call>,
        resumes: Receiver<Resume>,
    ) -> anyhow::Result<Self> {
        let events = kernel.events_fd()?;
        let past_programs = kernel.past_programs_fd()?.map(AsyncFd::new).transpose();
        let mut poll = interval(poll_interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            events: AsyncFd::new(events).context("failed to wait for events")?,
            watcher: AsyncFd::new(Watcher::new()?).context("failed to wait for interfaces")?,
            past_programs: past_programs.context("failed to wait for sockets")?,
            signals,
            poll,
            calls,
            resumes,
        })
    }

    /// A signal goes before everything else, events before polls. Sockets come last: who opens them
    /// without end holds up nothing.
    pub(super) async fn next(&mut self) -> anyhow::Result<Wakeup> {
        tokio::select! {
            biased;
            _ = self.signals.interrupt.recv() => Ok(Wakeup::Stop),
            _ = self.signals.terminate.recv() => Ok(Wakeup::Stop),
            _ = self.signals.hangup.recv() => Ok(Wakeup::Reload),
            ready = self.events.readable() => {
                // Cleared before reading: an event that comes meanwhile wakes again.
                clear(ready)?;
                Ok(Wakeup::KernelEvent)
            }
            ready = self.watcher.readable() => {
                clear(ready)?;
                self.watcher.get_ref().drain().context("failed to read interface changes")?;
                Ok(Wakeup::Interfaces)
            }
            _ = self.poll.tick() => Ok(Wakeup::Poll),
            Some(resume) = self.resumes.recv() => Ok(Wakeup::Read(resume)),
            Some(call) = self.calls.recv() => Ok(Wakeup::Call(Box::new(call))),
            ready = readable(self.past_programs.as_ref()) => {
                clear(ready)?;
                Ok(Wakeup::PastPrograms)
            }
        }
    }
}

/// Waits for ever where there is nothing to wait for.
async fn readable(
    fd: Option<&AsyncFd<OwnedFd>>,
) -> std::io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
    match fd {
        Some(fd) => fd.readable().await,
        None => std::future::pending().await,
    }
}

fn clear<T: AsRawFd>(ready: std::io::Result<AsyncFdReadyGuard<'_, T>>) -> anyhow::Result<()> {
    ready.context("failed to wait")?.clear_ready();
    Ok(())
}
