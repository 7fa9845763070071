//! `wharf coverage`: which operations of AWS's models this binary offers, as the page
//! `docs/COVERAGE.md`. Hidden: it is for the project's own automation.

use std::fmt::Write as _;
use std::process::ExitCode;

use core_step::{Run, Slice};

use crate::slices;

#[derive(clap::Args)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> anyhow::Result<ExitCode> {
    print!("{}", page(slices::registry().slices()));
    Ok(ExitCode::SUCCESS)
}

fn page(slices: &[&Slice]) -> String {
    let mut page = String::from(
        "# Coverage\n\nMade by `cargo xtask coverage` from AWS's models and the slices' lists; do not \
         edit. An operation that is\nnot offered answers `UnsupportedOperation`. Every operation is \
         signed and authorized.\n\n| service | offered | of |\n|---|---|---|\n",
    );
    for slice in slices {
        let all = slice.service.operations.len() + slice.service.absent.len();
        let _ = writeln!(page, "| {} | {} | {all} |", slice.service.id, slice.actions.len());
    }
    for slice in slices {
        let _ = write!(page, "\n## {}\n\n", slice.service.sdk_id);
        let mut lists = [const { Vec::new() }; 4];
        for operation in slice.service.operations {
            let action = slice.actions.iter().find(|action| action.op.name == operation.name);
            let list = match action.map(|action| &action.run) {
                Some(Run::Read(_)) => 0,
                Some(Run::Write(_)) => 1,
                Some(Run::Data(_)) => 2,
                None => 3,
            };
            lists[list].push(operation.name);
        }
        lists[3].extend(slice.service.absent);
        for (title, mut names) in
            ["Reads", "Writes", "Data", "Not offered yet"].into_iter().zip(lists)
        {
            names.sort_unstable();
            if !names.is_empty() {
                let _ = writeln!(page, "{title}: {}.\n", names.join(", "));
            }
        }
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}
