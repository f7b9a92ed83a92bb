//! Bodies that are written while they are read, of any length.

use std::io::{self, Write};

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::alerts::export::is_unread;

/// Pieces that wait to be read.
const WAITING: usize = 16;

/// A body of what `write` writes, on a thread of its own. Where that fails, the body is cut off in the
/// eyes of whoever reads it: a part is never taken for the whole.
pub(super) fn written(write: impl FnOnce(Pieces) -> anyhow::Result<()> + Send + 'static) -> Body {
    let (pieces, received) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let end = pieces.clone();
        let Err(error) = write(Pieces(pieces)) else { return };
        if !is_unread(&error) {
            tracing::warn!("{error:#}");
        }
        // Gone where nobody reads on.
        drop(end.blocking_send(Err(io::Error::other(format!("{error:#}")))));
    });
    Body::from_stream(ReceiverStream::new(received))
}

/// Writes to whoever reads a body.
pub(super) struct Pieces(mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for Pieces {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(buffer));
        let sent = self.0.blocking_send(piece);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
