//! Which container engines answer, and where.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use containers::engine::{QueryError, Resolver, Sockets};
use event::Text;
use serde::Serialize;

/// The engines, and what runtimes left on disk.
#[derive(Debug, Serialize)]
pub(super) struct Engines {
    /// Each socket that was asked.
    pub(super) sockets: Vec<Socket>,
    /// Folders in which runtimes keep the state of containers, of those that are here.
    pub(super) state_folders: Vec<Text>,
    /// Why nobody could be asked.
    pub(super) failed: Option<String>,
}

/// One socket.
#[derive(Debug, Serialize)]
pub(super) struct Socket {
    pub(super) interface: &'static str,
    pub(super) path: Text,
    pub(super) state: SocketState,
    pub(super) engine: Option<&'static str>,
    pub(super) version: Option<Text>,
    pub(super) reason: Option<Text>,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SocketState {
    Answers,
    /// There is no such socket.
    Absent,
    /// It is there, and there was no good answer.
    Fails,
}

pub(super) fn ask() -> Engines {
    let resolver = Resolver::new(Sockets::usual(Path::new("/")));
    let asked = resolver.reachable();
    let state_folders = resolver
        .sockets()
        .runtimes
        .iter()
        .map(|(folder, _)| folder)
        .chain(&resolver.sockets().tasks)
        .chain(&resolver.sockets().podman_storage)
        .filter(|folder| folder.is_dir())
        .map(|folder| Text::new(folder.as_os_str().as_bytes()))
        .collect();
    let (statuses, failed) = match asked {
        Ok(statuses) => (statuses, None),
        Err(error) => (Vec::new(), Some(super::canary::causes(&error))),
    };
    let sockets = statuses
        .into_iter()
        .map(|status| {
            let path = Text::new(status.socket.as_os_str().as_bytes());
            socket(status.source.name(), path, status.answer.map(|(engine, version)| (engine.name(), version)))
        })
        .collect();
    Engines { sockets, state_folders, failed }
}

fn socket(interface: &'static str, path: Text, answer: Result<(&'static str, String), QueryError>) -> Socket {
    match answer {
        Ok((engine, version)) => Socket {
            interface,
            path,
            state: SocketState::Answers,
            engine: Some(engine),
            version: Some(version.into()),
            reason: None,
        },
        Err(error) => Socket {
            interface,
            path,
            state: if error.is_absent() { SocketState::Absent } else { SocketState::Fails },
            engine: None,
            version: None,
            reason: Some(error.to_string().into()),
        },
    }
}

impl Engines {
    pub(super) fn with(&self, state: SocketState) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().filter(move |socket| socket.state == state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_not_here_is_no_failure() {
        let absent = socket("docker API", "/x".into(), Err(QueryError::Absent { path: "/x".into() }));
        let refused = socket(
            "docker API",
            "/x".into(),
            Err(QueryError::Refused { path: "/x".into(), message: "\x1b[2Jno".into() }),
        );

        assert_eq!((absent.state, refused.state), (SocketState::Absent, SocketState::Fails));
        assert!(refused.reason.is_some_and(|reason| reason.shown().contains("\\u{1b}[2Jno")));
    }
}
