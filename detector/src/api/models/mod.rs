//! The models: those built in, those that were added, which one is used, and how good
//! they are.

mod evaluate;

use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouterExt as _;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::problem::Problem;
use super::request_parsing::unexpected;
use super::{App, Caller, Routes};
use crate::audit::Action;
use crate::builtin_models;
use crate::clock::now_ns;
use crate::config::Config;
use crate::control::{Answer, Request as ControlRequest};
use crate::features::Kind;
use crate::model::{Model, Report, TrainConfig, TrainingSummary, permute};
use crate::status::bus::{PageEvent, Topic};
use crate::store::{Store, models};
use crate::units::rfc3339;

/// The longest model, and the longest file to measure one on.
const MOST_BYTES: usize = 64 << 20;
/// Labelled samples on which a column's importance is measured.
pub(super) const MOST_SAMPLES: usize = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(list))
        .read(routes!(show))
        .read(routes!(evaluate::evaluate).layer(DefaultBodyLimit::max(MOST_BYTES)))
        .admin(routes!(add).layer(DefaultBodyLimit::max(MOST_BYTES)))
        .admin(routes!(activate))
}

/// A model
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Model)]
struct ModelLine {
    /// The model's hash: 16 hexadecimal digits
    hash: String,
    /// Its schema: `session` or `record`
    schema: String,
    /// Its origin
    name: String,
    /// Whether it is the active model of its schema
    active: bool,
    /// Whether it is built in
    shipped: bool,
    columns: usize,
    trees: usize,
    /// Probabilities of at least this count as exfiltration
    threshold: f64,
    created_by: String,
    training: Training,
}

/// The training data
#[derive(Clone, Serialize, ToSchema)]
struct Training {
    rows: usize,
    positive_rows: usize,
    sessions: usize,
    positive_sessions: usize,
    groups: usize,
    positive_groups: usize,
}

impl From<&TrainingSummary> for Training {
    fn from(summary: &TrainingSummary) -> Self {
        let TrainingSummary {
            rows,
            positive_rows,
            sessions,
            positive_sessions,
            groups,
            positive_groups,
        } = *summary;
        Self { rows, positive_rows, sessions, positive_sessions, groups, positive_groups }
    }
}

#[derive(Serialize, ToSchema)]
struct ModelList {
    items: Vec<ModelLine>,
    /// Always null: the list is complete
    next: Option<String>,
}

/// A model with the importance of its columns
#[derive(Serialize, ToSchema)]
struct ModelDetail {
    #[serde(flatten)]
    model: ModelLine,
    /// Columns, most important first by impurity
    importances: Vec<Importance>,
    /// Out-of-fold figures at the threshold, if the model was validated
    validation: Option<Report>,
    /// The number of folds of these figures. 0: the model was trained without folds. Older models leave
    /// it out
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    folds: Option<usize>,
    /// The training parameters
    config: TrainConfig,
}

/// The importance of a column
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Importance {
    column: String,
    /// Share of the impurity that the column removed in training
    impurity: f64,
    /// Drop of the area under the receiver operating characteristic when the column's values are
    /// shuffled, on labelled samples; null without samples of both labels
    permutation: Option<f64>,
}

/// The model that was activated
#[derive(Serialize, ToSchema)]
struct Activated {
    model: ModelLine,
    /// What the model scores from now on
    text: String,
}

/// A model with its details.
pub(super) struct Known {
    pub(super) model: Arc<Model>,
    pub(super) kind: Option<Kind>,
    line: ModelLine,
}

/// List all models
#[utoipa::path(
    get, path = "/api/models", tag = "Models",
    responses((status = OK, description = "Models, built-in ones first", body = ModelList))
)]
async fn list(State(app): State<App>) -> Result<Json<ModelList>, Problem> {
    let known = known(&app).await?;
    Ok(Json(ModelList { items: known.into_iter().map(|one| one.line).collect(), next: None }))
}

/// Show a model with the importance of its columns and its validation
#[utoipa::path(
    get, path = "/api/models/{hash}", tag = "Models", params(("hash" = String, Path)),
    responses((status = OK, description = "The model without its trees", body = ModelDetail))
)]
async fn show(
    State(app): State<App>,
    Path(hash): Path<String>,
) -> Result<Json<ModelDetail>, Problem> {
    let Known { model, kind, line } = find(&app, &hash).await?;
    let samples = match (&app.store, kind) {
        (Some(_), Some(kind)) => {
            let of = Arc::clone(&model);
            app.with_store(move |store| labelled(store, kind, &of)).await?
        }
        _ => (Vec::new(), Vec::new()),
    };
    let importances = importances(Arc::clone(&model), samples.0, samples.1).await?;
    let (validation, config) = (model.meta.validation.clone(), model.meta.config.clone());
    let folds = model.meta.folds;
    Ok(Json(ModelDetail { model: line, importances, validation, folds, config }))
}

/// Add a model that `detector train` wrote
///
/// The body is the model's file. The model is used once it is activated.
#[utoipa::path(
    post, path = "/api/models", tag = "Models",
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = CREATED, description = "The model is added and not active yet",
        body = ModelLine))
)]
async fn add(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<ModelLine>), Problem> {
    let bytes = Bytes::from_request(request, &()).await?;
    let model = Model::from_bytes(&bytes)
        .map_err(|error| Problem::field("body", &format!("the body is not a model: {error:#}")))?;
    let kind = kind_of(&model).ok_or_else(|| {
        Problem::field(
            "body",
            "the model reads columns that this program does not compute: train it again",
        )
    })?;
    builtin_models::check(kind, &model)
        .map_err(|error| Problem::field("body", &format!("the model cannot be used: {error:#}")))?;
    let hash = model.hash()?;
    if known(&app).await?.iter().any(|one| one.line.hash == hash) {
        return Err(Problem::conflict(&format!("the model {hash} exists already")));
    }
    let (now, of) = (now_ns(), hash.clone());
    app.with_store(move |store| {
        let add = move |connection: &_| {
            models::add(connection, &of, kind.schema_name(), &model.to_bytes()?, now)
        };
        store.write(add)
    })
    .await?;
    app.note(&caller.who(), Action::Model, format!("added the model {hash}"));
    app.bus.emit(PageEvent::change(Topic::Models, Some(&hash)));
    Ok((StatusCode::CREATED, Json(find(&app, &hash).await?.line)))
}

/// Activate a model
#[utoipa::path(
    post, path = "/api/models/{hash}/activate", tag = "Models", params(("hash" = String, Path)),
    responses((status = OK, description = "The model is active", body = Activated))
)]
async fn activate(
    State(app): State<App>,
    caller: Caller,
    Path(hash): Path<String>,
) -> Result<Json<Activated>, Problem> {
    let Known { model, kind, .. } = find(&app, &hash).await?;
    let kind = kind.ok_or_else(|| {
        Problem::conflict(
            "the model reads columns that this program does not compute: train it again",
        )
    })?;
    builtin_models::check(kind, &model)
        .map_err(|error| Problem::conflict(&format!("{error:#}")))?;
    let (of, file, now) = (hash.clone(), model.to_bytes()?, now_ns());
    app.with_store(move |store| {
        store.write(move |connection| {
            // One that was configured by its path is found by its hash from now on.
            models::add(connection, &of, kind.schema_name(), &file, now).map(drop)
        })
    })
    .await?;
    let text = app.use_model(kind, model, &hash, &caller).await?;
    let of = hash.clone();
    app.with_store(move |store| {
        store.write(move |connection| models::activate(connection, kind.schema_name(), &of))
    })
    .await?;
    app.note(&caller.who(), Action::Model, format!("activated the model {hash}"));
    app.bus.emit(PageEvent::change(Topic::Models, Some(&hash)));
    let text = text.to_owned();
    Ok(Json(Activated { model: find(&app, &hash).await?.line, text }))
}

impl App {
    /// Has a model serve while everything runs, and says what it scores.
    async fn use_model(
        &self,
        kind: Kind,
        model: Arc<Model>,
        hash: &str,
        caller: &Caller,
    ) -> Result<&'static str, Problem> {
        match kind {
            Kind::Record => {
                self.shared.set_scorer(model, &self.config)?;
                Ok("this model now scores records")
            }
            Kind::Session if self.agent.is_some() => {
                let request = ControlRequest::UseModel { hash: hash.to_owned() };
                match self.ask(request, caller.peer()).await? {
                    Answer::Model { .. } => Ok("this model now scores live traffic"),
                    _ => Err(unexpected()),
                }
            }
            Kind::Session => Ok("this model now scores captures"),
        }
    }
}

/// The model of this hash.
pub(super) async fn find(app: &App, hash: &str) -> Result<Known, Problem> {
    let found = known(app).await?.into_iter().find(|one| one.line.hash == hash);
    found.ok_or_else(|| Problem::not_found(&format!("there is no model `{}`", hash.escape_debug())))
}

/// Every model, those built in first.
async fn known(app: &App) -> Result<Vec<Known>, Problem> {
    let (store, config) = (app.store.clone(), app.current.get());
    let work = move || collect(store.as_ref(), &config);
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.context("the models' work was interrupted: try again")??)
}

fn collect(store: Option<&Store>, config: &Config) -> anyhow::Result<Vec<Known>> {
    let mut found: Vec<(Arc<Model>, String, bool)> = Vec::new();
    for kind in Kind::ALL {
        let model = Model::from_bytes(builtin_models::bytes_of(kind))?;
        found.push((Arc::new(model), "built in".to_owned(), true));
    }
    if let Some(path) = &config.model.path {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        found.push((builtin_models::load_model(None, config)?, name, false));
    }
    let added = match store {
        Some(store) => store.read(|connection| {
            let mut added = Vec::new();
            for model in models::models(connection)? {
                added.push((models::file(connection, &model.hash)?, model.added_ns));
            }
            Ok(added)
        })?,
        None => Vec::new(),
    };
    for (file, added_ns) in added.into_iter().filter_map(|(file, added)| Some((file?, added))) {
        let model = Arc::new(Model::from_bytes(&file)?);
        found.push((model, format!("added {}", rfc3339(added_ns)), false));
    }
    let mut active = Vec::new();
    for kind in Kind::ALL {
        active.push(builtin_models::in_use(kind, store, config)?.hash()?);
    }
    let mut known: Vec<Known> = Vec::new();
    for (model, name, is_shipped) in found {
        let line = line_of(&model, name, is_shipped, &active)?;
        if !known.iter().any(|one| one.line.hash == line.hash) {
            known.push(Known { kind: kind_of(&model), model, line });
        }
    }
    Ok(known)
}

fn line_of(
    model: &Model,
    name: String,
    shipped: bool,
    active: &[String],
) -> anyhow::Result<ModelLine> {
    let hash = model.hash()?;
    let meta = &model.meta;
    Ok(ModelLine {
        active: active.contains(&hash),
        hash,
        schema: meta.schema.name.clone(),
        name,
        shipped,
        columns: model.forest.columns(),
        trees: model.forest.tree_count(),
        threshold: meta.threshold,
        created_by: meta.created_by.clone(),
        training: (&meta.training).into(),
    })
}

fn kind_of(model: &Model) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.schema_name() == model.meta.schema.name)
}

/// The labelled samples that a model can read: its columns' values row after row, and labels.
fn labelled(store: &Store, kind: Kind, model: &Model) -> anyhow::Result<(Vec<f32>, Vec<bool>)> {
    let columns = &model.meta.schema.columns;
    let samples = |connection: &_| models::samples(connection, kind, columns, MOST_SAMPLES);
    let (samples, _) = store.read(samples)?;
    let samples = samples.into_iter();
    let (rows, labels): (Vec<_>, _) = samples.map(|sample| (sample.vector, sample.label)).unzip();
    Ok((rows.concat(), labels))
}

/// The columns with their importance, most important first by impurity.
pub(super) async fn importances(
    model: Arc<Model>,
    rows: Vec<f32>,
    labels: Vec<bool>,
) -> Result<Vec<Importance>, Problem> {
    let work = move || {
        let permutation = permute::importances(&model.forest, &rows, &labels);
        let columns = model.meta.schema.columns.names().zip(&model.meta.importances).enumerate();
        let mut all: Vec<Importance> = columns
            .map(|(at, (column, impurity))| Importance {
                column: column.to_owned(),
                impurity: *impurity,
                permutation: permutation.as_ref().and_then(|all| all.get(at).copied()),
            })
            .collect();
        all.sort_by(|a, b| b.impurity.total_cmp(&a.impurity));
        all
    };
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.context("the model's work was interrupted: try again")?)
}
