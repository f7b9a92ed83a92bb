//! `cargo xtask VERB`: dispatch only, a verb is a file.

#![expect(clippy::print_stderr, reason = "the one place where a failed verb is reported")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod demo;
mod evaluate;
mod fuzz;
mod lab;
mod load;
mod project;
mod release;
mod setup;
mod soak;
mod test;
mod ui;
mod vm_test;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Development tasks of this project"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what this machine lacks to build, test and measure
    Setup(setup::Arguments),
    /// Check style and lints, and run every test, also those that need root
    Test(test::Arguments),
    /// Run the programs under every supported kernel, in virtual machines
    VmTest(vm_test::Arguments),
    /// Feed hostile bytes to every reader
    Fuzz(fuzz::Arguments),
    /// Build the dashboard into the agent
    Ui,
    /// Detect an upload, then block one, between network namespaces
    Demo,
    /// Run the benchmarks behind the project's figures
    Bench(bench::Arguments),
    /// Watch the agent's memory for some minutes under changing flows
    Soak(soak::Arguments),
    /// Measure detection on captures that the model has not seen
    Evaluate(evaluate::Arguments),
    /// Record real exfiltrating and benign tools, with labels
    Lab(lab::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Setup(arguments) => setup::report(&arguments),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::VmTest(arguments) => vm_test::run(&arguments),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::Ui => ui::run(),
        Verb::Demo => demo::run(),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Soak(arguments) => soak::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Lab(arguments) => lab::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
