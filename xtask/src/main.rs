//! All automation of the project: each subcommand is one file and one line in the list below.
fn main() {}
