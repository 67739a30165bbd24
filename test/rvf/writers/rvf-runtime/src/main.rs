//! `rvf-writer KIND OUT [options]` makes an RVF file with rvf-runtime; the other commands ask upstream's own
//! readers and verifiers about a file. Exit status: 0, 1 for a "no" or an error, which is told on stderr.

mod args;
mod judge;
mod write;

use std::process::ExitCode;

pub type Result<T> = std::result::Result<T, Failure>;

/// What went wrong, in words: upstream's errors are no `std::error::Error`.
pub struct Failure(String);

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure(words)) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let args = args::Args::read()?;
    match args.at(0, "COMMAND")? {
        "extract" => judge::extract(&args),
        "open-strict" => judge::open_strict(&args),
        "segment-signature" => judge::segment_signature(&args),
        "sign-segment" => judge::sign(&args),
        kind => write::write(kind, &args).map(|()| true),
    }
}
