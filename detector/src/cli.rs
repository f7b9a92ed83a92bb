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

/// Sees every byte that leaves a host, decides whether it is being stolen, and stops it in the
/// kernel.
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
    /// What happens on an alert [default: the configuration's, observe]
    #[arg(short, long)]
    pub mode: Option<ModeChoice>,
    /// How alerts are written to standard output
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
    /// Write a record of every flow, too
    #[arg(long)]
    pub flows: bool,
    /// Take over what an agent before left in the kernel: counters, blocks and flows
    #[arg(long)]
    pub adopt: bool,
    /// At the end leave everything in the kernel, blocks to run out by themselves
    #[arg(long)]
    pub keep_enforcing: bool,
    /// Log why packets met a full table, a budget without room or another interface
    #[arg(long)]
    pub trace_kernel: bool,
}

/// Read captures and tell what was stolen in them
///
/// pcap and pcapng, several files one after the other and each for itself; `-` is standard input.
/// Needs no privileges.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tcpdump -i eth0 -w - | detector analyze -")]
pub struct Analyze {
    /// Captures to read
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How results are written; csv has the alerts, or the flows with --flows
    #[arg(short, long, default_value = "table")]
    pub format: Format,
    /// Write a record of every flow, too
    #[arg(long)]
    pub flows: bool,
    /// Write every feature vector that was scored to this file
    #[arg(long, value_name = "OUT.csv")]
    pub features: Option<PathBuf>,
    /// Model to score with [default: the configuration's, else the one shipped]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Fit a model to labelled captures or records
///
/// Each PATH is a directory with captures and a manifest.json that labels them, or a CSV file with a
/// column `label` (0 or 1): vectors as `detector analyze --features` writes them, or records of a
/// log. The same data and seed give the same model, byte for byte.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector train --data target/lab --out session.model")]
pub struct Train {
    /// Directory with manifest.json, labelled CSV file, or database with alerts that people have called
    /// benign or a theft; may be repeated
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// File the model is written to
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Decides every random choice
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Trees in the forest
    #[arg(long, default_value_t = 100)]
    pub trees: usize,
    /// Splits on the longest path of a tree
    #[arg(long, default_value_t = 12)]
    pub depth: u16,
    /// Fewest rows under a leaf
    #[arg(long, default_value_t = 3)]
    pub min_leaf: usize,
    /// Rows that ten trees at a time are grown on, drawn anew for each ten; 0: all rows [default: 20000
    /// for records, all for sessions]
    #[arg(long, value_name = "N")]
    pub rows_per_part: Option<usize>,
    /// Parts the captures are divided into for the out-of-fold figures
    #[arg(long, default_value_t = 5)]
    pub folds: usize,
    /// What is kept together when the captures are divided
    #[arg(long, default_value = "family")]
    pub hold_out: HoldOut,
    /// Name every theft that was missed and every false alert
    #[arg(long)]
    pub list: bool,
    /// How many missed thefts a false alert is as bad as: from it the threshold follows
    #[arg(long, default_value_t = 3.0)]
    pub cost: f64,
    /// Share of thefts among sessions where the model will serve: what probabilities are for
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
/// Each PATH is as for `detector train`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector evaluate --data target/lab --format json")]
pub struct Evaluate {
    /// Directory with manifest.json, labelled CSV file, or database with alerts that people have called
    /// benign or a theft; may be repeated
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Name every theft that was missed and every false alert
    #[arg(long)]
    pub list: bool,
    /// Measure models made in the same way from the other parts of the data, not a finished one
    #[arg(long, conflicts_with = "model")]
    pub out_of_fold: bool,
    /// Tell how well ordinary recordings of the lab can be told from real captures
    #[arg(long, conflicts_with_all = ["model", "out_of_fold"])]
    pub lab_or_real: bool,
    /// What is kept together when the captures are divided
    #[arg(long, default_value = "family")]
    pub hold_out: HoldOut,
    /// Leave out captures whose kind contains this, such as "doh"; may be repeated
    #[arg(long, value_name = "KIND")]
    pub without: Vec<String>,
    /// Know nothing of the hosts' history
    #[arg(long)]
    pub without_context: bool,
    /// Model to measure [default: the configuration's, else the one shipped]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// How results are written
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Score vectors or records in a CSV file
///
/// Vectors as `detector analyze --features` writes them get the verdicts of that analysis; records
/// of a log (timestamp, source_ip, destination_ip, source_port, destination_port, protocol,
/// bytes_sent, bytes_received, action) are scored by the record model.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector predict records.csv --format json")]
pub struct Predict {
    /// File to read, which may be compressed; `-` is standard input; a column `label` is let pass
    #[arg(value_name = "FILE.csv")]
    pub file: PathBuf,
    /// Model to score with [default: for vectors the configuration's, else the one shipped]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// How results are written
    #[arg(short, long, default_value = "table")]
    pub format: Format,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Write labelled records that were made up, to try the record model on
///
/// They say nothing about how well real thefts are found. The same profile, rows and seed give the
/// same file.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector synth --rows 10000 --out records.csv")]
pub struct Synth {
    /// What the records are like: hard, or seed-compat, which one threshold solves
    #[arg(long, value_name = "NAME", default_value = "hard")]
    pub profile: String,
    /// Number of records
    #[arg(long, default_value_t = 10_000)]
    pub rows: u64,
    /// Decides every random choice
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File the records are written to
    #[arg(long, value_name = "FILE.csv")]
    pub out: PathBuf,
}

/// Tell whether this machine can run the detector, and how it would attach
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector doctor --interface eth0")]
pub struct Doctor {
    /// Interface to look at: a name, a pattern such as "eth*", or "all"; may be repeated
    #[arg(short, long, value_name = "IF", num_args = 1..)]
    pub interface: Vec<String>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are written
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HoldOut {
    /// A lab scenario, an application of nDPI's captures, another repository whole: the hard way
    #[default]
    Family,
    /// One capture: others of its kind are in training
    Capture,
    /// A technique of theft, or a kind of ordinary traffic, in lab and real captures alike
    Technique,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

/// The formats of what has more than one kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LiveFormat {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeChoice {
    /// Tell, touch nothing
    Observe,
    /// Decide and count what would be blocked, touch nothing
    Simulate,
    /// Stop what steals
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
    /// The configuration file that was named.
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
        let line = "detector blocks add pair 10.0.0.7 192.0.2.1 --ttl 10m --police 10k \
                    --socket /run/s --confirm-within 60s";
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
