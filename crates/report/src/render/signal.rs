//! Names of signals. Linux numbers them alike on x86 and ARM.

const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The signal's name; real-time signals have none.
pub fn name(number: u8) -> String {
    match usize::from(number).checked_sub(1).and_then(|at| NAMES.get(at)) {
        Some(name) => (*name).to_owned(),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn signals_have_the_names_of_signal_7() {
        assert_eq!([1, 9, 11, 15, 31].map(name), ["SIGHUP", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGSYS"]);
        assert_eq!([0, 32, 255].map(name), ["signal 0", "signal 32", "signal 255"]);
    }
}
