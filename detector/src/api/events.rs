//! Stream live events: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{App, Routes, status};
use crate::alerts::StoredAlert;
use crate::status::StatusBody;
use crate::status::bus::{Change, END, PageEvent, Topic};
use crate::store::captures::Capture;

/// Events on their way to one page; beyond it they wait with everybody's.
const ON_THE_WAY: usize = 16;
/// Something is sent at least so often, so that both ends see that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COME_BACK_SECS: u32 = 10;

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(listen))
}

/// An event: its name, and the JSON of its data
#[derive(Serialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
#[expect(dead_code, reason = "only the API document uses it")]
enum LiveEvent {
    /// Every second, as GET /api/status
    Status(StatusBody),
    /// An alert that opened, grew or changed, as GET /api/alerts lists it
    Alert(StoredAlert),
    /// A capture and how far it is, as GET /api/captures lists it
    Capture(Capture),
    Change(Change),
}

/// Events as they happen
///
/// Server-sent events. The schema has the name and the data of each event. A client that is too
/// slow misses events and gets a `change` for every topic.
#[utoipa::path(
    get, path = "/api/events", tag = "State",
    responses((status = OK, description = "An endless stream of events", body = LiveEvent,
        content_type = "text/event-stream"))
)]
async fn listen(State(app): State<App>) -> Result<Response, Problem> {
    let (events, place) = app.bus.listen().ok_or_else(|| {
        Problem::too_many("too many open dashboard pages: close some", COME_BACK_SECS)
    })?;
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    let first = serde_json::to_string(&status::current(&app));
    if let Ok(text) = first {
        // The channel is new and has room.
        drop(sender.try_send(Ok(Sent::default().event("status").data(text))));
    }
    tokio::spawn(forward(events, sender, place));
    let stream = ReceiverStream::new(receiver);
    let mut response =
        Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // A proxy before us must not keep them back.
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

/// Ends when the page has gone, or the server stops.
async fn forward(
    mut events: broadcast::Receiver<PageEvent>,
    sender: mpsc::Sender<Result<Sent, Infallible>>,
    place: OwnedSemaphorePermit,
) {
    loop {
        let event = tokio::select! {
            () = sender.closed() => break,
            event = events.recv() => event,
        };
        let missed = match event {
            Ok(event) if event.name == END => break,
            Ok(event) => vec![event],
            Err(RecvError::Lagged(_)) => {
                Topic::ALL.into_iter().map(|topic| PageEvent::change(topic, None)).collect()
            }
            Err(RecvError::Closed) => break,
        };
        for event in missed {
            let sent = Sent::default().event(event.name).data(&*event.text);
            if sender.send(Ok(sent)).await.is_err() {
                return;
            }
        }
    }
    drop(place);
}
