//! A body that may take as long as it likes, so long as something of it comes every now and then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::anyhow;
use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);

/// Ends with an error where nothing comes for too long.
pub(super) struct Patient {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl Patient {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, deadline: Box::pin(sleep(SILENCE)) }
    }
}

impl HttpBody for Patient {
    type Data = Bytes;
    type Error = anyhow::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<anyhow::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.deadline.as_mut().reset(Instant::now() + SILENCE);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(anyhow!("nothing came for {} s", SILENCE.as_secs()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
