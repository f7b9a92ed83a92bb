//! What the scenarios of one kernel came to, as they say it on the serial line.

/// What a capability is on a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Not on this kernel: the text says why, and how it is done there.
    NotHere,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) capability: String,
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

/// One kernel's column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) release: String,
    pub(super) cells: Vec<Cell>,
    /// Instructions that the verifier walked through, by program.
    pub(super) verified: Vec<(String, u64)>,
}

impl Results {
    /// Lines that are of the scenarios start with a sign, and their parts are parted by tabs.
    pub(super) fn read(said: &str) -> Self {
        let mut results = Self::default();
        for line in said.lines() {
            let parts: Vec<&str> = line.trim().split('\t').collect();
            match parts.as_slice() {
                ["@release", release] => results.release = (*release).to_owned(),
                ["@verified", program, count] => {
                    results.verified.push(((*program).to_owned(), count.parse().unwrap_or(0)));
                }
                ["@cell", capability, verdict, rest @ ..] => results.cells.push(Cell {
                    capability: (*capability).to_owned(),
                    verdict: match *verdict {
                        "PASS" => Verdict::Pass,
                        "NA" => Verdict::NotHere,
                        _ => Verdict::Fail,
                    },
                    text: rest.join(" "),
                }),
                _ => {}
            }
        }
        results
    }

    pub(super) fn cell(&self, capability: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.capability == capability)
    }

    pub(super) fn failures(&self) -> usize {
        self.cells.iter().filter(|cell| cell.verdict == Verdict::Fail).count()
    }
}

#[cfg(test)]
mod tests {
    use super::{Results, Verdict};

    #[test]
    fn a_serial_line_is_read() {
        let said = "booting\r\n@release\t5.10.0-46\r\n@cell\tobject loads\tPASS\t\r\n\
                    [ 1.0] @cell\tfragments\tFAIL\n@cell\tfragments\tNA\tplain XDP\n\
                    @verified\txdp_ingress\t120345\n@cell\tevents\tFAIL\tno event\n";
        let results = Results::read(said);
        assert_eq!(results.release, "5.10.0-46");
        assert_eq!(results.verified, [("xdp_ingress".to_owned(), 120_345)]);
        assert_eq!(results.cells.len(), 3);
        assert_eq!(results.cell("object loads").unwrap().verdict, Verdict::Pass);
        assert_eq!(results.cell("fragments").unwrap().verdict, Verdict::NotHere);
        assert_eq!(results.failures(), 1);
    }
}
