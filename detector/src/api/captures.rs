//! Captures: uploaded, analysed in a queue, looked at again with another model.
#![expect(
    unused_qualifications,
    reason = "the macros that describe parameters name their place as our extractor is named"
)]

use std::io::{self, Write};

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::alerts::attachment;
use super::extract::{Json, Path, Query};
use super::pieces::written;
use super::problem::Problem;
use super::{App, Routes};
use crate::analysis::{Captures, Upload};
use crate::refusal::Refusal;
use crate::source::capture::CaptureError;
use crate::store::captures::{self, Capture, Stage};
use crate::values;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(list))
        .read(routes!(show))
        .read(routes!(features))
        .respond(routes!(upload))
        .respond(routes!(remove))
        .respond(routes!(cancel))
        .respond(routes!(analyze))
}

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 200;

impl App {
    fn captures(&self) -> Result<&Captures, Problem> {
        self.captures.as_ref().ok_or_else(|| {
            Problem::conflict("uploads need the database: set store.enabled = true and restart")
        })
    }
}

fn unknown(id: i64) -> Problem {
    Problem::not_found(&format!("there is no capture {id}"))
}

async fn find(app: &App, id: i64) -> Result<Capture, Problem> {
    let found =
        app.with_store(move |store| store.read(|connection| captures::capture(connection, id)));
    let found = found.await?.ok_or_else(|| unknown(id))?;
    Ok(app.captures()?.with_progress(found))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    limit: Option<String>,
    /// `next` of the previous page
    cursor: Option<String>,
}

/// A page of captures
#[derive(Serialize, ToSchema)]
struct CapturePage {
    items: Vec<Capture>,
    next: Option<String>,
}

/// The captures
#[utoipa::path(
    get, path = "/api/captures", tag = "Captures", params(ListQuery),
    responses((status = OK, description = "Captures, newest first", body = CapturePage))
)]
async fn list(
    State(app): State<App>,
    Query(ListQuery { limit, cursor }): Query<ListQuery>,
) -> Result<Json<CapturePage>, Problem> {
    let limit = values::limit(limit.as_deref())?;
    let cursor = match cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(text) => Some(text.parse().map_err(|_| values::stale_cursor())?),
        None => None,
    };
    let rows = app
        .with_store(move |store| {
            store.read(|connection| captures::captures(connection, cursor, limit + 1))
        })
        .await?;
    let captures = app.captures()?;
    let mut items: Vec<Capture> =
        rows.into_iter().map(|capture| captures.with_progress(capture)).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(CapturePage { items, next }))
}

/// Show one capture with its analyses
#[utoipa::path(
    get, path = "/api/captures/{id}", tag = "Captures", params(("id" = i64, Path)),
    responses((status = OK, description = "The capture with its progress", body = Capture))
)]
async fn show(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Capture>, Problem> {
    find(&app, id).await.map(Json)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadQuery {
    /// The file's name, for people
    #[param(min_length = 1, max_length = 200)]
    name: String,
}

/// Upload a capture: the body is the file
#[utoipa::path(
    post, path = "/api/captures", tag = "Captures", params(UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = CREATED, description = "The capture waits for its analysis",
        body = Capture))
)]
async fn upload(
    State(app): State<App>,
    Query(UploadQuery { name }): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Capture>), Problem> {
    let name = name.trim().to_owned();
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let detail = format!("name: write 1 to {MAX_NAME_BYTES} bytes");
        return Err(Problem::field("name", &detail));
    }
    let captures = app.captures()?.clone();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    let room = blocking({
        let captures = captures.clone();
        move || captures.room()
    })
    .await?;
    let most = room.min(app.config.api.max_capture_bytes);
    if length.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let upload = blocking({
        let captures = captures.clone();
        move || captures.begin_upload(&name)
    })
    .await?;
    // Dropped unfinished, when the client leaves, it is noted as failed.
    let mut guard = Unfinished { captures: captures.clone(), upload: Some(upload) };
    let Some(upload) = &guard.upload else {
        return Err(Problem::conflict("the upload has ended already"));
    };
    let id = upload.id;
    match receive(upload, body, most, length).await {
        Ok((bytes, sha256)) => {
            let Some(upload) = guard.upload.take() else {
                return Err(Problem::conflict("the upload has ended already"));
            };
            blocking(move || captures.end_upload(&upload, bytes, &sha256)).await?;
        }
        Err(problem) => {
            guard.fail(&problem.detail);
            return Err(problem);
        }
    }
    Ok((StatusCode::CREATED, Json(find(&app, id).await?)))
}

fn too_large(most: u64) -> Problem {
    Problem::too_large(&format!(
        "the capture is larger than {}: raise api.max_capture_bytes or store.captures_max_bytes, \
         or remove captures",
        crate::units::bytes(most)
    ))
}

/// An upload that counts as failed unless it is taken out.
struct Unfinished {
    captures: Captures,
    upload: Option<Upload>,
}

impl Unfinished {
    fn fail(&mut self, why: &str) {
        if let Some(upload) = self.upload.take() {
            let (captures, why) = (self.captures.clone(), why.to_owned());
            // The disk may be slow, and others are being served.
            tokio::task::spawn_blocking(move || captures.fail_upload(&upload, &why));
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.fail("the upload was interrupted: upload it again");
    }
}

/// Writes a body to its file as it comes. Returns its length and its SHA-256.
async fn receive(
    upload: &Upload,
    mut body: Body,
    most: u64,
    expected: Option<u64>,
) -> Result<(u64, String), Problem> {
    let file = tokio::fs::File::create(&upload.path).await.map_err(disk)?.into_std().await;
    let mut written = Written { file, digest: Sha256::new() };
    let (mut bytes, mut pieces) = (0_u64, Pieces::default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::malformed("the body is shorter than its Content-Length: upload it again")
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(too_large(most));
        }
        if upload.is_cancelled() {
            return Err(Problem::conflict("the upload was cancelled"));
        }
        pieces.push(piece);
        if pieces.are_enough() {
            written = write(written, std::mem::take(&mut pieces)).await?;
        }
        upload.note(bytes, expected);
    }
    if bytes == 0 {
        return Err(Problem::malformed("the body is empty: send a pcap or pcapng file"));
    }
    let Written { digest, .. } = write(written, pieces).await?;
    let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, sha256))
}

/// Pieces of a body as the connection has them, to be written together.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }

    /// The number counts as well: a piece of one byte holds the buffer that it was read into.
    fn are_enough(&self) -> bool {
        self.bytes >= 1 << 20 || self.pieces.len() >= 64
    }
}

/// What is on the disk of an upload.
struct Written<W> {
    file: W,
    digest: Sha256,
}

impl<W: Write> Written<W> {
    /// Writes pieces from where they are. An asynchronous file would copy them first.
    fn take(mut self, pieces: &Pieces) -> io::Result<Self> {
        for piece in &pieces.pieces {
            self.digest.update(piece);
            self.file.write_all(piece)?;
        }
        Ok(self)
    }
}

async fn write(
    written: Written<std::fs::File>,
    pieces: Pieces,
) -> Result<Written<std::fs::File>, Problem> {
    let taken = tokio::task::spawn_blocking(move || written.take(&pieces)).await;
    taken.map_err(anyhow::Error::new)?.map_err(disk)
}

fn disk(error: io::Error) -> Problem {
    tracing::error!("failed to store a capture: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "the disk is full: remove captures or make room",
        ),
        _ => Problem::from(anyhow::Error::new(error)),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await.map_err(anyhow::Error::new)?;
    Ok(done?)
}

/// Delete a capture with its alerts
#[utoipa::path(
    delete, path = "/api/captures/{id}", tag = "Captures", params(("id" = i64, Path)),
    responses((status = NO_CONTENT, description = "The capture is deleted"))
)]
async fn remove(State(app): State<App>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    let captures = app.captures()?.clone();
    let removed = blocking(move || captures.remove(id)).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(id)) }
}

/// Cancel the upload or analysis of a capture
#[utoipa::path(
    post, path = "/api/captures/{id}/cancel", tag = "Captures", params(("id" = i64, Path)),
    responses((status = OK, description = "The upload or analysis stops", body = Capture))
)]
async fn cancel(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Capture>, Problem> {
    find(&app, id).await?;
    let captures = app.captures()?.clone();
    let stopped = blocking(move || Ok(captures.cancel(id))).await?;
    if !stopped {
        return Err(Problem::conflict(&format!(
            "capture {id} is neither uploading nor waiting nor in analysis"
        )));
    }
    find(&app, id).await.map(Json)
}

/// The model to use
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAnalysis {
    /// A model's hash; default: the active model
    model: Option<String>,
}

/// Analyse a capture again
#[utoipa::path(
    post, path = "/api/captures/{id}/analyze", tag = "Captures", params(("id" = i64, Path)),
    request_body = NewAnalysis,
    responses((status = ACCEPTED, description = "The capture waits for its analysis",
        body = Capture))
)]
async fn analyze(
    State(app): State<App>,
    Path(id): Path<i64>,
    Json(NewAnalysis { model }): Json<NewAnalysis>,
) -> Result<(StatusCode, Json<Capture>), Problem> {
    let known = find(&app, id).await?;
    if matches!(known.state, Stage::Uploading | Stage::Queued | Stage::Analysing) {
        return Err(Problem::conflict(&format!("capture {id} is already {}", known.state.name())));
    }
    let captures = app.captures()?.clone();
    let asked = blocking(move || Ok(captures.analyse(id, model.as_deref()))).await?;
    asked.map_err(|error| match error.downcast::<Refusal>() {
        Ok(refusal) => refusal.into(),
        Err(error) => Problem::conflict(&format!("{error:#}")),
    })?;
    Ok((StatusCode::ACCEPTED, Json(find(&app, id).await?)))
}

/// Export the feature vectors of a capture
#[utoipa::path(
    get, path = "/api/captures/{id}/features", tag = "Captures", params(("id" = i64, Path)),
    responses((status = OK, description = "CSV with a header",
        content_type = "text/csv", body = String))
)]
async fn features(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, Problem> {
    let capture = find(&app, id).await?;
    if matches!(capture.state, Stage::Uploading | Stage::Failed if capture.sha256.is_none()) {
        return Err(Problem::conflict(&format!("capture {id} is incomplete: upload it again")));
    }
    let captures = app.captures()?.clone();
    let name = capture.name.clone();
    let body = written(move |output| {
        let done = captures.write_features(id, &name, output);
        match done.with_context(|| format!("the vectors of capture {id} are not whole")) {
            // What came before the damage is whole, and the capture's analysis says where it is.
            Err(error) if error.is::<CaptureError>() => {
                tracing::info!("{error:#}");
                Ok(())
            }
            done => done,
        }
    });
    let file = format!("{}.csv", capture.name);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, attachment(&file)),
    ];
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that it is given, and notes where that was.
    #[derive(Default)]
    struct Places(Vec<*const u8>);

    impl Write for Places {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.as_ptr());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_of_an_upload_are_written_where_they_are() {
        let whole = Bytes::from_static(b"hello world");
        let mut pieces = Pieces::default();
        pieces.push(whole.slice(..6));
        pieces.push(whole.slice(6..));
        let places: Vec<_> = pieces.pieces.iter().map(|piece| piece.as_ptr()).collect();
        let written = Written { file: Places::default(), digest: Sha256::new() };
        let Written { file, digest } = written.take(&pieces).unwrap();
        assert_eq!(file.0, places);
        assert_eq!(digest.finalize(), Sha256::digest("hello world"));
    }

    #[test]
    fn neither_many_bytes_nor_many_pieces_wait() {
        let check = |piece: Bytes, expected: usize| {
            let mut pieces = Pieces::default();
            while !pieces.are_enough() {
                pieces.push(piece.clone());
            }
            assert_eq!(pieces.pieces.len(), expected);
        };
        check(Bytes::from_static(b"x"), 64);
        check(Bytes::from(vec![0; 1 << 18]), 4);
    }
}
