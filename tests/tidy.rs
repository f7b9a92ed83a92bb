//! The rules of the house that a compiler does not know, as tests over the source text: who may
//! import whom, where `unsafe` and outside crates live, what the pure middle must not touch.
//!
//! Each rule is a function from a file to complaints, and is first shown a snippet that breaks it.
//! The text is read word by word, without comments and literals; nothing is expanded or resolved.

#[path = "tidy/wording.rs"]
mod wording;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use detector::features::schema;

/// A source file: its path from the project's root and its text.
struct Source {
    path: String,
    text: String,
    /// The text with comments and literals blanked out.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: code(text) }
    }

    fn line(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    fn complaint(&self, offset: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.line(offset))
    }
}

type Rule = fn(&Source) -> Vec<String>;

/// Holds `rule` to what it must catch and what it must let pass, then the project to the rule.
fn check(rule: Rule, broken: &[(&str, &str)], sound: &[(&str, &str)]) {
    for (path, text) in broken {
        assert!(!rule(&Source::new(path, text)).is_empty(), "not caught in {path}:\n{text}");
    }
    for (path, text) in sound {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "{text}");
    }
    let complaints: Vec<String> = rust_sources().iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// Imports go one way.

/// What the modules of detector/src may name besides themselves, by the longest prefix of the
/// file's path that is listed. Modules that are not listed may name everything.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("network", &[]),
    ("units", &[]),
    ("values", &["features", "network", "refusal"]),
    ("timestamp", &["units"]),
    ("instance", &[]),
    ("clock", &["timestamp"]),
    ("refusal", &[]),
    ("fields", &["refusal"]),
    ("text", &[]),
    ("decompress", &[]),
    ("flow", &["network", "timestamp", "units"]),
    ("features", &["flow", "network", "timestamp", "units"]),
    ("model", &["features", "flow", "network", "units"]),
    ("ledger", &["flow", "network"]),
    ("verdict", &["model", "ledger", "features", "flow", "network", "timestamp", "units"]),
    // Below whoever writes, keeps, serves or shows alerts.
    (
        "alerts",
        &[
            "verdict",
            "model",
            "features",
            "network",
            "refusal",
            "text",
            "timestamp",
            "units",
            "values",
        ],
    ),
    (
        "response",
        &["verdict", "model", "features", "flow", "network", "refusal", "timestamp", "units"],
    ),
    ("source", &["flow", "network", "units"]),
    // The kernel's enforcer stands beside the maps it writes, and the configuration sizes them.
    (
        "source/kernel",
        &["config", "response", "refusal", "flow", "instance", "network", "timestamp", "units"],
    ),
    // What must not be cut off is addresses; what they mean for a block is the response's.
    ("source/host", &["network"]),
    // What is asked for and answered; what it does is the agent's.
    ("control", &["response", "refusal", "fields", "instance", "network", "units"]),
    ("audit", &["response", "network", "units"]),
    ("state", &["network", "units"]),
    ("status", &["control", "response", "units"]),
    (
        "output",
        &[
            "alerts", "flow", "ledger", "response", "verdict", "status", "store", "notify",
            "clock", "network", "text", "units",
        ],
    ),
    (
        "store",
        &[
            "alerts",
            "audit",
            "refusal",
            "response",
            "features",
            "flow",
            "verdict",
            "clock",
            "network",
            "timestamp",
            "units",
        ],
    ),
    (
        "notify",
        &[
            "alerts",
            "config",
            "instance",
            "refusal",
            "status",
            "store",
            "verdict",
            "clock",
            "network",
            "timestamp",
            "units",
        ],
    ),
    ("site", &["config", "control", "status", "store"]),
    // A record is scored as it comes, and kept.
    ("ingest", &["alerts", "decompress", "features", "flow", "model", "store", "verdict"]),
    (
        "config",
        &[
            "decompress",
            "features",
            "fields",
            "flow",
            "ledger",
            "response",
            "verdict",
            "network",
            "units",
        ],
    ),
    ("cli", &["config", "store", "flow", "response", "network", "units"]),
    (
        "pipeline",
        &[
            "flow",
            "features",
            "ledger",
            "model",
            "verdict",
            "response",
            "network",
            "timestamp",
            "units",
        ],
    ),
];

/// Modules of which the names above and those that know all are made.
const MODULES: &[&str] = &[
    "agent",
    "alerts",
    "analysis",
    "api",
    "audit",
    "cli",
    "commands",
    "config",
    "control",
    "decompress",
    "doctor",
    "features",
    "fields",
    "flow",
    "ingest",
    "instance",
    "ledger",
    "model",
    "network",
    "notify",
    "output",
    "pipeline",
    "refusal",
    "response",
    "builtin_models",
    "site",
    "source",
    "state",
    "status",
    "store",
    "text",
    "timestamp",
    "units",
    "values",
    "verdict",
    "verify",
    "clock",
    "detector",
];

/// What modules that may name nearly everything must not name: the API asks the agent through its
/// control, and `main` hands the commands the way to start it.
const MUST_NOT_NAME: &[(&str, &[&str])] =
    &[("agent", &["api", "commands"]), ("commands", &["api"]), ("api", &["agent", "commands"])];

fn imports_go_one_way(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("detector/src/") else { return Vec::new() };
    let stem = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    let is_at = |place: &str| stem == place || stem.starts_with(&format!("{place}/"));
    let rules = MAY_NAME.iter().filter(|(place, _)| is_at(place));
    let Some((place, allowed)) = rules.max_by_key(|(place, _)| place.len()) else {
        return Vec::new();
    };
    let own = stem.split('/').next().unwrap_or(stem);
    named_modules(source, stem)
        .into_iter()
        .filter(|(_, name)| MODULES.contains(&name.as_str()) && name != own)
        .filter(|(_, name)| !allowed.contains(&name.as_str()))
        .map(|(offset, name)| source.complaint(offset, &format!("{place} names crate::{name}")))
        .collect()
}

/// The top-level modules that a file names through `crate::` or enough of `super::`.
fn named_modules(source: &Source, stem: &str) -> Vec<(usize, String)> {
    names_below("crate", &source.code, stem.split('/').count())
}

/// What code names of the module `top`, by its path or by `depth` times `super::`.
fn names_below(top: &str, code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut climbed = 0;
    for (offset, word) in words(code) {
        let (before, after) = code.split_at(offset + word.len());
        climbed = match word {
            _ if !after.starts_with("::") => 0,
            "super" => climbed + 1,
            _ if before.ends_with(top) => depth,
            _ => 0,
        };
        if climbed >= depth {
            let next = after.trim_start_matches("::").trim_start();
            let first = leaves(next).into_iter().filter_map(|leaf| leaf.into_iter().next());
            names.extend(first.map(|name| (offset, name)));
        }
    }
    names
}

/// The names of a path one after the other, or those of every path in a group in braces.
fn leaves(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        return pieces(group).into_iter().flat_map(leaves).collect();
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let after = rest.strip_prefix("::").map_or_else(|| vec![Vec::new()], leaves);
    after.into_iter().map(|leaf| [vec![name.to_owned()], leaf].concat()).collect()
}

/// What stands between the commas of a group, whose opening brace is left out.
fn pieces(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut pieces) = (0, 0, Vec::new());
    for (offset, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                pieces.push(&group[start..offset]);
                start = offset + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    pieces
}

fn nobody_names_the_api(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("detector/src/") else { return Vec::new() };
    let stem = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    let own = stem.split('/').next().unwrap_or(stem);
    let forbidden = MUST_NOT_NAME.iter().find(|(place, _)| *place == own);
    named_modules(source, stem)
        .into_iter()
        .filter(|(_, name)| forbidden.is_some_and(|(_, names)| names.contains(&name.as_str())))
        .map(|(offset, name)| source.complaint(offset, &format!("{own} names crate::{name}")))
        .collect()
}

#[test]
fn agent_commands_and_api_do_not_name_each_other() {
    check(
        nobody_names_the_api,
        &[
            ("detector/src/agent/mod.rs", "use crate::api::App;"),
            ("detector/src/commands/run.rs", "use crate::{api::server, cli};"),
            ("detector/src/api/mod.rs", "use crate::agent::Agent;"),
        ],
        &[
            ("detector/src/api/mod.rs", "use super::server; use crate::control::Answer;"),
            ("detector/src/main.rs", "use detector::api;"),
        ],
    );
}

#[test]
fn imports_go_one_way_only() {
    check(
        imports_go_one_way,
        &[
            ("detector/src/flow/tracker.rs", "use crate::features::COLUMNS;"),
            ("detector/src/flow/dns/message.rs", "use super::super::super::model::Forest;"),
            ("detector/src/flow/mod.rs", "use super::verdict::Alert;"),
            ("detector/src/features/session.rs", "fn f() { crate::model::Forest::new() }"),
            (
                "detector/src/model/train.rs",
                "use crate::{\n    flow::{Session, Side},\n    verdict\n};",
            ),
            ("detector/src/verdict/scorer.rs", "use crate::response::Policy;"),
            ("detector/src/source/capture/mod.rs", "use crate::response::Enforcer;"),
            ("detector/src/source/kernel/object.rs", "use crate::verdict::Alert;"),
            ("detector/src/output/json.rs", "use crate::pipeline::Pipeline;"),
            ("detector/src/units.rs", "use crate::flow::Side;"),
            ("detector/src/control/server.rs", "use crate::agent::Agent;"),
            ("detector/src/source/host/routes.rs", "use crate::flow::Side;"),
            ("detector/src/pipeline/mod.rs", "use crate::config::Config;"),
        ],
        &[
            ("detector/src/flow/tracker.rs", "//! [`crate::model`]\nuse super::features;"),
            ("detector/src/flow/tracker.rs", "use crate::flow::table; // crate::model::x"),
            ("detector/src/verdict/scorer.rs", "use crate::model::Model; use crate::flow::Side;"),
            ("detector/src/source/kernel/enforcer.rs", "use crate::response::Enforcer;"),
            ("detector/src/commands/run.rs", "use crate::agent; use crate::model::Model;"),
        ],
    );
}

/// The rooms of flow, each with those that it may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("content", &[]),
    ("dns", &["content"]),
    ("table", &["content", "dns"]),
    ("session", &["content", "dns", "table"]),
];
/// What stands outside of the rooms and may be named in all of them.
const COMMON_ROOM: [&str; 4] = ["Side", "Visitor", "config", "observation"];

fn rooms_have_an_order(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("detector/src/flow/") else { return Vec::new() };
    let stem = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    let own = stem.split('/').next().unwrap_or(stem);
    let Some((_, below)) = ROOMS.iter().find(|(room, _)| *room == own) else { return Vec::new() };
    names_below("crate::flow", before_tests(&source.code), stem.split('/').count())
        .into_iter()
        .filter(|(_, name)| name != own && !below.contains(&name.as_str()))
        .filter(|(_, name)| !COMMON_ROOM.contains(&name.as_str()))
        .map(|(offset, name)| source.complaint(offset, &format!("{own} names flow::{name}")))
        .collect()
}

#[test]
fn the_rooms_of_flow_know_those_below_them_only() {
    check(
        rooms_have_an_order,
        &[
            ("detector/src/flow/content/echo.rs", "use crate::flow::session::Session;"),
            ("detector/src/flow/content/echo.rs", "use crate::flow::Session;"),
            ("detector/src/flow/dns/mod.rs", "use super::table::Slab;"),
            ("detector/src/flow/table/slab.rs", "use super::super::{Side, session::Session};"),
        ],
        &[
            ("detector/src/flow/content/echo.rs", "use super::ping; use crate::flow::Side;"),
            ("detector/src/flow/session/mod.rs", "use crate::flow::{content::Mean, table::Slab};"),
            ("detector/src/flow/tracker.rs", "use super::session::Session;"),
        ],
    );
}

/// A new module must be given its place among the others.
#[test]
fn every_module_has_its_place() {
    for (_, word) in words(&code(&read("detector/src/lib.rs"))).filter(|(_, word)| *word != "pub") {
        let known = MODULES.contains(&word) || word == "mod";
        assert!(known, "detector/src/lib.rs: tests/tidy.rs does not know `{word}`");
    }
}

// Modules side by side do not name each other in a circle.

/// Circles among the modules of a folder of detector/src that there are yet. None may come.
const CIRCLES: &[(&str, &[&str])] = &[
    ("api", &["openapi", "routes"]),
    ("features", &["measure", "schema", "session"]),
    ("notify", &["email", "http", "send", "slack", "sms", "syslog", "webhook"]),
    ("source/capture", &["reader", "sections"]),
    ("source/kernel", &["clock", "object"]),
    ("verdict", &["evidence", "rules"]),
];

/// Modules by their path below detector/src, without their tests; the crate's own is the empty
/// path.
type Modules<'a> = BTreeMap<&'a str, &'a str>;

/// The modules of a folder, each with those beside it that it names.
type Named = BTreeMap<String, BTreeSet<String>>;

fn modules(sources: &[Source]) -> Modules<'_> {
    let all = sources.iter().filter_map(|source| {
        let stem = source.path.strip_prefix("detector/src/")?.strip_suffix(".rs")?;
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        Some((if stem == "lib" { "" } else { stem }, before_tests(&source.code)))
    });
    all.filter(|(stem, _)| !stem.ends_with("tests")).collect()
}

/// Where `use` has the names from that a module hands on from the modules in it.
fn handed_on(modules: &Modules<'_>) -> HashMap<(String, String), Vec<String>> {
    let mut found = HashMap::new();
    for (module, code) in modules {
        for (offset, _) in words(code).filter(|(_, word)| *word == "use") {
            for leaf in leaves(&code[offset + "use".len()..]) {
                let path: Vec<String> = parts(module).chain(leaf.iter().cloned()).collect();
                let inside = path[..path.len() + 1 - leaf.len()].join("/");
                if let ([_, .., name], true) = (leaf.as_slice(), modules.contains_key(&*inside)) {
                    found.insert(((*module).to_owned(), name.clone()), path);
                }
            }
        }
    }
    found
}

fn parts(module: &str) -> impl Iterator<Item = String> {
    module.split('/').filter(|part| !part.is_empty()).map(str::to_owned)
}

/// The paths that a module names through `crate`, `self` and `super`, from the crate's root.
fn named_paths(module: &str, code: &str) -> Vec<Vec<String>> {
    let own: Vec<String> = parts(module).collect();
    let mut paths = Vec::new();
    let mut base: Option<Vec<String>> = None;
    for (offset, word) in words(code) {
        let rest = code[offset + word.len()..].strip_prefix("::");
        base = match (rest, word, base.take()) {
            (None, ..) => None,
            (_, "crate", None) => Some(Vec::new()),
            (_, "self", None) => Some(own.clone()),
            (_, "super", above) => above.or_else(|| Some(own.clone())).map(|mut path| {
                path.pop();
                path
            }),
            _ => None,
        };
        if let (Some(base), Some(rest)) = (&base, rest) {
            paths.extend(leaves(rest).into_iter().map(|leaf| [base.clone(), leaf].concat()));
        }
    }
    paths
}

/// The module that a path leads to, through what others hand on.
fn resolve(
    path: &[String],
    modules: &Modules<'_>,
    handed_on: &HashMap<(String, String), Vec<String>>,
) -> String {
    const STEPS: usize = 8;
    let mut path = path.to_vec();
    let mut module = String::new();
    for _ in 0..STEPS {
        let known = |length: &usize| modules.contains_key(&*path[..*length].join("/"));
        let length = (1..=path.len()).rev().find(known).unwrap_or(0);
        module = path[..length].join("/");
        let Some(name) = path.get(length) else { break };
        let Some(from) = handed_on.get(&(module.clone(), name.clone())) else { break };
        path = [from.as_slice(), &path[length + 1..]].concat();
    }
    module
}

/// For each folder which of its modules name which others in it, files below them included.
fn neighbours(modules: &Modules<'_>) -> BTreeMap<String, Named> {
    let handed_on = handed_on(modules);
    let mut folders: BTreeMap<String, Named> = BTreeMap::new();
    for (module, code) in modules {
        let own: Vec<String> = parts(module).collect();
        for path in named_paths(module, code) {
            let other: Vec<String> = parts(&resolve(&path, modules, &handed_on)).collect();
            let common = own.iter().zip(&other).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (own.get(common), other.get(common)) {
                let folder = folders.entry(own[..common].join("/")).or_default();
                folder.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    folders
}

/// What can be reached from a module.
fn reached<'a>(from: &str, named: &'a Named) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        for next in named.get(module).into_iter().flatten() {
            if found.insert(next.as_str()) {
                waiting.push(next);
            }
        }
    }
    found
}

/// Each circle once: its folder and the modules in it.
fn circles(sources: &[Source]) -> BTreeSet<(String, Vec<String>)> {
    let mut found = BTreeSet::new();
    for (folder, named) in neighbours(&modules(sources)) {
        for module in named.keys() {
            let back = |other: &&str| reached(other, &named).contains(module.as_str());
            let circle: Vec<String> =
                reached(module, &named).into_iter().filter(back).map(str::to_owned).collect();
            if circle.len() > 1 {
                found.insert((folder.clone(), circle));
            }
        }
    }
    found
}

#[test]
fn modules_side_by_side_name_each_other_one_way() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let found: Vec<String> = circles(&sources)
            .iter()
            .map(|(folder, circle)| format!("{folder}: {}", circle.join(" ")))
            .collect();
        assert_eq!(found, expected, "{files:?}");
    };
    let (one, other) = ("detector/src/x/one.rs", "detector/src/x/other.rs");
    let both = "pub use one::{One, Two};\nmod other;";
    check(&[(one, "use super::other::A;"), (other, "use super::one::B;")], &["x: one other"]);
    check(
        &[(one, "use crate::x::{other::A};"), (other, "fn f() { super::one::f() }")],
        &["x: one other"],
    );
    check(
        &[("detector/src/x/mod.rs", both), (one, "use super::other;"), (other, "use super::Two;")],
        &["x: one other"],
    );
    check(
        &[(one, "use super::other::A;"), (other, "// super::one\nconst X: &str = \"super::one\";")],
        &[],
    );
    check(
        &[
            (one, "use super::other::A;"),
            (other, "#[cfg(test)]\nmod tests {\nuse super::super::one;"),
        ],
        &[],
    );

    let known: BTreeSet<(String, Vec<String>)> = CIRCLES
        .iter()
        .map(|(folder, members)| {
            ((*folder).to_owned(), members.iter().map(|member| (*member).to_owned()).collect())
        })
        .collect();
    let found: BTreeSet<_> = circles(&rust_sources()).into_iter().collect();
    let (new, gone): (Vec<_>, Vec<_>) =
        (found.difference(&known).collect(), known.difference(&found).collect());
    assert!(new.is_empty(), "modules that name each other in a circle: {new:?}");
    assert!(gone.is_empty(), "these circles are gone, take them off CIRCLES: {gone:?}");
}

// One home per outside crate.

const HOMES: &[(&str, &[&str])] = &[
    ("smartcore", &["detector/src/model/"]),
    ("aya", &["detector/src/source/kernel/"]),
    ("aya_log", &["detector/src/source/kernel/"]),
    ("pcap_parser", &["detector/src/source/capture/"]),
    // The output has a module of this name.
    (
        "csv",
        &[
            "detector/src/analysis/",
            "detector/src/commands/",
            "detector/src/ingest/",
            "detector/src/output/",
            "detector/src/text.rs",
        ],
    ),
    ("ipnet", &["detector/src/network/mod.rs"]),
    ("flate2", &["detector/src/decompress"]),
    ("zstd", &["detector/src/decompress"]),
    ("bzip2", &["detector/src/decompress"]),
    ("lzma_rust2", &["detector/src/decompress"]),
    ("lz4_flex", &["detector/src/decompress"]),
    (
        "jiff",
        &[
            "detector/src/features/hours.rs",
            "detector/src/features/record/timestamp.rs",
            "detector/src/timestamp.rs",
            "detector/src/units.rs",
        ],
    ),
    ("psl", &["detector/src/flow/dns/registered.rs"]),
    ("anstream", &["detector/src/output/table.rs"]),
    ("anstyle", &["detector/src/doctor/check.rs", "detector/src/output/table.rs"]),
    ("indicatif", &["detector/src/commands/progress.rs"]),
    ("clap_complete", &["detector/src/cli/packaging.rs", "detector/src/commands/completions.rs"]),
    ("clap_mangen", &["detector/src/commands/man.rs"]),
    ("clap", &["detector/src/cli", "detector/src/main.rs", "detector/src/commands/"]),
    // The second names the provider of rustls.
    ("ring", &["detector/src/flow/content/quic.rs", "detector/src/api/tls.rs"]),
    ("rusqlite", &["detector/src/store/"]),
    ("lettre", &["detector/src/notify/"]),
    ("ureq", &["detector/src/notify/"]),
    ("hmac", &["detector/src/notify/"]),
    ("rustls_native_certs", &["detector/src/notify/"]),
    ("axum", &["detector/src/api/"]),
    ("hyper", &["detector/src/api/"]),
    ("hyper_util", &["detector/src/api/"]),
    ("tokio_rustls", &["detector/src/api/"]),
    ("tokio_stream", &["detector/src/api/"]),
    ("prometheus_client", &["detector/src/api/metrics.rs"]),
    ("tower_http", &["detector/src/api/middleware.rs"]),
    ("utoipa_axum", &["detector/src/api/"]),
    ("serde_path_to_error", &["detector/src/fields.rs"]),
];

fn crates_stay_home(source: &Source) -> Vec<String> {
    if !source.path.starts_with("detector/src/") {
        return Vec::new();
    }
    words(&source.code)
        .filter_map(|(offset, word)| {
            let (name, homes) = HOMES.iter().find(|(name, _)| *name == word)?;
            let home = homes.iter().any(|home| source.path.starts_with(home));
            (!home).then(|| source.complaint(offset, &format!("{name} belongs in {homes:?}")))
        })
        .collect()
}

#[test]
fn outside_crates_have_one_home_each() {
    check(
        crates_stay_home,
        &[
            ("detector/src/pipeline/mod.rs", "use smartcore::linalg;"),
            ("detector/src/source/mod.rs", "fn f(map: aya::maps::MapData) {}"),
            ("detector/src/flow/tracker.rs", "use pcap_parser::PcapHeader;"),
            ("detector/src/config/mod.rs", "#[derive(clap::ValueEnum)] enum X { A }"),
        ],
        &[
            ("detector/src/model/train.rs", "use smartcore::linalg;"),
            ("detector/src/config/mod.rs", "// not clap\nconst TEXT: &str = \"aya\";"),
            ("detector-common/src/abi.rs", "unsafe impl aya::Pod for X {}"),
        ],
    );
}

// Where `unsafe` is, and why.

const UNSAFE_PLACES: &[&str] =
    &["detector-ebpf/src/", "detector-common/src/abi.rs", "detector/src/source/kernel/"];

/// Lines above an `unsafe` in which its reason may start.
const REASON_LINES: usize = 6;

fn unsafe_has_its_places(source: &Source) -> Vec<String> {
    if UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    words(&source.code)
        .filter(|(_, word)| *word == "unsafe")
        .map(|(offset, _)| source.complaint(offset, "unsafe outside its three places"))
        .collect()
}

fn unsafe_has_its_reason(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    words(&source.code)
        .filter(|(offset, word)| {
            let next = source.code[offset + word.len()..].trim_start();
            *word == "unsafe" && (next.starts_with('{') || next.starts_with("impl"))
        })
        .filter(|(offset, _)| {
            let line = source.line(*offset);
            let near = &lines[line.saturating_sub(REASON_LINES + 1)..line];
            !near.iter().any(|line| line.contains("// SAFETY: "))
        })
        .map(|(offset, _)| source.complaint(offset, "unsafe without a // SAFETY: line near it"))
        .collect()
}

#[test]
fn unsafe_lives_in_three_places() {
    check(
        unsafe_has_its_places,
        &[
            ("detector/src/flow/tracker.rs", "fn f() { unsafe { g() } }"),
            ("detector-common/src/parse/mod.rs", "unsafe impl Send for X {}"),
            ("xtask/src/main.rs", "unsafe fn f() {}"),
        ],
        &[
            ("detector/src/source/kernel/batch.rs", "unsafe { g() }"),
            ("detector/src/flow/tracker.rs", "// unsafe { g() }\nconst X: &str = \"unsafe {}\";"),
        ],
    );
}

#[test]
fn unsafe_says_why() {
    check(
        unsafe_has_its_reason,
        &[
            ("detector-ebpf/src/main.rs", "fn f() {\n    unsafe { g() }\n}"),
            ("detector-ebpf/src/main.rs", "// SAFETY: far\n\n\n\n\n\n\n\nunsafe impl X for Y {}"),
        ],
        &[
            ("detector-ebpf/src/main.rs", "// SAFETY: g has no conditions.\nunsafe { g() }"),
            ("detector-ebpf/src/main.rs", "#[unsafe(no_mangle)]\nstatic X: u32 = 0;"),
        ],
    );
}

// Every file says what it is.

fn opens_with_a_word(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.complaint(0, "does not open with a //! paragraph")]
}

#[test]
fn every_file_says_what_it_is() {
    let broken = [("a.rs", "use std::fs;"), ("a.rs", "// a\n//! b"), ("a.rs", "\n//! a")];
    check(opens_with_a_word, &broken, &[("a.rs", "//! A file.\n")]);
}

// A module with a folder is in it.

/// Files beside a folder of their name. A test target has to be: its folder is not its module.
fn beside_their_folder(paths: &[&str]) -> Vec<String> {
    let folders: BTreeSet<&str> =
        paths.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    let is_target = |stem: &str| stem.split('/').count() == 2 && stem.starts_with("tests/");
    let stems = paths.iter().filter_map(|path| path.strip_suffix(".rs"));
    stems
        .filter(|stem| folders.contains(stem) && !is_target(stem))
        .map(|stem| format!("{stem}.rs: move it to {stem}/mod.rs"))
        .collect()
}

#[test]
fn modules_have_one_style() {
    let broken = ["detector/src/flow.rs", "detector/src/flow/table.rs"];
    assert_eq!(beside_their_folder(&broken).len(), 1);
    let sound = ["xtask/src/a/mod.rs", "xtask/src/a/b.rs", "tests/api.rs", "tests/api/bed.rs"];
    assert_eq!(beside_their_folder(&sound), [""; 0]);
    let sources = rust_sources();
    let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let complaints = beside_their_folder(&paths);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// The pure middle takes time and input as arguments.

const PURE: &[&str] = &[
    "detector/src/flow/",
    "detector/src/features/",
    "detector/src/model/",
    "detector/src/verdict/",
    "detector/src/pipeline/",
    "detector/src/response/policy_state",
    "detector/src/response/policy.rs",
    "detector/src/response/target.rs",
];
const IMPURE_FILES: &[&str] = &["detector/src/model/file.rs"];
const IMPURE_WORDS: &[&str] = &[
    "SystemTime",
    "Instant",
    "fs",
    "File",
    "OpenOptions",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "tokio",
    "stdin",
    "sleep",
];

fn the_middle_is_pure(source: &Source) -> Vec<String> {
    let path = source.path.as_str();
    if IMPURE_FILES.contains(&path) || !PURE.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    words(before_tests(&source.code))
        .filter(|(_, word)| IMPURE_WORDS.contains(word))
        .map(|(offset, word)| source.complaint(offset, &format!("{word} in the pure middle")))
        .collect()
}

/// Tests come last in a file and may read their golden files.
fn before_tests(code: &str) -> &str {
    code.find("#[cfg(test)]\nmod tests {").map_or(code, |end| &code[..end])
}

#[test]
fn the_middle_touches_no_clock_file_or_socket() {
    check(
        the_middle_is_pure,
        &[
            ("detector/src/flow/tracker.rs", "let now = std::time::Instant::now();"),
            ("detector/src/features/session.rs", "use std::{\n    fs,\n    io,\n};"),
            ("detector/src/model/train.rs", "fn f() { std::fs::read(path) }"),
            ("detector/src/verdict/scorer.rs", "use std::net::UdpSocket;"),
            ("detector/src/response/policy.rs", "tokio::spawn(f());"),
        ],
        &[
            ("detector/src/flow/tracker.rs", "/// An Instant.\nuse std::time::Duration;"),
            ("detector/src/model/file.rs", "use std::fs::File;"),
            ("detector/src/flow/a.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}"),
            ("detector/src/response/enforcer.rs", "use std::time::Instant;"),
        ],
    );
}

// The project speaks of itself, not of where its parts are fetched from.

/// In pieces, so that this file is not the one that names them.
const REGISTRIES: [&str; 5] = [
    concat!("crates", ".io"),
    concat!("docs", ".rs/"),
    concat!("npmjs", ".org"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
];

fn named_registries(path: &str, text: &str) -> Vec<String> {
    let named = REGISTRIES.iter().filter(|name| text.contains(*name));
    named.map(|name| format!("{path}: names {name}")).collect()
}

#[test]
fn no_file_names_a_registry() {
    let text = format!("see https://{}/x", REGISTRIES[0]);
    assert_eq!(named_registries("README.md", &text).len(), 1);
    assert!(named_registries("README.md", "the default registry").is_empty());

    // A lock file is cargo's own and says where each crate is from.
    let files = files(&root()).into_iter().filter(|path| !path.ends_with("Cargo.lock"));
    let complaints: Vec<String> = files
        .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
        .flat_map(|(path, text)| named_registries(&path.to_string_lossy(), &text))
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// Documents are current.

fn differs(page: &str, generated: &str) -> bool {
    page.trim_end() != generated.trim_end()
}

#[test]
fn the_feature_page_is_what_the_schema_generates() {
    let generated = schema::markdown();
    assert!(differs(&generated.replacen("| 1 |", "| 01 |", 1), &generated));
    assert!(
        !differs(&read("docs/features.md"), &generated),
        "docs/features.md is old: run UPDATE_GOLDEN=1 cargo test --package detector and review it"
    );
}

// Reading.

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_sources() -> Vec<Source> {
    let root = root();
    let sources: Vec<Source> = files(&root)
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let path = path.strip_prefix(&root).unwrap_or(path).to_string_lossy();
            Source::new(&path, &read(&path))
        })
        .collect();
    assert!(sources.len() > 50, "the project's sources were not found");
    sources
}

/// Folders of what is built, fetched or recorded.
const NOT_OURS: &[&str] =
    &[".git", ".tools", "target", "node_modules", "corpus", "artifacts", "coverage", "dist"];

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let ours = !NOT_OURS.iter().any(|name| entry.file_name() == *name);
        match entry.file_type() {
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(kind) if kind.is_dir() && ours => files.extend(self::files(&entry.path())),
            _ => {}
        }
    }
    files.sort();
    files
}

/// Identifiers and keywords with their places.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    code.split(move |character| !is_word(character))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr().addr() - code.as_ptr().addr(), word))
}

/// The text with every comment and literal replaced by blanks, line for line.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(character) = rest.chars().next() {
        let length = literal_or_comment(rest, previous);
        if length == 0 {
            code.push(character);
            previous = character;
            rest = &rest[character.len_utf8()..];
            continue;
        }
        let (skipped, after) = rest.split_at(length);
        code.extend(skipped.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        previous = ' ';
        rest = after;
    }
    code
}

/// Bytes of the comment or literal that `text` starts with; 0 where it starts with neither.
fn literal_or_comment(text: &str, previous: char) -> usize {
    let end = |found: Option<usize>, length: usize| found.map_or(text.len(), |at| at + length);
    if text.starts_with("//") {
        return end(text.find('\n'), 0);
    }
    if text.starts_with("/*") {
        return end(text.find("*/"), 2);
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    let hashes = text.trim_start_matches('r').bytes().take_while(|byte| *byte == b'#').count();
    let in_word = previous.is_alphanumeric() && previous != 'b';
    if text.starts_with('r') && !in_word && text[1 + hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let open = 2 + hashes;
        return end(text[open..].find(&close).map(|at| at + open), close.len());
    }
    let mut characters = text.chars();
    match (characters.next(), characters.next(), characters.next()) {
        (Some('\''), Some('\\'), _) => quoted(text, '\''),
        (Some('\''), Some(character), Some('\'')) => character.len_utf8() + 2,
        // A lifetime, or nothing of the kind.
        _ => 0,
    }
}

/// Bytes up to the closing quote, escapes stepped over.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn comments_and_literals_are_blanked() {
    let check = |text: &str, expected: &str| {
        let words: Vec<String> = words(&code(text)).map(|(_, word)| word.to_owned()).collect();
        assert_eq!(words.join(" "), expected, "{text}");
        assert_eq!(code(text).matches('\n').count(), text.matches('\n').count());
    };
    check("a // b\nc /* d\n */ e", "a c e");
    check(r#"a "b \" c" d"#, "a d");
    check(r##"a r#"b " c"# d br"e" f"##, "a d b f");
    check(r"a '\'' b '\n' c 'd' e", "a b c e");
    check("fn f<'a>(x: &'a str) -> &'a str", "fn f a x a str a str");
    check("for_r (r) var", "for_r r var");
}
