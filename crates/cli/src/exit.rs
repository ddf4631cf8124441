//! Exit codes, and the one place where an error is printed.

use std::borrow::Cow;
use std::process::ExitCode;

use event::{Text, is_unsafe_on_a_terminal};

/// Shown under every `--help`.
pub(crate) const HELP: &str = "\
Exit codes: 0 done; 1 done, but a report misses what this kernel could have shown, something was lost or not recorded, a recommendation is not proved, what was compared differs, or something was detected; 2 not done, the message says why; \
3 not blocked, as the policy matches nothing or would match the host, or this kernel lets nothing be blocked. \
`record -- COMMAND` gives the command's own code (128 + signal if one ended it), 125 if ringfence itself failed, 126 \
if the command cannot be executed, 127 if there is none.";

/// Something was found that the caller may want to act on.
pub(crate) const FINDINGS: u8 = 1;
/// What was asked for was not done.
pub(crate) const ERROR: u8 = 2;

/// Nothing was blocked, as the policy or the kernel does not allow it.
pub(crate) const REFUSED: u8 = 3;

/// The process's exit code; an error is printed with its causes, each once.
pub(crate) fn code_of(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print(&error);
            ExitCode::from(ERROR)
        }
    }
}

/// Prints an error with its causes, each from a new line on, without control characters.
pub(crate) fn print(error: &anyhow::Error) {
    let mut last = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        if text == last {
            continue;
        }
        let lead = if depth == 0 { "ringfence: " } else { "  because " };
        for (line, part) in text.lines().enumerate() {
            eprintln!("{}{}", if line == 0 { lead } else { "    " }, harmless(part));
        }
        last = text;
    }
}

/// A line as it is, so that marks below it stay below what they mark; if a terminal would obey some of it, escaped.
fn harmless(line: &str) -> Cow<'_, str> {
    if line.chars().any(is_unsafe_on_a_terminal) {
        Cow::Owned(Text::from(line).shown().into_owned())
    } else {
        Cow::Borrowed(line)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
