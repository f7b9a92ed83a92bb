//! The table kernel × capability: for the terminal, and as the page docs/kernels.md.

use std::fmt::Write as _;

use super::line::Line;
use super::results::{Results, Verdict};

/// One kernel line and what came of it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) line: &'static Line,
    /// Why there are none, else.
    pub(super) results: Result<Results, String>,
}

impl Column {
    fn results(&self) -> Option<&Results> {
        self.results.as_ref().ok()
    }
}

/// Instructions that the verifier walks through at most for one program.
const VERIFIER_LIMIT: u64 = 500_000;

/// Everything that went wrong, a line each.
pub(super) fn complaints(columns: &[Column]) -> Vec<String> {
    let mut complaints = Vec::new();
    for Column { line, results } in columns {
        match results {
            Err(reason) => complaints.push(format!("{line}: {reason}")),
            Ok(results) => {
                let failed = results.cells.iter().filter(|cell| cell.verdict == Verdict::Fail);
                complaints.extend(
                    failed.map(|cell| format!("{line}: {}: {}", cell.capability, cell.text)),
                );
                let large = results.verified.iter().filter(|(_, count)| *count >= VERIFIER_LIMIT);
                complaints.extend(large.map(|(program, count)| {
                    format!(
                        "{line}: {program}: {count} instructions verified, {VERIFIER_LIMIT} are \
                        the limit"
                    )
                }));
            }
        }
    }
    complaints
}

/// Capabilities in the order in which the kernels reported them.
fn capabilities(columns: &[Column]) -> Vec<&str> {
    let mut names = Vec::new();
    for cell in columns.iter().filter_map(Column::results).flat_map(|results| &results.cells) {
        if !names.contains(&cell.capability.as_str()) {
            names.push(&cell.capability);
        }
    }
    names
}

fn programs(columns: &[Column]) -> Vec<&str> {
    let mut names = Vec::new();
    for (name, _) in columns.iter().filter_map(Column::results).flat_map(|found| &found.verified) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// Texts below a table, each reported once, with the number that is in the table.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, text: &str) -> usize {
        if let Some(place) = self.0.iter().position(|known| known == text) {
            return place + 1;
        }
        self.0.push(text.to_owned());
        self.0.len()
    }
}

fn cell(results: Option<&Results>, capability: &str, notes: &mut Notes) -> String {
    let Some(results) = results else { return "not run".to_owned() };
    let Some(cell) = results.cell(capability) else { return "not run".to_owned() };
    match (cell.verdict, cell.text.as_str()) {
        (Verdict::Pass, "") => "yes".to_owned(),
        (Verdict::Pass, text) => text.to_owned(),
        (Verdict::NotHere, text) => format!("no ({})", notes.number(text)),
        (Verdict::Fail, _) => "FAILED".to_owned(),
    }
}

fn rows(columns: &[Column], notes: &mut Notes) -> Vec<Vec<String>> {
    let mut header = vec!["capability".to_owned()];
    header.extend(columns.iter().map(|column| column.line.name.to_owned()));
    let mut rows = vec![header];
    for capability in capabilities(columns) {
        let mut row = vec![capability.to_owned()];
        row.extend(columns.iter().map(|column| cell(column.results(), capability, notes)));
        rows.push(row);
    }
    rows
}

fn instruction_rows(columns: &[Column]) -> Vec<Vec<String>> {
    let mut header = vec!["program".to_owned()];
    header.extend(columns.iter().map(|column| column.line.name.to_owned()));
    let mut rows = vec![header];
    for program in programs(columns) {
        let count = |results: &Results| {
            let (_, count) = results.verified.iter().find(|(name, _)| name == program)?;
            Some(count.to_string())
        };
        let mut row = vec![program.to_owned()];
        row.extend(
            columns.iter().map(|each| each.results().and_then(count).unwrap_or_else(|| "–".into())),
        );
        rows.push(row);
    }
    rows
}

/// For the terminal, aligned.
pub(super) fn text(columns: &[Column]) -> String {
    let mut notes = Notes::default();
    let mut text = aligned(&rows(columns, &mut notes));
    for (place, note) in notes.0.iter().enumerate() {
        writeln!(text, "({}) {note}", place + 1).ok();
    }
    text.push_str("\nInstructions verified\n");
    text + &aligned(&instruction_rows(columns))
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "{}", cells.join("  ").trim_end()).ok();
    }
    text
}

/// The page. Made by the verb, of all lines.
pub(super) fn page(columns: &[Column]) -> String {
    let mut notes = Notes::default();
    let rows = rows(columns, &mut notes);
    let mut page = "# Kernels\n\n\
        The features of each kernel. `cargo xtask vm-test` generates this page. It starts each \
        kernel in a virtual machine, loads the BPF object and runs the scenarios of \
        `tests/vm.rs`: real interfaces, real traffic, the released agent. Do not edit it.\n\n\
        `no` is not a failure. At its start the agent asks the kernel for each feature, never for \
        its version, and works without a missing one. The notes explain how.\n\n"
        .to_owned();
    page.push_str(&markdown(&rows));
    if !notes.0.is_empty() {
        page.push('\n');
    }
    for (place, note) in notes.0.iter().enumerate() {
        writeln!(page, "{}. {note}", place + 1).ok();
    }
    writeln!(
        page,
        "\n## Instructions verified\n\n\
         The number of instructions that the kernel's verifier checked for each program, with \
         every tunnel opened, which is the maximum. The verifier gives up at 1,000,000. The \
         project's own limit is {VERIFIER_LIMIT}.\n"
    )
    .ok();
    page.push_str(&markdown(&instruction_rows(columns)));
    page.push_str("\n## Builds\n\n");
    let builds = columns.iter().filter_map(|column| {
        Some(vec![column.line.name.to_owned(), column.results()?.release.clone()])
    });
    let header = vec!["line".to_owned(), "release".to_owned()];
    page.push_str(&markdown(&[vec![header], builds.collect()].concat()));
    page
}

fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        writeln!(text, "| {} |", row.join(" | ")).ok();
        if place == 0 {
            writeln!(text, "|{}", "---|".repeat(row.len())).ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::line::LINES;
    use super::super::results::Results;
    use super::{Column, complaints, page, text};

    fn columns() -> Vec<Column> {
        let old = "@release\t5.10.0\n@cell\tfragments\tNA\tplain XDP\n@cell\ttc\tPASS\tclsact\n\
                   @verified\txdp_ingress\t600000\n";
        let new = "@release\t5.15.0\n@cell\tfragments\tPASS\t\n@cell\ttc\tFAIL\tno tcx\n";
        let results =
            [Ok(Results::read(old)), Ok(Results::read(new)), Err("no package".to_owned())];
        let columns = LINES.iter().zip(results);
        columns.map(|(line, results)| Column { line, results }).collect()
    }

    #[test]
    fn everything_that_went_wrong_is_told() {
        assert_eq!(
            complaints(&columns()),
            [
                "Linux 5.10: xdp_ingress: 600000 instructions verified, 500000 are the limit",
                "Linux 5.15: tc: no tcx",
                "Linux 6.1: no package",
            ]
        );
    }

    #[test]
    fn a_cell_says_yes_no_how_or_that_it_failed() {
        let text = text(&columns());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "capability  5.10    5.15    6.1");
        assert_eq!(lines[1], "fragments   no (1)  yes     not run");
        assert_eq!(lines[2], "tc          clsact  FAILED  not run");
        assert_eq!(lines[3], "(1) plain XDP");
        let page = page(&columns());
        assert!(page.contains("| fragments | no (1) | yes | not run |\n"), "{page}");
        assert!(page.contains("\n1. plain XDP\n"), "{page}");
    }
}
