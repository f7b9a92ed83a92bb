//! The command line: names, options and their help, nothing else.

pub mod control;
pub mod notify;
pub mod packaging;
pub mod serve;
pub mod store;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::control::{
    Allow, Audit, Blocks, Budgets, Confirm, Detach, Explain, ModeArgs, ReloadArgs, StatusArgs,
};
use self::notify::{Contacts, Ingest, Notify};
use self::packaging::{Completions, Man};
use self::serve::{Serve, TokenArgs};
use crate::response::Mode;

/// Watches every byte that leaves a host or network, detects data exfiltration, and blocks it in
/// the kernel.
#[derive(Debug, Parser)]
#[command(name = "detector", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Run),
    Serve(Serve),
    Status(StatusArgs),
    Blocks(Blocks),
    Allow(Allow),
    Mode(ModeArgs),
    Confirm(Confirm),
    Explain(Explain),
    Budgets(Budgets),
    Audit(Audit),
    Reload(ReloadArgs),
    Detach(Detach),
    Alerts(store::Alerts),
    Flows(store::Flows),
    Replay(store::Replay),
    Db(store::Db),
    Token(TokenArgs),
    Contacts(Contacts),
    Notify(Notify),
    Ingest(Ingest),
    Analyze(Analyze),
    Train(Train),
    Evaluate(Evaluate),
    Predict(Predict),
    Synth(Synth),
    Doctor(Doctor),
    #[command(hide = true)]
    Completions(Completions),
    #[command(hide = true)]
    Man(Man),
}

/// Watch interfaces and raise alerts until stopped
///
/// Needs root, or the capabilities that `detector doctor` lists.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector run --interface eth0 --mode block --format json")]
pub struct Run {
    /// Interface to watch: a name, a pattern such as "eth*", or "all"; may be repeated
    #[arg(short, long, value_name = "IF", num_args = 1..)]
    pub interface: Vec<String>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The agent's response to an alert [default: the configuration's, else observe]
    #[arg(short, long)]
    pub mode: Option<ModeChoice>,
    /// Format of the results on standard output
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
    /// Write a record of every flow, too
    #[arg(long)]
    pub flows: bool,
    /// Continue with the counters, blocks and flows that an earlier agent left in the kernel
    #[arg(long)]
    pub adopt: bool,
    /// At the end leave all programs in the kernel, so that blocks stay active until they expire
    #[arg(long)]
    pub keep_enforcing: bool,
    /// Log each packet that meets a full table, a budget without room or another interface
    #[arg(long)]
    pub trace_kernel: bool,
}

/// Find data exfiltration in captures
///
/// Reads pcap and pcapng files, each by itself. `-` is standard input. Needs no privileges.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tcpdump -i eth0 -w - | detector analyze -")]
pub struct Analyze {
    /// Captures to read
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Format of the results; csv has the alerts, or the flows with --flows
    #[arg(short, long, default_value = "table")]
    pub format: Format,
    /// Write a record of every flow, too
    #[arg(long)]
    pub flows: bool,
    /// Write every feature vector that was scored to this file
    #[arg(long, value_name = "OUT.csv")]
    pub features: Option<PathBuf>,
    /// Model to score with [default: the configuration's, else the built-in one]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Exit with code 3 when there is one, for scripts
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What makes `analyze` exit with a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Alert,
}

/// Fit a model to labelled captures or records
///
/// Each PATH is a directory of captures with a manifest.json of labels, a database with labelled
/// alerts, or a CSV file. The CSV file needs a column `label` (0 or 1). It has vectors of `detector
/// analyze --features`, or records of a log. The same data and seed give the same model, byte for
/// byte.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector train --data target/lab --out session.model")]
pub struct Train {
    /// Directory with manifest.json, labelled CSV file, or database with alerts that people
    /// labelled; may be repeated
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// File to write the model to
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Trees in the forest
    #[arg(long, default_value_t = 100)]
    pub trees: usize,
    /// Most splits on a path of a tree
    #[arg(long, default_value_t = 12)]
    pub depth: u16,
    /// Fewest rows under a leaf
    #[arg(long, default_value_t = 3)]
    pub min_leaf: usize,
    /// Rows that ten trees at a time are grown on, drawn again for each ten; 0: all rows [default: 20000
    /// for records, all for sessions]
    #[arg(long, value_name = "N")]
    pub rows_per_part: Option<usize>,
    /// Folds of the cross-validation; 0 or 1: train without, unmeasured and not calibrated
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub folds: usize,
    /// Unit that stays in one fold
    #[arg(long, default_value = "family")]
    pub hold_out: HoldOut,
    /// List every missed exfiltration and every false alert
    #[arg(long)]
    pub list: bool,
    /// Cost of a false alert, in missed exfiltrations; the threshold follows from it
    #[arg(long, default_value_t = 3.0)]
    pub cost: f64,
    /// Expected share of exfiltration among the sessions to score; probabilities are calibrated to
    /// it
    #[arg(long, default_value_t = 0.01)]
    pub prior: f64,
    /// Threshold of the model [default: cost / (1 + cost)]
    #[arg(long)]
    pub threshold: Option<f64>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Measure a model on labelled captures or records
///
/// Takes the same PATHs as `detector train`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector evaluate --data target/lab --format json")]
pub struct Evaluate {
    /// Directory with manifest.json, labelled CSV file, or database with alerts that people
    /// labelled; may be repeated
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// List every missed exfiltration and every false alert
    #[arg(long)]
    pub list: bool,
    /// Cross-validate: measure models trained on the other folds instead of a finished model
    #[arg(long, conflicts_with = "model")]
    pub out_of_fold: bool,
    /// Measure how well a forest distinguishes benign lab recordings from real captures
    #[arg(long, conflicts_with_all = ["model", "out_of_fold"])]
    pub lab_or_real: bool,
    /// Unit that stays in one fold
    #[arg(long, default_value = "family")]
    pub hold_out: HoldOut,
    /// Leave out captures whose kind contains this text, such as "doh"; may be repeated
    #[arg(long, value_name = "KIND")]
    pub without: Vec<String>,
    /// Ignore the hosts' history
    #[arg(long)]
    pub without_context: bool,
    /// Model to measure [default: the configuration's, else the built-in one]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Format of the results
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Score vectors or records in a CSV file
///
/// Vectors of `detector analyze --features` get the verdicts of that analysis. The record model
/// scores records of a log: timestamp, source_ip, destination_ip, source_port, destination_port,
/// protocol, bytes_sent, bytes_received, action.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector predict records.csv --format json")]
pub struct Predict {
    /// File to read, also compressed; `-` is standard input; a column `label` is ignored
    #[arg(value_name = "FILE.csv")]
    pub file: PathBuf,
    /// Model to score with [default: for vectors the configuration's, else the built-in one]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Format of the results
    #[arg(short, long, default_value = "table")]
    pub format: Format,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Write synthetic labelled records, to try the record model on
///
/// They do not measure how well the detector finds real exfiltration. The same profile, rows and
/// seed give the same file.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector synth --rows 10000 --out records.csv")]
pub struct Synth {
    /// Kind of records: hard, or seed-compat, which a single threshold separates
    #[arg(long, value_name = "NAME", default_value = "hard")]
    pub profile: String,
    /// Number of records
    #[arg(long, default_value_t = 10_000)]
    pub rows: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File to write the records to
    #[arg(long, value_name = "FILE.csv")]
    pub out: PathBuf,
}

/// Check whether this machine can run the detector, and show how it would attach
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector doctor --interface eth0")]
pub struct Doctor {
    /// Interface to check: a name, a pattern such as "eth*", or "all"; may be repeated
    #[arg(short, long, value_name = "IF", num_args = 1..)]
    pub interface: Vec<String>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Format of the results
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HoldOut {
    /// A lab scenario, an application of nDPI's captures, or another repository: the strictest
    #[default]
    Family,
    /// One capture; others of its kind stay in training
    Capture,
    /// An exfiltration technique, or a kind of benign traffic, in lab and real captures alike
    Technique,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

/// Formats of results that have more than one kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LiveFormat {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeChoice {
    /// Alert, block nothing
    Observe,
    /// Alert and count the packets that block mode would drop
    Simulate,
    /// Alert and block
    Block,
}

impl From<ModeChoice> for Mode {
    fn from(choice: ModeChoice) -> Self {
        match choice {
            ModeChoice::Observe => Self::Observe,
            ModeChoice::Simulate => Self::Simulate,
            ModeChoice::Block => Self::Block,
        }
    }
}

impl Command {
    /// The configuration file from the command line.
    #[must_use]
    pub fn config(&self) -> Option<&PathBuf> {
        match self {
            Self::Run(run) => run.config.as_ref(),
            Self::Serve(serve) => serve.config.as_ref(),
            Self::Status(status) => status.reach.config.as_ref(),
            Self::Blocks(blocks) => blocks.reach.config.as_ref(),
            Self::Allow(allow) => allow.reach.config.as_ref(),
            Self::Mode(mode) => mode.reach.config.as_ref(),
            Self::Confirm(confirm) => confirm.reach.config.as_ref(),
            Self::Explain(explain) => explain.reach.config.as_ref(),
            Self::Budgets(budgets) => budgets.reach.config.as_ref(),
            Self::Audit(audit) => audit.config.as_ref(),
            Self::Reload(reload) => reload.reach.config.as_ref(),
            Self::Detach(detach) => detach.config.as_ref(),
            Self::Alerts(alerts) => alerts.database.config.as_ref(),
            Self::Flows(flows) => flows.database.config.as_ref(),
            Self::Replay(replay) => replay.database.config.as_ref(),
            Self::Db(db) => db.database.config.as_ref(),
            Self::Token(token) => token.config.as_ref(),
            Self::Contacts(contacts) => contacts.place.config.as_ref(),
            Self::Notify(notify) => notify.place.config.as_ref(),
            Self::Ingest(ingest) => ingest.place.config.as_ref(),
            Self::Analyze(analyze) => analyze.config.as_ref(),
            Self::Train(train) => train.config.as_ref(),
            Self::Evaluate(evaluate) => evaluate.config.as_ref(),
            Self::Predict(predict) => predict.config.as_ref(),
            Self::Synth(_) | Self::Completions(_) | Self::Man(_) => None,
            Self::Doctor(doctor) => doctor.config.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                let help = inner.clone().render_long_help().to_string();
                assert!(help.contains(&path), "{path}: {help}");
                check(inner, &path);
            }
        }
        check(&Cli::command(), "detector");
    }

    #[test]
    fn changes_are_read_as_they_are_typed() {
        let parse = |line: &str| {
            let Cli { command } = Cli::try_parse_from(line.split(' ')).unwrap();
            command
        };
        let line = "detector blocks add pair 10.0.0.7 192.0.2.1 --ttl 10m --police 10k --socket \
                    /run/s --confirm-within 60s";
        let Command::Blocks(Blocks { reach, command: control::BlocksCommand::Add(add) }) =
            parse(line)
        else {
            panic!("another command");
        };
        assert_eq!(add.target, ["pair", "10.0.0.7", "192.0.2.1"]);
        assert_eq!((add.ttl, add.police, add.mark), (Some(600), Some(10_000), None));
        assert_eq!(add.change.confirm_within, Some(60));
        assert_eq!(reach.socket, Some("/run/s".into()));
        let Command::Mode(mode) = parse("detector mode block --format json") else {
            panic!("another command");
        };
        assert_eq!(mode.mode, Some(ModeChoice::Block));
        assert_eq!(mode.change.listed.format, LiveFormat::Json);
    }

    #[test]
    fn a_command_line_that_makes_no_sense_says_why() {
        let check = |line: &str, expected: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        };
        check("detector blocks add 192.0.2.1 --ttl soon", "write 90s, 10m");
        check("detector blocks add 192.0.2.1 --police fast", "such as 10k");
        check("detector blocks add 192.0.2.1 --mark 64", "0..64");
        check("detector blocks add 192.0.2.1 --mark 8 --police 1k", "cannot be used with");
        check("detector allow add 192.0.2.1/24 --reason x", "write 192.0.2.0/24");
        check("detector allow add 192.0.2.1", "--reason");
        check("detector mode panic", "possible values");
    }
}
