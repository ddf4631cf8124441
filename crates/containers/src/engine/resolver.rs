//! Asks whoever may know a container.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::metadata::{Metadata, Source};
use super::{QueryError, ResolveError, Sockets, Tried, bundle, containerd, cri, docker, podman};
use crate::path::{Engine, is_hex_id, is_valid_id};

/// A socket, and whether an engine answers there.
#[derive(Debug)]
pub struct EngineStatus {
    /// By which interface it was asked.
    pub source: Source,
    /// The socket.
    pub socket: PathBuf,
    /// The engine and its version, or why there is no answer.
    pub answer: Result<(Engine, String), QueryError>,
}

/// All that engines and runtimes know.
#[derive(Debug, Default)]
pub struct Listing {
    /// The containers, running or not, each once; from the lists, which say less than [`Resolver::resolve`].
    pub containers: Vec<Metadata>,
    /// Who is there but did not answer.
    pub failed: Vec<Tried>,
}

/// Asks container engines, and reads what runtimes leave on disk.
#[derive(Debug)]
pub struct Resolver {
    sockets: Sockets,
    versions: Mutex<HashMap<PathBuf, (Instant, Version)>>,
    /// Sockets that did not answer in time, and when they may be asked again: one that hangs must not hold up the rest.
    hanging: Mutex<HashMap<PathBuf, Instant>>,
}

/// Which engine, and its version.
type Version = (Engine, String);

/// How long an engine's version is taken for granted.
const VERSION_AGE: Duration = Duration::from_secs(60);
/// A socket that hangs is left alone for so many times the limit of one question.
const HANGING_LIMITS: u32 = 10;

/// In this order sources are asked where the path did not tell the engine: those that know most come first.
const SOURCES: [Source; 6] =
    [Source::Docker, Source::Podman, Source::Cri, Source::Containerd, Source::PodmanStorage, Source::Bundle];

impl Resolver {
    /// One that asks there.
    pub fn new(sockets: Sockets) -> Resolver {
        Resolver { sockets, versions: Mutex::default(), hanging: Mutex::default() }
    }

    /// Where it asks.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// What is known of one container. The `hint` only says whom to ask first; `pid` (its first process) tells bare
    /// containers of the same name apart.
    pub fn resolve(&self, id: &str, hint: Engine, pid: Option<u32>) -> Result<Metadata, ResolveError> {
        if !is_valid_id(id) {
            return Err(ResolveError::Id { id: id.to_owned() });
        }
        block(async {
            let mut tried = Vec::new();
            for source in order(hint) {
                let Some(mut metadata) = self.ask(source, id, pid, &mut tried).await else { continue };
                // The bundle is what the runtime was really told; it fills what the engine does not say.
                if !matches!(source, Source::Bundle | Source::PodmanStorage)
                    && let Ok(found) = bundle::inspect(&self.sockets, id, pid.or(metadata.pid))
                {
                    metadata.fill_from(found, Source::Bundle);
                }
                return Ok(metadata);
            }
            Err(ResolveError::Unknown { id: id.to_owned(), tried })
        })
        .map_err(ResolveError::Runtime)?
    }

    /// Every container that anybody knows.
    pub fn list(&self) -> Result<Listing, ResolveError> {
        block(async {
            let mut listing = Listing::default();
            for (source, socket) in self.places() {
                match self.list_socket(source, socket).await {
                    Ok(containers) => add(&mut listing.containers, containers),
                    Err(error) if error.is_absent() => {}
                    Err(error) => listing.failed.push(Tried { source, error }),
                }
            }
            add(&mut listing.containers, bundle::list(&self.sockets));
            listing
        })
        .map_err(ResolveError::Runtime)
    }

    /// Every socket, and whether an engine answers there.
    pub fn reachable(&self) -> Result<Vec<EngineStatus>, ResolveError> {
        block(async {
            let mut statuses = Vec::new();
            for (source, socket) in self.places() {
                let answer = self.fresh_version(source, socket).await;
                statuses.push(EngineStatus { source, socket: socket.to_owned(), answer });
            }
            statuses
        })
        .map_err(ResolveError::Runtime)
    }

    /// All sockets in the order of asking.
    fn places(&self) -> impl Iterator<Item = (Source, &Path)> {
        let sockets = &self.sockets;
        [
            (Source::Docker, &sockets.docker),
            (Source::Podman, &sockets.podman),
            (Source::Cri, &sockets.cri),
            (Source::Containerd, &sockets.containerd),
        ]
        .into_iter()
        .flat_map(|(source, list)| list.iter().map(move |socket| (source, socket.as_path())))
    }

    /// Asks all places of one source, and notes those in vain.
    async fn ask(&self, source: Source, id: &str, pid: Option<u32>, tried: &mut Vec<Tried>) -> Option<Metadata> {
        match source {
            Source::Bundle => note(tried, source, bundle::inspect(&self.sockets, id, pid)),
            Source::PodmanStorage if self.sockets.podman_storage.is_empty() => None,
            Source::PodmanStorage => note(tried, source, bundle::inspect_podman(&self.sockets, id)),
            _ => {
                for (_, socket) in self.places().filter(|(of, _)| *of == source) {
                    let answer = self.ask_socket(source, socket, id).await;
                    if let Some(metadata) = note(tried, source, answer) {
                        return Some(metadata);
                    }
                }
                None
            }
        }
    }

    async fn ask_socket(&self, source: Source, socket: &Path, id: &str) -> Result<Metadata, QueryError> {
        self.may_ask(socket)?;
        let limit = self.sockets.limit;
        let answer = match source {
            Source::Podman => podman::inspect(socket, id, limit).await,
            Source::Cri => cri::inspect(socket, id, limit).await,
            Source::Containerd => containerd::inspect(socket, id, limit).await,
            _ => docker::inspect(socket, id, limit).await,
        };
        let mut metadata = self.noted(socket, answer)?;
        // Docker and Podman also answer to names and to the beginnings of ids.
        if metadata.id != id {
            return Err(QueryError::Unknown);
        }
        if matches!(source, Source::Docker | Source::Podman) {
            let (engine, version) = self.version(source, socket).await?;
            metadata.engine = engine;
            metadata.engine_version = Some(version);
            metadata.sources.insert("engine_version".into(), source);
        }
        Ok(metadata)
    }

    async fn list_socket(&self, source: Source, socket: &Path) -> Result<Vec<Metadata>, QueryError> {
        self.may_ask(socket)?;
        let limit = self.sockets.limit;
        let listed = match source {
            Source::Podman => podman::list(socket, limit).await,
            Source::Cri => cri::list(socket, limit).await,
            Source::Containerd => containerd::list(socket, limit).await,
            _ => docker::list(socket, limit).await,
        };
        let mut containers = self.noted(socket, listed)?;
        if source == Source::Docker && !containers.is_empty() {
            let (engine, _) = self.version(source, socket).await?;
            containers.iter_mut().for_each(|metadata| metadata.engine = engine);
        }
        Ok(containers)
    }

    async fn version(&self, source: Source, socket: &Path) -> Result<Version, QueryError> {
        let known = lock(&self.versions).get(socket).filter(|(at, _)| at.elapsed() < VERSION_AGE).cloned();
        match known {
            Some((_, version)) => Ok(version),
            None => self.fresh_version(source, socket).await,
        }
    }

    async fn fresh_version(&self, source: Source, socket: &Path) -> Result<Version, QueryError> {
        self.may_ask(socket)?;
        let limit = self.sockets.limit;
        let answer = match source {
            Source::Cri => cri::version(socket, limit).await,
            Source::Containerd => containerd::version(socket, limit).await.map(|version| (Engine::Containerd, version)),
            _ => docker::version(socket, limit).await,
        };
        let version = self.noted(socket, answer)?;
        if matches!(source, Source::Docker | Source::Podman) {
            lock(&self.versions).insert(socket.to_owned(), (Instant::now(), version.clone()));
        }
        Ok(version)
    }

    fn may_ask(&self, socket: &Path) -> Result<(), QueryError> {
        match lock(&self.hanging).get(socket) {
            Some(until) if Instant::now() < *until => {
                Err(QueryError::Timeout { path: socket.to_owned(), limit: self.sockets.limit })
            }
            _ => Ok(()),
        }
    }

    fn noted<T>(&self, socket: &Path, answer: Result<T, QueryError>) -> Result<T, QueryError> {
        match &answer {
            Err(QueryError::Timeout { .. }) => {
                lock(&self.hanging).insert(socket.to_owned(), Instant::now() + self.sockets.limit * HANGING_LIMITS);
            }
            _ => {
                lock(&self.hanging).remove(socket);
            }
        }
        answer
    }
}

/// Whom to ask first, by whose the container seems to be; everybody else after.
fn order(hint: Engine) -> Vec<Source> {
    let first: &[Source] = match hint {
        Engine::Docker => &[Source::Docker],
        Engine::Podman | Engine::Buildah => &[Source::Podman, Source::PodmanStorage],
        Engine::Cri | Engine::CriO | Engine::Kata => &[Source::Cri, Source::Containerd],
        Engine::Containerd | Engine::Buildkit => &[Source::Containerd, Source::Cri],
        Engine::Runc | Engine::Crun | Engine::Youki | Engine::Ringfence | Engine::Lxc | Engine::Nspawn => {
            &[Source::Bundle]
        }
        Engine::Unknown => &[],
    };
    let rest = SOURCES.iter().filter(|source| !first.contains(source));
    first.iter().chain(rest).copied().collect()
}

fn note(tried: &mut Vec<Tried>, source: Source, answer: Result<Metadata, QueryError>) -> Option<Metadata> {
    answer.map_err(|error| tried.push(Tried { source, error })).ok()
}

/// Adds what is new, and fills in what is there: several sources list the same container. An engine's long ids are
/// unique; names of bare containers are so only within one runtime.
fn add(known: &mut Vec<Metadata>, more: Vec<Metadata>) {
    for metadata in more {
        let is_same = |other: &&mut Metadata| {
            other.id == metadata.id && (is_hex_id(&metadata.id) || (other.pid.is_some() && other.pid == metadata.pid))
        };
        match known.iter_mut().find(is_same) {
            Some(other) => {
                let source = metadata.sources.get("id").copied().unwrap_or(Source::Bundle);
                other.fill_from(metadata, source);
            }
            None => known.push(metadata),
        }
    }
}

fn block<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?.block_on(work))
}

/// A thread that panicked leaves these maps usable: they only save time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
