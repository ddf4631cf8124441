//! `fd.*` and `fs.path.*`: what a system call is about.

use core::net::IpAddr;

use ::event::{Action, Direction, Endpoint, FileType, Payload, Protocol, SocketFamily};

use super::arguments::write_end;
use super::{Call, Direct, Look, NOT_AVAILABLE, Role, Visit, address, number, text, truth};
use crate::pick::Value;

/// AF_UNIX, AF_INET and AF_INET6 (include/linux/socket.h, 6.18).
const UNIX: SocketFamily = SocketFamily(1);
const IPV4: SocketFamily = SocketFamily(2);
const IPV6: SocketFamily = SocketFamily(10);
/// `AT_FDCWD` as a register has it.
const AT_FDCWD: i32 = -100;

/// The two ends of the socket that a call is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends<'a> {
    family: Option<SocketFamily>,
    protocol: Option<Protocol>,
    local: Option<&'a Endpoint>,
    remote: Option<&'a Endpoint>,
    /// Whether this end is the server's.
    is_server: bool,
}

impl<'a> Ends<'a> {
    /// None if the call is about no socket.
    pub(super) fn of(action: &'a Action, role: Role) -> Option<Ends<'a>> {
        let socket = action.file.as_ref().and_then(|file| file.socket.as_ref());
        let passed = action.address.as_ref();
        if socket.is_none() && passed.is_none() {
            return None;
        }
        let mut local = socket.and_then(|socket| socket.local.as_ref());
        let mut remote = socket.and_then(|socket| socket.remote.as_ref());
        match role {
            Role::Reach | Role::Accept | Role::Receive => remote = passed.or(remote),
            Role::Serve => local = passed.or(local),
            Role::Open | Role::Other => {}
        }
        let is_server = match role {
            Role::Accept | Role::Serve => true,
            Role::Reach => false,
            _ => socket.and_then(|socket| socket.direction) == Some(Direction::In),
        };
        let family = socket.map(|socket| socket.family).or_else(|| match ip(passed)? {
            IpAddr::V4(_) => Some(IPV4),
            IpAddr::V6(_) => Some(IPV6),
        });
        Some(Ends { family, protocol: socket.map(|socket| socket.protocol), local, remote, is_server })
    }

    fn client(&self) -> Option<&'a Endpoint> {
        if self.is_server { self.remote } else { self.local }
    }

    fn server(&self) -> Option<&'a Endpoint> {
        if self.is_server { self.local } else { self.remote }
    }

    /// `client->server`, or where it listens.
    pub(super) fn name(&self, out: &mut Vec<u8>) {
        if let Some(client) = self.client() {
            write_end(client, out);
            out.extend_from_slice(b"->");
        }
        if let Some(server) = self.server() {
            write_end(server, out);
        }
    }

    /// An IPv4 address that is written as one of IPv6 is one of IPv4.
    fn kind(&self) -> (&'static [u8], &'static [u8]) {
        match self.family {
            Some(UNIX) => (b"unix", b"u"),
            Some(IPV4) => (b"ipv4", b"4"),
            Some(IPV6) if matches!(ip(self.remote.or(self.local)), Some(IpAddr::V4(_))) => (b"ipv4", b"4"),
            Some(IPV6) => (b"ipv6", b"6"),
            Some(SocketFamily(16)) => (b"netlink", b"n"),
            _ => (b"other", b"o"),
        }
    }
}

/// The address of an end; one of IPv4 that is written as one of IPv6 is one of IPv4.
fn ip(end: Option<&Endpoint>) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(end?.address.as_bytes()).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// Of a file that is open, its path or a part of it.
pub(super) fn file_text(direct: Direct, payload: &Payload) -> Option<&[u8]> {
    let Payload::Action(action) = payload else { return None };
    let file = action.file.as_ref().filter(|file| file.socket.is_none() && !file.path.is_empty())?;
    if action.address.is_some() {
        return None;
    }
    let path = file.path.as_bytes();
    Some(match direct {
        Direct::FdDirectory => split(path).0,
        Direct::FdFilename => split(path).1,
        _ => path,
    })
}

pub(super) fn pick(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let Payload::Action(action) = look.subject.payload else { return true };
    let role = look.role();
    let ends = || Ends::of(action, role);
    let local = || ends().and_then(|ends| ends.local);
    let remote = || ends().and_then(|ends| ends.remote);
    let client = || ends().and_then(|ends| ends.client());
    let server = || ends().and_then(|ends| ends.server());
    let local_ip = || *look.cache.local.get_or_init(|| ip(local()));
    let remote_ip = || *look.cache.remote.get_or_init(|| ip(remote()));
    let is_server = || ends().is_some_and(|ends| ends.is_server);
    let client_ip = || if is_server() { remote_ip() } else { local_ip() };
    let server_ip = || if is_server() { local_ip() } else { remote_ip() };
    // Only what has an address has a port.
    let port = |address: Option<IpAddr>, end: Option<&Endpoint>| end.filter(|_| address.is_some()).map(|end| end.port);
    match direct {
        Direct::FdNum => number(visit, fd_number(action, role)),
        Direct::FdType => text(visit, kind(action, role).map(|(name, _)| name)),
        Direct::FdTypechar => text(visit, kind(action, role).map(|(_, sign)| sign)),
        Direct::FdIsUpperLayer => truth(visit, action.file.as_ref().map(|file| file.upper_layer)),
        Direct::FdName | Direct::FdContainername => name(direct, look, action, role, visit),
        Direct::FdNameraw => {
            text(visit, Some(&action.path).filter(|path| !path.is_empty()).map(|path| path.as_bytes()))
        }
        Direct::FdDirectory | Direct::FdFilename | Direct::FdContainerdirectory => {
            with_path(look, action, role, &mut |path| match direct {
                Direct::FdFilename => visit(Value::Text(split(path).1)),
                Direct::FdDirectory => visit(Value::Text(split(path).0)),
                _ => visit(Value::Text(&in_container(look, split(path).0))),
            });
            true
        }
        Direct::FdIp | Direct::FdNet => address(visit, local_ip()) && address(visit, remote_ip()),
        Direct::FdLip | Direct::FdLnet => address(visit, local_ip()),
        Direct::FdRip | Direct::FdRnet => address(visit, remote_ip()),
        Direct::FdCip | Direct::FdCnet => address(visit, client_ip()),
        Direct::FdSip | Direct::FdSnet => address(visit, server_ip()),
        Direct::FdPort => number(visit, port(local_ip(), local())) && number(visit, port(remote_ip(), remote())),
        Direct::FdLport => number(visit, port(local_ip(), local())),
        Direct::FdRport => number(visit, port(remote_ip(), remote())),
        Direct::FdCport => number(visit, port(client_ip(), client())),
        Direct::FdSport => number(visit, port(server_ip(), server())),
        Direct::FdLipName => hosts(look, local(), visit),
        Direct::FdRipName => hosts(look, remote(), visit),
        Direct::FdCipName => hosts(look, client(), visit),
        Direct::FdSipName => hosts(look, server(), visit),
        Direct::FdL4proto => text(visit, ends().and_then(|ends| ends.protocol).map(protocol)),
        Direct::FdSockfamily => text(
            visit,
            ends().and_then(|ends| ends.family).and_then(|family| match family {
                UNIX => Some("unix"),
                IPV4 | IPV6 => Some("ip"),
                _ => None,
            }),
        ),
        Direct::FdIsServer => truth(visit, ends().map(|ends| ends.is_server)),
        Direct::FdConnected => truth(visit, connected(action, role)),
        Direct::FdNameChanged => truth(visit, ends().map(|_| changes_name(action, role))),
        Direct::FsName => absolute(look, &action.path, first_dirfd(action), visit),
        Direct::FsNameraw => raw(&action.path, visit),
        Direct::FsSource if !action.second_path.is_empty() => absolute(look, &action.path, first_dirfd(action), visit),
        Direct::FsSourceraw if !action.second_path.is_empty() => raw(&action.path, visit),
        Direct::FsTarget => absolute(look, &action.second_path, None, visit),
        Direct::FsTargetraw => raw(&action.second_path, visit),
        _ => true,
    }
}

fn raw(path: &::event::Text, visit: &mut Visit<'_>) -> bool {
    text(visit, Some(path).filter(|path| !path.is_empty()).map(|path| path.as_bytes()))
}

/// The descriptor of the directory that a path begins in, if the call takes one first.
fn first_dirfd(action: &Action) -> Option<i32> {
    let takes_one = matches!(
        Call::of(action.syscall)?.name,
        "openat"
            | "openat2"
            | "unlinkat"
            | "mkdirat"
            | "mknodat"
            | "fchmodat"
            | "fchmodat2"
            | "fchownat"
            | "linkat"
            | "renameat"
            | "renameat2"
    );
    takes_one.then(|| action.args[0] as u32 as i32)
}

fn absolute(look: Look<'_, '_>, path: &::event::Text, dirfd: Option<i32>, visit: &mut Visit<'_>) -> bool {
    if !path.is_empty() {
        visit(Value::Text(&resolve(look, path.as_bytes(), dirfd)));
    }
    true
}

/// A path made absolute without looking at the file system; one that begins in another directory than the working one
/// stays as it is.
fn resolve(look: Look<'_, '_>, path: &[u8], dirfd: Option<i32>) -> Vec<u8> {
    let cwd = look.exec().map(|exec| exec.cwd.as_bytes()).filter(|cwd| cwd.starts_with(b"/"));
    let is_absolute = path.starts_with(b"/");
    let begins_in_cwd = dirfd.is_none_or(|dirfd| dirfd == AT_FDCWD);
    let base = match cwd {
        _ if is_absolute => b"".as_slice(),
        Some(cwd) if begins_in_cwd => cwd,
        _ => return path.to_vec(),
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in base.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut whole = Vec::with_capacity(path.len() + base.len() + 1);
    for part in parts {
        whole.push(b'/');
        whole.extend_from_slice(part);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    whole
}

fn fd_number(action: &Action, role: Role) -> Option<i64> {
    match (&action.file, role) {
        (Some(file), _) => Some(file.number.into()),
        (None, Role::Open) => Some(-1),
        (None, _) => None,
    }
}

/// What the descriptor is, in Falco's words and in one character.
fn kind(action: &Action, role: Role) -> Option<(&'static [u8], &'static [u8])> {
    let Some(file) = &action.file else {
        return match role {
            Role::Open => Some((b"file", b"f")),
            _ => Ends::of(action, role).map(|ends| ends.kind()),
        };
    };
    Some(match file.file_type {
        FileType::Directory => (b"directory", b"d"),
        FileType::NamedPipe => (b"pipe", b"p"),
        FileType::Regular if file.path.as_bytes().starts_with(b"/memfd:") => (b"memfd", b"m"),
        FileType::Regular | FileType::CharacterDevice | FileType::BlockDevice | FileType::SymbolicLink => {
            (b"file", b"f")
        }
        FileType::Socket => Ends::of(action, role).map_or((b"other", b"o"), |ends| ends.kind()),
        FileType::Other => (b"other", b"o"),
    })
}

fn with_path(look: Look<'_, '_>, action: &Action, role: Role, then: &mut dyn FnMut(&[u8])) {
    match &action.file {
        Some(file) if file.socket.is_none() && !file.path.is_empty() => then(file.path.as_bytes()),
        None if role == Role::Open && !action.path.is_empty() => {
            then(&resolve(look, action.path.as_bytes(), first_dirfd(action)));
        }
        _ => {}
    }
}

fn name(direct: Direct, look: Look<'_, '_>, action: &Action, role: Role, visit: &mut Visit<'_>) -> bool {
    let mut show = |name: &[u8]| match direct {
        Direct::FdName => visit(Value::Text(name)),
        _ => visit(Value::Text(&in_container(look, name))),
    };
    match Ends::of(action, role) {
        Some(ends) => {
            let mut out = Vec::new();
            ends.name(&mut out);
            show(&out);
        }
        None => with_path(look, action, role, &mut show),
    }
    true
}

fn in_container(look: Look<'_, '_>, name: &[u8]) -> Vec<u8> {
    let id = look.subject.container.id.map_or(NOT_AVAILABLE, |id| super::container::short(id).as_bytes());
    [id, b":", name].concat()
}

/// Directory and name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"/", path),
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp | Protocol::Mptcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp => "icmp",
        Protocol::Raw => "raw",
        _ => "unknown",
    }
}

fn connected(action: &Action, role: Role) -> Option<bool> {
    let ends = Ends::of(action, role)?;
    let socket = action.file.as_ref().and_then(|file| file.socket.as_ref());
    Some(match role {
        Role::Accept => true,
        Role::Reach if Call::of(action.syscall).is_some_and(|call| call.name == "connect") => action.result == 0,
        _ => match socket {
            Some(socket) => socket.remote.is_some(),
            None => ends.remote.is_some(),
        },
    })
}

/// Whether the call names another end than the socket had.
fn changes_name(action: &Action, role: Role) -> bool {
    let had = action.file.as_ref().and_then(|file| file.socket.as_ref()).and_then(|socket| socket.remote.as_ref());
    matches!(role, Role::Reach | Role::Receive) && action.address.as_ref().is_some_and(|passed| had != Some(passed))
}

fn hosts(look: Look<'_, '_>, end: Option<&Endpoint>, visit: &mut Visit<'_>) -> bool {
    if let (Some(end), Some(names)) = (end, look.subject.context.names) {
        names.hosts(end.address.as_bytes(), &mut |name| visit(Value::Text(name)));
    }
    true
}
