//! `files`: which files are opened, read, written, mapped and run, by the path that the kernel resolved, and what is done
//! to names.
//!
//! A handler in the one program on `sys_exit`, and one on `sched_process_exec`, on every kernel. Each path is one entry of
//! a set in the kernel, per phase, and so is each name: the first use is an event, what it came to is read from the set.
//! Opens that failed, and calls that take a name (delete, rename, link, chmod …), are recorded by what the program passed,
//! with the directory it starts from: no link in it is followed.
//!
//! A container has up to 8,192 entries. Of files beyond, opens are counted for each directory (up to 512 of them, then
//! for all others together), and how many different files they are is estimated. Bytes are counted for each mount.
//!
//! It misses what the kernel does for a program without a system call of it: operations through io_uring and io_submit (a report
//! says if they were used), bytes that go through mappings, files that an `old_mmap` of a 32-bit program maps, and core dumps;
//! and it does not look at mprotect, reflinks (`FICLONE`), extended attributes, time stamps, and the name that bind(2) makes. What a
//! call returned is looked up in the table of descriptors at its end: a thread that closes a descriptor while another opens it makes
//! that a loss, and one that puts another file there hides it. A path is that of the first use: a file that is renamed while it is
//! open keeps it. Paths are resolved up to 4 KiB and 256 names and mounts; of longer ones the tail is kept and marked.

use event::{
    Device, DirectoryUsed, DirectoryUses, Errno, FileAccess, FileAccesses, FileType, FileUsed, FileUses, MountUsed, MountUses,
    NameOperation, NameUsed, NameUses, PathId, Payload, Text, Total,
};

use crate::bpf::types::{
    directory_record, directory_sample, file_flag, file_record, file_sample, files_call, files_kind, mount_record,
    mount_sample, name_record, name_sample,
};
use crate::record::{self, DecodeError, Plain};
use crate::texts::{Texts, path};
use crate::{Call, Program, Sensor, Set};

pub(crate) const SENSOR: Sensor = Sensor { sets: SETS, calls: CALLS, ..Sensor::new(PROGRAMS, decode) };

const PROGRAMS: &[Program] = &[Program::on("tp_btf/sched_process_exec", "on_exec_files")];

const SETS: &[Set] = &[
    Set {
        map: "file_uses",
        walk: "read_file_use",
        record_bytes: size_of::<file_record>(),
        decode: file_uses,
    },
    Set {
        map: "name_uses",
        walk: "read_name_use",
        record_bytes: size_of::<name_record>(),
        decode: name_uses,
    },
    Set {
        map: "directory_uses",
        walk: "read_directory_use",
        record_bytes: size_of::<directory_record>(),
        decode: directory_uses,
    },
    Set {
        map: "mount_uses",
        walk: "read_mount_use",
        record_bytes: size_of::<mount_record>(),
        decode: mount_uses,
    },
];

/// Calls that take a name are recorded when they fail, too.
const fn call(name: &'static str, what: files_call) -> Call<'static> {
    let takes_name = what.0 >= files_call::FILES_CALL_UNLINK.0
        || (what.0 >= files_call::FILES_CALL_OPEN.0 && what.0 <= files_call::FILES_CALL_OPENAT2.0);
    Call { name, number: what.0 as u8, also_failed: takes_name }
}

const CALLS: &[Call<'static>] = &[
    call("open", files_call::FILES_CALL_OPEN),
    call("creat", files_call::FILES_CALL_CREAT),
    call("openat", files_call::FILES_CALL_OPENAT),
    call("openat2", files_call::FILES_CALL_OPENAT2),
    call("open_by_handle_at", files_call::FILES_CALL_OPEN_HANDLE),
    call("memfd_create", files_call::FILES_CALL_MEMFD),
    call("read", files_call::FILES_CALL_READ),
    call("pread64", files_call::FILES_CALL_READ),
    call("readv", files_call::FILES_CALL_READ),
    call("preadv", files_call::FILES_CALL_READ),
    call("preadv2", files_call::FILES_CALL_READ),
    call("write", files_call::FILES_CALL_WRITE),
    call("pwrite64", files_call::FILES_CALL_WRITE),
    call("writev", files_call::FILES_CALL_WRITE),
    call("pwritev", files_call::FILES_CALL_WRITE),
    call("pwritev2", files_call::FILES_CALL_WRITE),
    call("getdents", files_call::FILES_CALL_LIST),
    call("getdents64", files_call::FILES_CALL_LIST),
    call("sendfile", files_call::FILES_CALL_SENDFILE),
    call("sendfile64", files_call::FILES_CALL_SENDFILE),
    call("copy_file_range", files_call::FILES_CALL_COPY),
    call("splice", files_call::FILES_CALL_COPY),
    call("mmap", files_call::FILES_CALL_MMAP),
    call("mmap2", files_call::FILES_CALL_MMAP),
    call("ftruncate", files_call::FILES_CALL_FTRUNCATE),
    call("ftruncate64", files_call::FILES_CALL_FTRUNCATE),
    call("fallocate", files_call::FILES_CALL_FTRUNCATE),
    call("fchmod", files_call::FILES_CALL_FCHMOD),
    call("fchown", files_call::FILES_CALL_FCHOWN),
    call("fchown32", files_call::FILES_CALL_FCHOWN),
    call("unlink", files_call::FILES_CALL_UNLINK),
    call("rmdir", files_call::FILES_CALL_UNLINK),
    call("unlinkat", files_call::FILES_CALL_UNLINKAT),
    call("rename", files_call::FILES_CALL_RENAME),
    call("renameat", files_call::FILES_CALL_RENAMEAT),
    call("renameat2", files_call::FILES_CALL_RENAMEAT),
    call("link", files_call::FILES_CALL_LINK),
    call("linkat", files_call::FILES_CALL_LINKAT),
    call("symlink", files_call::FILES_CALL_SYMLINK),
    call("symlinkat", files_call::FILES_CALL_SYMLINKAT),
    call("mkdir", files_call::FILES_CALL_MKDIR),
    call("mkdirat", files_call::FILES_CALL_MKDIRAT),
    call("mknod", files_call::FILES_CALL_MKNOD),
    call("mknodat", files_call::FILES_CALL_MKNODAT),
    call("chmod", files_call::FILES_CALL_CHMOD),
    call("fchmodat", files_call::FILES_CALL_FCHMODAT),
    call("fchmodat2", files_call::FILES_CALL_FCHMODAT),
    call("chown", files_call::FILES_CALL_CHOWN),
    call("chown32", files_call::FILES_CALL_CHOWN),
    call("lchown", files_call::FILES_CALL_CHOWN),
    call("lchown32", files_call::FILES_CALL_CHOWN),
    call("fchownat", files_call::FILES_CALL_FCHOWNAT),
    call("truncate", files_call::FILES_CALL_TRUNCATE),
    call("truncate64", files_call::FILES_CALL_TRUNCATE),
];

// SAFETY: integers and arrays of them only (`samples.h`).
unsafe impl Plain for file_sample {}
// SAFETY: as above.
unsafe impl Plain for name_sample {}
// SAFETY: as above.
unsafe impl Plain for directory_sample {}
// SAFETY: as above.
unsafe impl Plain for mount_sample {}
// SAFETY: as above (`files.bpf.c`).
unsafe impl Plain for file_record {}
// SAFETY: as above.
unsafe impl Plain for name_record {}
// SAFETY: as above.
unsafe impl Plain for directory_record {}
// SAFETY: as above.
unsafe impl Plain for mount_record {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match files_kind(u32::from(kind)) {
        files_kind::FILES_FILE => decode_file(bytes).map(Payload::File),
        files_kind::FILES_NAME => decode_name(bytes).map(Payload::Name),
        files_kind::FILES_DIRECTORY => decode_directory(bytes).map(Payload::Directory),
        files_kind::FILES_MOUNT => decode_mount(bytes).map(Payload::Mount),
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

fn file_uses(bytes: &[u8]) -> Result<Total, DecodeError> {
    let record = record::read::<file_record>(bytes)?;
    Ok(Total::File(FileUses {
        file: PathId(record.key.file),
        opens: record.r#use.opens,
        read_bytes: record.r#use.read_bytes,
        written_bytes: record.r#use.written_bytes,
        accesses: accesses(&record.r#use.seen),
    }))
}

fn name_uses(bytes: &[u8]) -> Result<Total, DecodeError> {
    let record = record::read::<name_record>(bytes)?;
    Ok(Total::Name(NameUses {
        name: PathId(record.key.name),
        operation: operation(u32::from(record.key.operation))?,
        errno: errno(record.key.errno),
        count: record.r#use.count,
    }))
}

fn directory_uses(bytes: &[u8]) -> Result<Total, DecodeError> {
    let record = record::read::<directory_record>(bytes)?;
    Ok(Total::Directory(DirectoryUses {
        directory: PathId(record.key.directory),
        opens: record.r#use.opens,
        distinct: distinct(&record.r#use.registers),
        accesses: accesses(&record.r#use.seen),
    }))
}

fn mount_uses(bytes: &[u8]) -> Result<Total, DecodeError> {
    let record = record::read::<mount_record>(bytes)?;
    Ok(Total::Mount(MountUses {
        mount: record.r#use.mount,
        device: Device::from_kernel(record.r#use.device),
        read_bytes: record.r#use.read_bytes,
        written_bytes: record.r#use.written_bytes,
    }))
}

fn decode_file(bytes: &[u8]) -> Result<FileUsed, DecodeError> {
    let sample = record::read::<file_sample>(bytes)?;
    let mut texts = Texts::behind::<file_sample>(bytes);
    let has = |flag: file_flag| sample.flags & flag.0 != 0;
    let path = path(texts.next(sample.path_bytes)?, has(file_flag::FILE_PATH_CUT));
    let argument = texts.next(sample.argument_bytes)?;
    Ok(FileUsed {
        argument: if argument == path { Text::default() } else { Text::new(argument) },
        path: Text::new(path),
        accesses: accesses(&sample.seen),
        file: PathId(sample.file),
        file_type: FileType::of_mode(sample.mode),
        device: Device::from_kernel(sample.device),
        inode: sample.inode,
        inode_generation: sample.inode_generation,
        mount: sample.mount,
        path_truncated: has(file_flag::FILE_PATH_CUT),
        argument_truncated: has(file_flag::FILE_ARGUMENT_CUT) || has(file_flag::FILE_ARGUMENT_UNREADABLE),
        deleted: has(file_flag::FILE_DELETED),
        unreachable: has(file_flag::FILE_UNREACHABLE),
    })
}

fn decode_name(bytes: &[u8]) -> Result<NameUsed, DecodeError> {
    let sample = record::read::<name_sample>(bytes)?;
    let mut texts = Texts::behind::<name_sample>(bytes);
    let has = |flag: file_flag| sample.flags & flag.0 != 0;
    let is_cut = has(file_flag::FILE_PATH_CUT);
    let mut next = |base: u32, argument: u32| Ok::<_, DecodeError>((texts.next(base)?, texts.next(argument)?));
    let (base, argument) = next(sample.base_bytes, sample.argument_bytes)?;
    let (second_base, second_argument) = next(sample.second_base_bytes, sample.second_argument_bytes)?;
    let start = |has_base: u8, base: &[u8], is_unreachable| {
        (has_base != 0).then(|| reachable(path(base, is_cut), is_unreachable))
    };
    let operation = operation(sample.operation)?;
    let first = match operation {
        // What a link says is no path from anywhere.
        NameOperation::Symlink if !argument.is_empty() => argument.to_vec(),
        NameOperation::Symlink => b"(nothing)".to_vec(),
        _ => joined(start(sample.has_base, base, has(file_flag::FILE_UNREACHABLE)), argument),
    };
    let second_start = start(sample.has_second_base, second_base, has(file_flag::FILE_SECOND_UNREACHABLE));
    let second = joined(second_start, second_argument);
    let cut = is_cut || has(file_flag::FILE_ARGUMENT_CUT) || has(file_flag::FILE_ARGUMENT_UNREADABLE);
    Ok(NameUsed {
        operation,
        path: Text::new(first),
        second_path: Text::new(second),
        errno: errno(sample.errno as u16),
        name: PathId(sample.name),
        truncated: cut,
    })
}

fn decode_directory(bytes: &[u8]) -> Result<DirectoryUsed, DecodeError> {
    let sample = record::read::<directory_sample>(bytes)?;
    let is_cut = sample.flags & file_flag::FILE_PATH_CUT.0 != 0;
    let names = Texts::behind::<directory_sample>(bytes).next(sample.path_bytes)?;
    Ok(DirectoryUsed {
        path: Text::new(reachable(path(names, is_cut), sample.flags & file_flag::FILE_UNREACHABLE.0 != 0)),
        directory: PathId(sample.directory),
        mount: sample.mount,
        path_truncated: is_cut,
    })
}

fn decode_mount(bytes: &[u8]) -> Result<MountUsed, DecodeError> {
    let sample = record::read::<mount_sample>(bytes)?;
    let mut texts = Texts::behind::<mount_sample>(bytes);
    let is_cut = sample.flags & file_flag::FILE_PATH_CUT.0 != 0;
    Ok(MountUsed {
        mount: sample.mount,
        device: Device::from_kernel(sample.device),
        point: Text::new(reachable(
            path(texts.next(sample.point_bytes)?, is_cut),
            sample.flags & file_flag::FILE_UNREACHABLE.0 != 0,
        )),
        root: Text::new(path(texts.next(sample.root_bytes)?, false)),
        fs_type: Text::new(texts.next(sample.type_bytes)?),
        source: Text::new(texts.next(sample.source_bytes)?),
        read_only: sample.flags & file_flag::FILE_READ_ONLY.0 != 0,
        host_path: None,
        layers: Vec::new(),
    })
}

/// In the words of getcwd(2).
pub(crate) fn reachable(path: Vec<u8>, is_unreachable: bool) -> Vec<u8> {
    if is_unreachable { [b"(unreachable)".as_slice(), &path].concat() } else { path }
}

/// A name as it was passed, behind the directory that it starts from.
fn joined(base: Option<Vec<u8>>, argument: &[u8]) -> Vec<u8> {
    let Some(mut path) = base.filter(|_| !argument.starts_with(b"/")) else { return argument.to_vec() };
    if !argument.is_empty() {
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(argument);
    }
    path
}

fn accesses(seen: &[u8]) -> FileAccesses {
    FileAccess::ALL.into_iter().zip(seen).filter(|(_, seen)| **seen != 0).map(|(access, _)| access).collect()
}

fn operation(number: u32) -> Result<NameOperation, DecodeError> {
    NameOperation::ALL.get(number as usize).copied().ok_or(DecodeError::UnknownKind(number as u8))
}

fn errno(number: u16) -> Option<Errno> {
    (number != 0).then_some(Errno(number))
}


/// How many different ones were seen, by how far the registers have come: Flajolet and others, HyperLogLog (2007).
fn distinct(registers: &[u8]) -> u64 {
    let count = registers.len() as f64;
    let sum: f64 = registers.iter().map(|&register| (-f64::from(register)).exp2()).sum();
    let estimate = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
    let empty = registers.iter().filter(|&&register| register == 0).count() as f64;
    // Of few, those that fell on no register say more.
    let better = if estimate <= 2.5 * count && empty > 0.0 { count * (count / empty).ln() } else { estimate };
    better.round() as u64
}

#[cfg(test)]
mod unit;
#[cfg(test)]
mod tests;
