//! `detector man`: the manual pages, made from the command line's own help.

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::generate_to;

use crate::cli::Cli;
use crate::cli::packaging::Man;

pub fn run(args: &Man) -> anyhow::Result<()> {
    let directory = &args.directory;
    generate_to(Cli::command(), directory)
        .with_context(|| format!("failed to write manual pages to {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let directory = std::env::temp_dir().join(format!("detector-man-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        run(&Man { directory: directory.clone() }).unwrap();
        let page = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        assert!(page("detector.1").contains("SYNOPSIS"));
        assert!(page("detector-blocks-add.1").contains("ttl"));
        for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
            assert!(page(&format!("detector-{}.1", command.get_name())).contains("EXTRA"));
        }
        fs::remove_dir_all(&directory).unwrap();
        assert!(run(&Man { directory }).unwrap_err().to_string().contains("manual pages"));
    }
}
