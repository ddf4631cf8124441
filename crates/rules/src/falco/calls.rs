//! What rules can be told of each system call: its name, what it is about, and its arguments.

use std::collections::HashMap;
use std::sync::LazyLock;

use ::event::{Arch, Syscall, SyscallNames};

use super::arguments::{Form, arguments};

/// A system call by its name, the same in every table.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// Its place among all of them.
    pub(crate) number: usize,
    pub(crate) role: Role,
    /// The arguments that rules can name, in Falco's order.
    pub(crate) arguments: &'static [(&'static str, Form)],
}

/// What a call does with what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Opens a file.
    Open,
    /// Takes a connection.
    Accept,
    /// Gives a socket an address here, or listens there.
    Serve,
    /// Names the other end, which serves: connects, or sends.
    Reach,
    /// Receives from the other end.
    Receive,
    /// Anything else.
    Other,
}

impl Role {
    fn of(name: &str) -> Role {
        match name {
            "open" | "openat" | "openat2" | "creat" | "open_by_handle_at" => Role::Open,
            "accept" | "accept4" => Role::Accept,
            "bind" | "listen" => Role::Serve,
            "connect" | "sendto" | "sendmsg" | "sendmmsg" => Role::Reach,
            "recvfrom" | "recvmsg" | "recvmmsg" => Role::Receive,
            _ => Role::Other,
        }
    }
}

/// Events of Falco's that are no single system call, and here something else than an action.
const OTHERS: [&str; 1] = ["procexit"];

/// Numbers below this are found without hashing.
const DENSE: u32 = 1024;

struct Calls {
    by_name: HashMap<&'static str, &'static Call>,
    dense: Vec<Vec<Option<&'static Call>>>,
}

static NAMES: LazyLock<SyscallNames> = LazyLock::new(SyscallNames::builtin);

static ALL: LazyLock<Vec<Call>> = LazyLock::new(|| {
    let names: &'static SyscallNames = &NAMES;
    let mut all: Vec<&'static str> = Arch::ALL.iter().flat_map(|&arch| names.all(arch)).map(|(_, name)| name).collect();
    all.extend(OTHERS);
    all.sort_unstable();
    all.dedup();
    let call = |(number, name)| Call { name, number, role: Role::of(name), arguments: arguments(name) };
    all.into_iter().enumerate().map(call).collect()
});

static CALLS: LazyLock<Calls> = LazyLock::new(|| {
    let all: &'static [Call] = &ALL;
    let names: &'static SyscallNames = &NAMES;
    let by_name: HashMap<&'static str, &'static Call> = all.iter().map(|call| (call.name, call)).collect();
    let table = |arch| {
        let mut table = vec![None; DENSE as usize];
        for (number, name) in names.all(arch).filter(|(number, _)| *number < DENSE) {
            table[number as usize] = by_name.get(name).copied();
        }
        table
    };
    debug_assert!(Arch::ALL.iter().enumerate().all(|(at, arch)| *arch as usize == at));
    let dense = Arch::ALL.into_iter().map(table).collect();
    Calls { by_name, dense }
});

impl Call {
    /// The call with this number.
    pub(crate) fn of(syscall: Syscall) -> Option<&'static Call> {
        let calls: &'static Calls = &CALLS;
        match calls.dense.get(syscall.arch as usize)?.get(syscall.number as usize) {
            Some(call) => *call,
            None => NAMES.lookup(syscall).and_then(Call::named),
        }
    }

    /// The call with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Call> {
        let calls: &'static Calls = &CALLS;
        calls.by_name.get(name).copied()
    }

    /// All of them, by name.
    pub(crate) fn all() -> &'static [Call] {
        &ALL
    }

    /// The argument with this name, or at this place.
    pub(crate) fn argument(&self, argument: &super::Argument) -> Option<&'static (&'static str, Form)> {
        match argument {
            super::Argument::None => None,
            super::Argument::Number(at) => self.arguments.get(*at),
            super::Argument::Name(name, _) => self.arguments.iter().find(|(known, _)| known.as_bytes() == *name),
        }
    }
}
