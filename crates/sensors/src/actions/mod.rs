//! `actions`: single system calls that rules ask for, with their file or socket, names, address and rights; and what a program
//! is when it begins.
//!
//! It observes only if it is asked to ([`Options::actions`]): else its program is not loaded and its calls are in no table.
//! A handler in the one program on `sys_exit`, and one on `sched_process_exec`, on every kernel from 5.10 on.
//!
//! Any call can be asked for. Of all that a program image makes alike only the first is told: about the same file, socket, names
//! and address, with the same open flags and errno, and the same arguments where those matter (the request of ptrace, the mode
//! of chmod, what dup returned …). Of a call that is not in the list below, arguments below 65,536 matter: larger ones are
//! mostly addresses. What was told is kept for the last 65,536 actions of all containers: what is older is told again, never
//! lost. An action counts as told only once it was placed on the ring.
//!
//! Of a connection that came in the other end's port makes no difference, nor does the own port of one that went out.
//!
//! `upper_layer` is what overlayfs itself says of the file's inode. It knows a file whose metadata alone was copied as one that is
//! in the upper layer. File systems that do the same by other means (fuse-overlayfs, btrfs, zfs) are not known.
//!
//! It misses calls that do not return, and those through io_uring. What was passed is read when the call returns: another thread may
//! have changed it by then, and may have closed or replaced the descriptor that a call returned. Paths and names are
//! cut as those of `files`. Calls through `socketcall` are told as the calls that they stand for; `accept` as `accept4`, as x86 has no
//! other number for it.

mod calls;

use std::net::{Ipv4Addr, Ipv6Addr};

use event::{
    Action, CapabilitySet, Descriptor, Device, Direction, Endpoint, FileType, ImageFacts, Payload, Protocol, Rights,
    SocketEnds, SocketFamily, StandardStream, Syscall, SyscallNames, Text,
};

use crate::bpf::types::{
    action_direction, action_flag, action_rights, action_sample, actions_kind, image_flag, image_sample, unix_name,
};
use crate::record::{self, DecodeError, Plain};
use crate::texts::{Texts, path};
use crate::{Program, Sensor, files, network, privileged};

pub(crate) use calls::settings;

pub(crate) const SENSOR: Sensor = Sensor {
    calls_asked: calls::asked,
    is_asked: |options| options.actions.is_some(),
    ..Sensor::new(PROGRAMS, decode)
};

// Before `process`, which tells of the exec: what the image is comes right before it.
const PROGRAMS: &[Program] = &[Program::on("tp_btf/sched_process_exec", "on_exec_actions")];

// SAFETY: integers and arrays of them only (`samples.h`).
unsafe impl Plain for action_sample {}
// SAFETY: as above.
unsafe impl Plain for image_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match actions_kind(u32::from(kind)) {
        actions_kind::ACTIONS_ACTION => decode_action(bytes).map(Payload::Action),
        actions_kind::ACTIONS_IMAGE => decode_image(bytes).map(Payload::Image),
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

fn decode_action(bytes: &[u8]) -> Result<Action, DecodeError> {
    let sample = record::read::<action_sample>(bytes)?;
    let mut texts = Texts::behind::<action_sample>(bytes);
    let has = |flag: action_flag| sample.flags & flag.0 != 0;
    let names = texts.next(sample.path_bytes)?;
    let file = if has(action_flag::ACTION_FILE) { Some(descriptor(&sample, names)?) } else { None };
    let directory = texts.next(sample.base_bytes)?;
    let name = Text::new(texts.next(sample.argument_bytes)?);
    let second_directory = texts.next(sample.second_base_bytes)?;
    let second_name = Text::new(texts.next(sample.second_argument_bytes)?);
    let start = |is_there: bool, names: &[u8], is_unreachable: bool| match is_there {
        true => Text::new(files::reachable(path(names, false), is_unreachable)),
        false => Text::default(),
    };
    Ok(Action {
        syscall: syscall(&sample)?,
        args: sample.args,
        result: sample.result,
        file,
        open_flags: has(action_flag::ACTION_OPENED).then_some(sample.open_flags),
        path: name,
        directory: start(has(action_flag::ACTION_BASE), directory, has(action_flag::ACTION_BASE_UNREACHABLE)),
        second_path: second_name,
        second_directory: start(
            has(action_flag::ACTION_SECOND_BASE),
            second_directory,
            has(action_flag::ACTION_SECOND_BASE_UNREACHABLE),
        ),
        path_truncated: has(action_flag::ACTION_NAME_CUT),
        address: passed_address(&sample),
        rights: rights(&sample.rights),
    })
}

/// The call; of `socketcall` the one that it stands for.
fn syscall(sample: &action_sample) -> Result<Syscall, DecodeError> {
    let arch = record::table(u8::try_from(sample.table).map_err(|_| DecodeError::UnknownTable(u8::MAX))?)?;
    let meant = calls::SOCKET_CALLS.get(sample.socket_call as usize).copied().flatten();
    let number = meant.and_then(|name| SyscallNames::builtin().number(arch, calls::same_on_x86(name)));
    Ok(Syscall { arch, number: number.unwrap_or(sample.number) })
}

fn descriptor(sample: &action_sample, names: &[u8]) -> Result<Descriptor, DecodeError> {
    let has = |flag: action_flag| sample.flags & flag.0 != 0;
    let is_cut = has(action_flag::ACTION_PATH_CUT);
    let is_socket = has(action_flag::ACTION_SOCKET);
    let unreachable = has(action_flag::ACTION_PATH_UNREACHABLE);
    // What has no path at all, such as a pipe, has no names either.
    let has_path = !is_socket && (!names.is_empty() || FileType::of_mode(sample.mode) == FileType::Directory);
    Ok(Descriptor {
        number: sample.descriptor as i32,
        file_type: FileType::of_mode(sample.mode),
        path: if has_path { Text::new(files::reachable(path(names, is_cut), unreachable)) } else { Text::default() },
        path_truncated: is_cut,
        upper_layer: has(action_flag::ACTION_UPPER_LAYER),
        socket: if is_socket { Some(socket(sample)?) } else { None },
    })
}

fn socket(sample: &action_sample) -> Result<SocketEnds, DecodeError> {
    let ends = &sample.ends;
    let protocol = network::protocol(ends.protocol)?;
    let has_ports = matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::Mptcp);
    let ip_end = |words: [u64; 2], port: u16| {
        // IPv6's and IPv4's address that is none (`mapped_address`).
        let has_address = words != [0, 0] && words != [0, 0xffff_0000];
        let is_there = port != 0 || (has_address && !has_ports);
        is_there.then(|| Endpoint { address: network::ip(words), port: u32::from(port) })
    };
    let unix_end = |name: &unix_name| Endpoint { address: network::text_of_name(name), port: 0 };
    let (local, remote) = match ends.family {
        UNIX => (
            (sample.local_name.bytes != 0).then(|| unix_end(&sample.local_name)),
            (sample.flags & action_flag::ACTION_PEER.0 != 0).then(|| unix_end(&sample.remote_name)),
        ),
        INET | INET6 => (ip_end(ends.local_address, ends.local_port), ip_end(ends.remote_address, ends.remote_port)),
        _ => (None, None),
    };
    let direction = match action_direction(u32::from(ends.direction)) {
        action_direction::ACTION_DIRECTION_OUT => Some(Direction::Out),
        action_direction::ACTION_DIRECTION_IN => Some(Direction::In),
        action_direction::ACTION_DIRECTION_UNKNOWN => None,
        _ => return Err(DecodeError::UnknownValue(ends.direction)),
    };
    Ok(SocketEnds { family: SocketFamily(ends.family), protocol, local, remote, direction })
}

/// `include/linux/socket.h` (6.18).
const UNIX: u16 = 1;
const INET: u16 = 2;
const INET6: u16 = 10;

/// A `struct sockaddr`: `include/uapi/linux/in.h`, `in6.h` and `un.h` (6.18).
fn passed_address(sample: &action_sample) -> Option<Endpoint> {
    let bytes: Vec<u8> = sample.passed.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let bytes = bytes.get(..sample.passed_bytes as usize)?;
    let part = |from: usize, to: usize| bytes.get(from..to);
    let port = || part(2, 4).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes).map(u32::from);
    match u16::from_ne_bytes(part(0, 2)?.try_into().ok()?) {
        INET => {
            let address: [u8; 4] = part(4, 8)?.try_into().ok()?;
            Some(Endpoint { address: Text::from(Ipv4Addr::from(address).to_string().as_str()), port: port()? })
        }
        INET6 => {
            let address: [u8; 16] = part(8, 24)?.try_into().ok()?;
            let address = Ipv6Addr::from(address).to_canonical().to_string();
            Some(Endpoint { address: Text::from(address.as_str()), port: port()? })
        }
        UNIX => {
            let name = &bytes[2..];
            let address = match name.split_first() {
                Some((0, rest)) => Text::new([b"@", rest].concat()),
                _ => Text::new(record::until_nul(name)),
            };
            Some(Endpoint { address, port: 0 })
        }
        _ => None,
    }
}

fn rights(rights: &action_rights) -> Rights {
    Rights {
        ids: privileged::ids(&rights.ids),
        effective: CapabilitySet(rights.effective),
        permitted: CapabilitySet(rights.permitted),
        inheritable: CapabilitySet(rights.inheritable),
    }
}

fn decode_image(bytes: &[u8]) -> Result<ImageFacts, DecodeError> {
    let sample = record::read::<image_sample>(bytes)?;
    let environment = Texts::behind::<image_sample>(bytes).next(sample.environment_bytes)?;
    let has = |flag: image_flag| sample.flags & flag.0 != 0;
    let terminal = Device { major: sample.terminal_major, minor: sample.terminal_minor };
    let standard = sample.streams.iter().zip(0..).filter_map(|(stream, number)| {
        let file_type = FileType::of_mode(stream.mode);
        let is_socket = file_type == FileType::Socket;
        let family = is_socket.then_some(SocketFamily(stream.family as u16));
        (is_socket || file_type == FileType::NamedPipe).then_some(StandardStream { number, file_type, family })
    });
    Ok(ImageFacts {
        rights: rights(&sample.rights),
        login_uid: (sample.login_uid != u32::MAX).then_some(sample.login_uid),
        terminal: has(image_flag::IMAGE_TERMINAL).then_some(terminal),
        session: sample.session,
        process_group: sample.process_group,
        process_group_outside: sample.process_group_outside,
        from_memory: has(image_flag::IMAGE_FROM_MEMORY),
        deleted: has(image_flag::IMAGE_DELETED),
        upper_layer: has(image_flag::IMAGE_UPPER_LAYER),
        inode: sample.inode,
        changed_ns: sample.changed_ns,
        modified_ns: sample.modified_ns,
        standard: standard.collect(),
        environment: split(environment),
    })
}

/// The texts of an environment, each of which ends with a zero; the last may be cut off.
fn split(environment: &[u8]) -> Vec<Text> {
    let whole = environment.strip_suffix(&[0]).unwrap_or(environment);
    if environment.is_empty() {
        return Vec::new();
    }
    whole.split(|&byte| byte == 0).map(Text::new).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unit;
