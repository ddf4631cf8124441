//! Falco's fields, picked directly from what is known of an event.

mod absent;
mod arguments;
mod calls;
mod container;
mod descriptor;
mod event;
mod process;
mod table;

use core::net::IpAddr;
use std::cell::OnceCell;

use ::event::{Exec, ImageFacts, Payload, Rights};

pub(crate) use absent::{has_field, is_modifier, nearest, why_absent, why_absent_event};
pub(crate) use calls::{Call, Role};
pub(crate) use event::is_argument;
pub(crate) use table::{Direct, Entry, Scope, TABLE, Takes, Values};

use crate::glob::Glob;
use crate::pick::Value;
use crate::subject::Subject;

/// What stands in brackets behind a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Argument {
    /// Nothing.
    #[default]
    None,
    /// A number.
    Number(usize),
    /// A name, also as a pattern.
    Name(Vec<u8>, Option<Glob>),
}

/// What a text is that does not exist, where rules expect a value all the same.
const NOT_AVAILABLE: &[u8] = b"<NA>";

/// What takes time to find out, once for an event.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    call: OnceCell<Option<&'static Call>>,
    own: OnceCell<Line>,
    parent: OnceCell<Line>,
    /// The addresses of both ends of a socket, here and there.
    local: OnceCell<Option<IpAddr>>,
    remote: OnceCell<Option<IpAddr>>,
}

impl Cache {
    /// Of an event, which is known to be this call or none.
    pub(crate) fn of(payload: &Payload) -> Cache {
        Cache { call: OnceCell::from(call(payload)), ..Cache::default() }
    }
}

/// A command line.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// Where the arguments begin.
    arguments: usize,
}

/// What picking needs.
#[derive(Clone, Copy)]
struct Look<'s, 'a> {
    subject: &'s Subject<'a>,
    argument: &'s Argument,
    cache: &'s Cache,
}

type Visit<'v> = dyn FnMut(Value<'_>) + 'v;

/// Shows the values of a field: none if it is unset.
pub(crate) fn pick(
    direct: Direct,
    argument: &Argument,
    subject: &Subject<'_>,
    cache: &Cache,
    visit: &mut dyn FnMut(Value<'_>),
) {
    let look = Look { subject, argument, cache };
    // The table has them in this order.
    let _ = if direct <= Direct::EvtIsOpenCreate {
        event::pick(direct, look, visit)
    } else if direct <= Direct::FsTargetraw {
        descriptor::pick(direct, look, visit)
    } else if direct <= Direct::GroupName {
        process::pick(direct, look, visit)
    } else {
        container::pick(direct, look, visit)
    };
}

/// The value of a field, where it need not be put together.
pub(crate) enum Quick<'s> {
    /// This text.
    Text(&'s [u8]),
    /// None.
    Unset,
    /// It has to be picked.
    Other,
}

/// The value of one of the fields that most comparisons are with.
#[inline]
pub(crate) fn quick<'s>(
    direct: Direct,
    argument: &'s Argument,
    subject: &'s Subject<'_>,
    cache: &'s Cache,
) -> Quick<'s> {
    let look = Look { subject, argument, cache };
    let found = match direct {
        Direct::ProcName => Some(subject.process.name.as_bytes()),
        Direct::ProcArgs | Direct::ProcCmdline | Direct::ProcExe => process::own_text(direct, look),
        Direct::ProcPname => process::parent_name(look),
        Direct::FdName | Direct::FdDirectory | Direct::FdFilename => {
            match descriptor::file_text(direct, subject.payload) {
                Some(text) => Some(text),
                None => return Quick::Other,
            }
        }
        _ => return Quick::Other,
    };
    found.map_or(Quick::Unset, Quick::Text)
}

impl<'s> Look<'s, '_> {
    /// The system call that the event is.
    fn call(self) -> Option<&'static Call> {
        *self.cache.call.get_or_init(|| call(self.subject.payload))
    }

    /// What that call does with what it is about.
    fn role(self) -> Role {
        self.call().map_or(Role::Other, |call| call.role)
    }

    /// The exec that the process's program began with.
    fn exec(self) -> Option<&'s Exec> {
        match self.subject.payload {
            Payload::Exec(exec) => Some(exec),
            _ => self.subject.context.exec,
        }
    }

    fn image(self) -> Option<&'s ImageFacts> {
        match self.subject.payload {
            Payload::Image(image) => Some(image),
            _ => self.subject.context.image,
        }
    }

    fn rights(self) -> Option<&'s Rights> {
        match self.subject.payload {
            Payload::Action(action) => Some(&action.rights),
            _ => self.image().map(|image| &image.rights),
        }
    }
}

/// What is known of the system call that an event is, as rules name it.
pub(crate) fn call(payload: &Payload) -> Option<&'static Call> {
    match payload {
        Payload::Action(action) => Call::of(action.syscall),
        Payload::Exec(_) => Call::named("execve"),
        Payload::Fork(_) => Call::named("clone"),
        Payload::Exit(_) => Call::named("procexit"),
        _ => None,
    }
}

fn text(visit: &mut Visit<'_>, value: Option<impl AsRef<[u8]>>) -> bool {
    if let Some(value) = value {
        visit(Value::Text(value.as_ref()));
    }
    true
}

fn number(visit: &mut Visit<'_>, value: Option<impl Into<i128>>) -> bool {
    if let Some(value) = value {
        visit(Value::Number(value.into()));
    }
    true
}

fn truth(visit: &mut Visit<'_>, value: Option<bool>) -> bool {
    if let Some(value) = value {
        visit(Value::Bool(value));
    }
    true
}

fn address(visit: &mut Visit<'_>, value: Option<IpAddr>) -> bool {
    if let Some(value) = value {
        visit(Value::Address(value));
    }
    true
}
