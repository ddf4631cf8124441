//! What libbpf says while it loads: nothing else tells why the kernel refused a program.

use std::collections::VecDeque;
use std::sync::Mutex;

use libbpf_rs::PrintLevel;

static LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const LOG_LINES: usize = 40;
const LOG_CHARS: usize = 1500;

/// From now on what it says is kept, its last lines. Gives who was to hear it before.
pub(crate) fn capture() -> Option<(PrintLevel, libbpf_rs::PrintCallback)> {
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, line| {
        if let Ok(mut log) = LOG.lock() {
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            // The verifier's reason comes last.
            let line = line.trim_end();
            let from = line.char_indices().rev().nth(LOG_CHARS).map_or(0, |(at, _)| at);
            log.push_back(line[from..].to_owned());
        }
    })))
}

/// What it has said since this was last asked.
pub(crate) fn said() -> String {
    LOG.lock().map(|mut log| log.drain(..).collect::<Vec<_>>().join("\n")).unwrap_or_default()
}
