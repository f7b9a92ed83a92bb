//! `POST /predict`: the verdict on records of a log, by the model that knows nothing but records.
//!
//! Nothing is kept, and nothing is asked of the agent or the database.

mod body;
mod reasons;

use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::extract::{Query, is_json, media_type};
use super::problem::Problem;
use super::{App, Routes};
use crate::builtin_models::{in_use, threshold_of};
use crate::config::Config;
use crate::features::{Kind, Record, record_vector};
use crate::model::{Model, ServedModel};
use crate::store::Store;
use body::{Fields, RecordBody, Wrong};
use reasons::RecordReason;

/// Records in one request.
const MOST_RECORDS: usize = 10_000;
/// More are scored away from the tasks that serve others.
const FEW: usize = 32;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const NDJSON_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq"];

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(predict))
}

/// What scores records.
#[derive(Clone, Debug)]
pub(super) struct Scorer {
    model: ServedModel,
    threshold: f64,
}

impl Scorer {
    /// With the model that was chosen, else the one inside the program.
    pub(super) fn new(store: Option<&Store>, config: &Config) -> anyhow::Result<Self> {
        Self::of(in_use(Kind::Record, store, config)?, config)
    }

    pub(super) fn of(model: Arc<Model>, config: &Config) -> anyhow::Result<Self> {
        let threshold = threshold_of(Kind::Record, &model, config);
        Ok(Self { model: ServedModel::new(model, Kind::Record)?, threshold })
    }

    fn verdict(&self, record: &Record, row: &mut Vec<f32>, reasons: bool) -> Prediction {
        record_vector(record, row);
        let score = self.model.score(row);
        let probability = self.model.probability(score);
        let told = reasons.then(|| (reasons::of(&self.model, record, row), self.threshold, score));
        let (reasons, threshold, score) = match told {
            Some((reasons, threshold, score)) => (Some(reasons), Some(threshold), Some(score)),
            None => (None, None, None),
        };
        let prediction = u8::from(probability >= self.threshold);
        Prediction { prediction, probability, threshold, score, reasons }
    }
}

/// The verdict on a record
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Prediction {
    /// 1: exfiltration
    #[schema(minimum = 0, maximum = 1)]
    prediction: u8,
    #[schema(minimum = 0, maximum = 1)]
    probability: f64,
    /// Probabilities of at least this count as exfiltration
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    threshold: Option<f64>,
    /// The sum of the contributions: the forest's output before its calibration
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reasons: Option<Vec<RecordReason>>,
}

/// One record or many
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the API document uses it")]
enum Records {
    One(RecordBody),
    Many(Vec<RecordBody>),
}

/// One verdict or one for each record
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the API document uses it")]
enum Predictions {
    One(Prediction),
    Many(Vec<Prediction>),
}

#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Wanted {
    /// Explain the score, in words and numbers
    reasons: bool,
}

/// Score records of a firewall's or proxy's log
///
/// The body is one object, an array of up to 10,000, or one object a line (NDJSON). All nine fields
/// are needed. The answer has the same form. The record model sees nothing but the record itself.
#[utoipa::path(
    post, path = "/predict", tag = "Records",
    request_body(content((Records = "application/json"), (String = "application/x-ndjson"))),
    responses((status = OK, description = "The verdicts, in the order of the records",
        content((Predictions = "application/json"), (String = "application/x-ndjson"))))
)]
async fn predict(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
    request: Request,
) -> Result<Response, Problem> {
    let form = Form::of(&request)?;
    let bytes = Bytes::from_request(request, &()).await?;
    let scorer = app.shared.score();
    // A record has at least so many bytes.
    if bytes.len() / RECORD_BYTES <= FEW {
        return answer(&scorer, &bytes, form, wanted.reasons);
    }
    let work = move || answer(&scorer, &bytes, form, wanted.reasons);
    let done = tokio::task::spawn_blocking(work).await;
    done.context("the scoring was interrupted: try again")?
}

/// Names of the fields and little else.
const RECORD_BYTES: usize = 150;

/// How the body says that it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As JSON, or not at all: one object a line is seen by its shape.
    Json,
    Lines,
}

impl Form {
    fn of(request: &Request) -> Result<Self, Problem> {
        // The usual case first, without a copy.
        if request.headers().get(header::CONTENT_TYPE) == Some(&JSON) {
            return Ok(Self::Json);
        }
        match media_type(request.headers()) {
            None => Ok(Self::Json),
            Some(kind) if NDJSON_TYPES.contains(&kind.as_str()) => Ok(Self::Lines),
            Some(kind) if is_json(&kind) => Ok(Self::Json),
            Some(_) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send records as application/json or application/x-ndjson",
            )),
        }
    }
}

fn answer(scorer: &Scorer, bytes: &[u8], form: Form, reasons: bool) -> Result<Response, Problem> {
    let start = bytes.trim_ascii_start();
    match (form, start.first()) {
        (Form::Lines, _) => lines(scorer, bytes, reasons),
        (Form::Json, Some(b'[')) => array(scorer, bytes, reasons),
        (Form::Json, _) => {
            let mut records = serde_json::Deserializer::from_slice(bytes);
            let fields = Fields::deserialize(&mut records).map_err(|error| unread(&error, None))?;
            if records.end().is_err() {
                return lines(scorer, bytes, reasons);
            }
            let record = fields.record().map_err(|wrong| problem(wrong, None, None))?;
            let verdict = scorer.verdict(&record, &mut Vec::with_capacity(16), reasons);
            Ok(written(JSON, write(&verdict, Vec::with_capacity(64))?))
        }
    }
}

fn array(scorer: &Scorer, bytes: &[u8], reasons: bool) -> Result<Response, Problem> {
    let records: Vec<Fields<'_>> =
        serde_json::from_slice(bytes).map_err(|error| unread(&error, None))?;
    check_count(records.len())?;
    let mut row = Vec::with_capacity(16);
    let verdicts = (0_u32..).zip(&records).map(|(index, fields)| {
        let record = fields.record().map_err(|wrong| problem(wrong, Some(index), None))?;
        Ok(scorer.verdict(&record, &mut row, reasons))
    });
    let verdicts = verdicts.collect::<Result<Vec<_>, Problem>>()?;
    Ok(written(JSON, write(&verdicts, Vec::with_capacity(verdicts.len() * 64))?))
}

fn lines(scorer: &Scorer, bytes: &[u8], reasons: bool) -> Result<Response, Problem> {
    let (mut row, mut output, mut count) = (Vec::with_capacity(16), Vec::new(), 0);
    for (line, text) in (1_u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        count += 1;
        check_count(count)?;
        let fields: Fields<'_> =
            serde_json::from_slice(text).map_err(|error| unread(&error, Some(line)))?;
        let record = fields.record().map_err(|wrong| problem(wrong, None, Some(line)))?;
        output = write(&scorer.verdict(&record, &mut row, reasons), output)?;
        output.push(b'\n');
    }
    if count == 0 {
        return Err(Problem::malformed("the body has no record"));
    }
    Ok(written(NDJSON, output))
}

fn check_count(count: usize) -> Result<(), Problem> {
    if count > MOST_RECORDS {
        let detail = format!("the body has too many records: send at most {MOST_RECORDS}");
        return Err(Problem::too_large(&detail));
    }
    Ok(())
}

/// `line` is that of the body where it is read line by line.
fn unread(error: &serde_json::Error, line: Option<u32>) -> Problem {
    let column = error.column();
    let place = match line {
        Some(_) => format!("column {column}"),
        None => format!("line {} column {column}", error.line()),
    };
    // Of data a record asks for nothing but to be an object.
    let (status, detail) = if error.is_data() {
        let expected = "expected a record: an object with nine fields";
        (StatusCode::UNPROCESSABLE_ENTITY, format!("{expected}, at {place}"))
    } else if error.is_eof() {
        (
            StatusCode::BAD_REQUEST,
            format!("the body is not valid JSON: it ends too early, at {place}"),
        )
    } else {
        (StatusCode::BAD_REQUEST, format!("the body is not valid JSON from {place} on"))
    };
    match line {
        Some(number) => {
            Problem { line, ..Problem::new(status, &format!("line {number}: {detail}")) }
        }
        None => Problem::new(status, &detail),
    }
}

fn problem(Wrong { field, detail }: Wrong, index: Option<u32>, line: Option<u32>) -> Problem {
    let place = match (index, line) {
        (Some(index), _) => format!("record {index}: "),
        (_, Some(line)) => format!("line {line}: "),
        _ => String::new(),
    };
    Problem { index, line, ..Problem::field(field, &format!("{place}{detail}")) }
}

fn write(value: &impl Serialize, mut output: Vec<u8>) -> Result<Vec<u8>, Problem> {
    serde_json::to_writer(&mut output, value).context("failed to write a verdict")?;
    Ok(output)
}

fn written(kind: HeaderValue, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"timestamp":"2024-01-01T12:00:00Z","source_ip":"192.168.1.100","destination_ip":"10.0.0.1","source_port":12345,"destination_port":80,"protocol":"TCP","bytes_sent":1500,"bytes_received":500,"action":"allow"}"#;

    fn scorer() -> Scorer {
        Scorer::new(None, &Config::default()).unwrap()
    }

    fn ask(body: &str, form: Form, reasons: bool) -> (u16, String) {
        let response = answer(&scorer(), body.as_bytes(), form, reasons)
            .unwrap_or_else(|problem| problem.into_response());
        let status = response.status().as_u16();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(axum::body::to_bytes(response.into_body(), 1 << 20)).unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn the_documented_records_get_their_answers() {
        let (status, text) = ask(SAMPLE, Form::Json, false);
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &answer["prediction"]), (200, &0.into()), "{text}");
        assert!(answer["probability"].as_f64().unwrap() < 0.5, "{text}");
        assert_eq!(answer.as_object().unwrap().len(), 2, "{text}");
        let (_, text) = ask(&SAMPLE.replace("1500", "500000"), Form::Json, false);
        assert!(text.starts_with(r#"{"prediction":1,"probability":"#), "{text}");
    }

    #[test]
    fn arrays_and_lines_get_one_answer_for_each() {
        let large = SAMPLE.replace("1500", "500000");
        let count = |text: &str| text.matches("\"prediction\":1").count();
        let (status, text) = ask(&format!("[{SAMPLE},{large}]"), Form::Json, false);
        assert_eq!((status, text.starts_with('['), count(&text)), (200, true, 1), "{text}");
        for form in [Form::Json, Form::Lines] {
            let (status, text) = ask(&format!("\n{SAMPLE}\r\n\n{large}\n"), form, false);
            assert_eq!((status, text.lines().count(), count(&text)), (200, 2, 1), "{text}");
        }
        assert_eq!(ask("[]", Form::Json, false), (200, "[]".to_owned()));
    }

    #[test]
    fn contributions_add_up() {
        // What they leave of the score is the model's bias, the same for every record.
        let bias = |text: &str| {
            let answer: serde_json::Value = serde_json::from_str(text).unwrap();
            let reasons = answer["reasons"].as_array().unwrap();
            let sum: f64 = reasons.iter().map(|one| one["contribution"].as_f64().unwrap()).sum();
            answer["score"].as_f64().unwrap() - sum
        };
        let (_, small) = ask(SAMPLE, Form::Json, true);
        let (_, text) = ask(&SAMPLE.replace("1500", "500000"), Form::Json, true);
        assert!((bias(&small) - bias(&text)).abs() < 1e-9, "{text}");
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(answer["probability"].as_f64() >= answer["threshold"].as_f64(), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let check = |body: &str, form, status: u16, expected: &str| {
            let (found, text) = ask(body, form, false);
            assert_eq!(found, status, "{text}");
            assert!(text.contains(expected), "{text}");
        };
        let broken = SAMPLE.replace("12345", "\"x\"");
        check(&broken, Form::Json, 422, r#""field":"source_port"}"#);
        check(
            &format!("[{SAMPLE},{broken}]"),
            Form::Json,
            422,
            r#""field":"source_port","index":1"#,
        );
        check(&format!("{SAMPLE}\n{broken}"), Form::Json, 422, r#""field":"source_port","line":2"#);
        check(&format!("{SAMPLE}\n{{"), Form::Lines, 400, "line 2: the body is not valid JSON");
        check("", Form::Json, 400, "not valid JSON");
        check("\n\n", Form::Lines, 400, "no record");
        check("4", Form::Json, 422, "expected a record");
        check("[4]", Form::Json, 422, "expected a record");
        check(&"[".repeat(10_000), Form::Json, 422, "expected a record");
        check(&format!("[{}{{}}]", "{},".repeat(MOST_RECORDS)), Form::Json, 413, "at most");
        let deep = SAMPLE.replace("12345", &"[".repeat(10_000));
        check(&deep, Form::Json, 400, "not valid JSON");
    }

    /// 10,000 bodies with bytes changed, cut out and put in, by a fixed draw.
    #[test]
    fn no_mutated_body_is_our_failure() {
        let scorer = scorer();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut draw = move |below: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
        };
        let pieces: [&[u8]; 10] = [
            b"null",
            b"-1",
            b"1e999",
            b"\"\"",
            b"[[[[",
            b"{\"a\":",
            b"\\ud800",
            b"\xff\xfe",
            b"99999999999999999999",
            b"\n",
        ];
        for number in 0..10_000 {
            let mut body = match number % 3 {
                0 => SAMPLE.as_bytes().to_vec(),
                1 => format!("[{SAMPLE},{SAMPLE}]").into_bytes(),
                _ => format!("{SAMPLE}\n{SAMPLE}").into_bytes(),
            };
            for _ in 0..=draw(4) {
                let at = draw(body.len());
                match draw(4) {
                    0 => body[at] = draw(256) as u8,
                    1 => drop(body.drain(at..(at + draw(20)).min(body.len()))),
                    2 => drop(body.splice(at..at, pieces[draw(pieces.len())].iter().copied())),
                    _ => body.truncate(at + 1),
                }
                if body.is_empty() {
                    body.push(b'{');
                }
            }
            let form = if draw(2) == 0 { Form::Json } else { Form::Lines };
            let status = match answer(&scorer, &body, form, draw(2) == 0) {
                Ok(response) => response.status().as_u16(),
                Err(problem) => problem.status,
            };
            let text = String::from_utf8_lossy(&body);
            assert!(matches!(status, 200 | 400 | 413 | 422), "{status}: {text}");
        }
    }
}
