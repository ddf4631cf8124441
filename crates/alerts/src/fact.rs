//! What a container does, as a baseline knows it.

use event::{Direction, Outcome, PrivilegedOperation, Protocol, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use rules::Priority;

/// One thing that a container did, without what differs each time: two that are equal are the same to a baseline.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// It ran a program.
    Program {
        /// The executable's path.
        path: Text,
        /// What it was called by, if that is not its name: one file can be many programs. Of a script its path, the executable being
        /// its interpreter.
        #[serde(default, skip_serializing_if = "Text::is_empty")]
        called: Text,
    },
    /// It wrote or made a file, or a name of one.
    Write {
        /// The path.
        path: Text,
    },
    /// It deleted a name, or changed a mode or an owner.
    Change {
        /// What was done: `delete`, `change-mode`, `change-owner`.
        operation: Text,
        /// The path.
        path: Text,
    },
    /// It opened a file with secrets, or one through which the machine is reached.
    Sensitive {
        /// What sort of file it is.
        what: Text,
        /// The path.
        path: Text,
    },
    /// It can be reached.
    Listener {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        address: Text,
        /// The port; none if it is one that the kernel chose, or the protocol has none.
        port: Option<u32>,
    },
    /// It talked to somebody, or tried to.
    Peer {
        /// Which side began it.
        direction: Direction,
        /// The protocol.
        protocol: Protocol,
        /// The other end: a container's name, a name that was looked up, or an address; `*` stands for whoever comes in.
        peer: Text,
        /// The port of whoever did not begin it.
        port: u32,
    },
    /// It asked for a name.
    Name {
        /// The name.
        name: Text,
    },
    /// It used a capability.
    Capability {
        /// Its name.
        capability: Text,
    },
    /// It did something privileged, or tried to.
    Operation {
        /// What.
        operation: PrivilegedOperation,
        /// What became of it.
        outcome: Outcome,
        /// What was passed, by the kernel's names for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        details: Vec<Text>,
        /// What it was done to.
        #[serde(default, skip_serializing_if = "Text::is_empty")]
        object: Text,
    },
    /// It made a system call.
    Call {
        /// The call's name.
        call: Text,
    },
}

impl Fact {
    /// What a new one is called: the name of its alerts.
    pub fn rule(&self) -> &'static str {
        match self {
            Fact::Program { .. } => "new program",
            Fact::Write { .. } => "new file written",
            Fact::Change { .. } => "new file changed",
            Fact::Sensitive { .. } => "new sensitive file",
            Fact::Listener { .. } => "new listener",
            Fact::Peer { .. } => "new peer",
            Fact::Name { .. } => "new name looked up",
            Fact::Capability { .. } => "new capability",
            Fact::Operation { .. } => "new privileged operation",
            Fact::Call { .. } => "new system call",
        }
    }

    /// How much a new one matters.
    pub fn priority(&self) -> Priority {
        match self {
            Fact::Sensitive { .. } | Fact::Program { .. } => Priority::Error,
            Fact::Write { .. } | Fact::Listener { .. } | Fact::Capability { .. } | Fact::Operation { .. } => {
                Priority::Warning
            }
            Fact::Change { .. } | Fact::Peer { .. } | Fact::Name { .. } | Fact::Call { .. } => Priority::Notice,
        }
    }

    /// What was done, in words behind `it`; safe for a terminal.
    pub fn words(&self) -> String {
        let port = |port: u32| if port == 0 { String::new() } else { format!(" port {port}") };
        match self {
            Fact::Program { path, called } if called.is_empty() => format!("ran {}", path.shown()),
            Fact::Program { path, called } => format!("ran {} ({})", called.shown(), path.shown()),
            Fact::Write { path } => format!("wrote or made {}", path.shown()),
            Fact::Change { operation, path } => match operation.as_bytes() {
                b"delete" => format!("deleted {}", path.shown()),
                b"change-mode" => format!("changed the mode of {}", path.shown()),
                b"change-owner" => format!("changed the owner of {}", path.shown()),
                _ => format!("{} {}", operation.shown(), path.shown()),
            },
            Fact::Sensitive { what, path } => format!("opened {} ({})", path.shown(), what.shown()),
            Fact::Listener { protocol, address, port: at } => {
                let address = if address.is_empty() { String::new() } else { format!(" {}", address.shown()) };
                let at = at.map_or_else(|| " at a port that the kernel chose".to_owned(), port);
                let at = if protocol.is_unix() { String::new() } else { at };
                format!("listens on {}{address}{at}", protocol.name())
            }
            Fact::Peer { direction: Direction::Out, protocol, peer, port: at } => {
                format!("connected to {} {}{}", protocol.name(), peer.shown(), port(*at))
            }
            Fact::Peer { direction: Direction::In, protocol, port: at, .. } => {
                format!("was connected to by {}{}", protocol.name(), port(*at))
            }
            Fact::Name { name } => format!("looked up {}", name.shown()),
            Fact::Capability { capability } => format!("used the capability {}", capability.shown()),
            Fact::Operation { operation, outcome, details, object } => {
                let mut words = match outcome {
                    Outcome::Allowed => format!("did {}", operation.name()),
                    Outcome::Denied => format!("was denied {}", operation.name()),
                    Outcome::Failed => format!("tried {}", operation.name()),
                };
                for detail in details {
                    words.push(' ');
                    words.push_str(&detail.shown());
                }
                if !object.is_empty() {
                    words.push_str(&format!(" on {}", object.shown()));
                }
                words
            }
            Fact::Call { call } => format!("made the system call {}", call.shown()),
        }
    }
}
