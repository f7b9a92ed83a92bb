//! The one thread that writes. What waits when it is free goes into one transaction, each piece of
//! work within a savepoint of its own, so that one that fails takes nothing with it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use rusqlite::Connection;

use super::health::Health;

/// Pieces of work that may wait; who comes later waits to be let in.
const WAITING: usize = 256;

/// Dropped, it writes what waits and closes the database before it returns.
#[derive(Debug)]
pub(super) struct Writer {
    /// Taken at the end: that is how the thread learns of it.
    work: Option<SyncSender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the database's writer panicked");
        }
    }
}

/// Something to write, with the one who waits for it.
trait Work: Send {
    /// Runs within a savepoint. False: it failed, and what it wrote is to be taken back.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers the one who waits. `failure`: nothing of it was written.
    fn finish(self: Box<Self>, failure: Option<&anyhow::Error>);
}

struct Task<T, F> {
    work: Option<F>,
    outcome: Option<anyhow::Result<T>>,
    reply: SyncSender<anyhow::Result<T>>,
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> anyhow::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let outcome = self.work.take().map(|work| work(connection));
        let done = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        done
    }

    fn finish(mut self: Box<Self>, failure: Option<&anyhow::Error>) {
        let outcome = match (self.outcome.take(), failure) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), None) => Ok(value),
            (_, Some(failure)) => Err(again(failure)),
            (None, None) => Err(anyhow!("the write was not attempted")),
        };
        // Who asked may have given up.
        drop(self.reply.try_send(outcome));
    }
}

/// The same failure for another who waits.
fn again(failure: &anyhow::Error) -> anyhow::Error {
    match failure.downcast_ref::<rusqlite::Error>() {
        Some(rusqlite::Error::SqliteFailure(code, text)) => {
            rusqlite::Error::SqliteFailure(*code, text.clone()).into()
        }
        _ => anyhow!("{failure:#}"),
    }
}

impl Writer {
    /// Writes with `connection` until the last handle is dropped.
    pub(super) fn start(connection: Connection, health: Health) -> Self {
        let (work, waiting) = sync_channel(WAITING);
        let thread = thread::spawn(move || write_all(&connection, &waiting, &health));
        Self { work: Some(work), thread: Some(thread) }
    }

    pub(super) fn write<T, F>(&self, work: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> anyhow::Result<T> + Send + 'static,
    {
        let (reply, replied) = sync_channel(1);
        let task = Task { work: Some(work), outcome: None, reply };
        let sent = self.work.as_ref().and_then(|work| work.send(Box::new(task)).ok());
        sent.context("the database's writer has stopped")?;
        replied.recv().context("the database's writer has stopped")?
    }
}

fn write_all(connection: &Connection, waiting: &Receiver<Box<dyn Work>>, health: &Health) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(WAITING));
        let failure = commit(connection, &mut batch).err();
        health.note_writing(failure.as_ref());
        for work in batch {
            work.finish(failure.as_ref());
        }
    }
}

fn commit(connection: &Connection, batch: &mut [Box<dyn Work>]) -> anyhow::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let written = run_all(connection, batch)
        .and_then(|()| connection.execute_batch("COMMIT").map_err(Into::into));
    if written.is_err() && !connection.is_autocommit() {
        // A failure here leaves nothing to do: the transaction is undone when the next begins.
        if let Err(error) = connection.execute_batch("ROLLBACK") {
            tracing::debug!("failed to undo a transaction: {error}");
        }
    }
    written
}

fn run_all(connection: &Connection, batch: &mut [Box<dyn Work>]) -> anyhow::Result<()> {
    // A savepoint keeps a copy of every page that is changed: where there is one piece of work, the
    // transaction is its savepoint.
    if let [work] = batch {
        if !work.run(connection) {
            connection.execute_batch("ROLLBACK; BEGIN IMMEDIATE")?;
        }
        return Ok(());
    }
    for work in batch {
        connection.execute_batch("SAVEPOINT work")?;
        if !work.run(connection) {
            connection.execute_batch("ROLLBACK TO work")?;
        }
        connection.execute_batch("RELEASE work")?;
    }
    Ok(())
}
