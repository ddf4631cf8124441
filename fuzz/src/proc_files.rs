//! Files of `/proc`.

use std::net::{IpAddr, SocketAddr};

use containers::proc::{
    CgroupLine, MappedFile, Mount, Namespace, SocketAddresses, SocketEntry, SocketTable, Stat, Status, parse_cgroup,
    parse_maps, parse_mountinfo, parse_namespace, parse_sockets, parse_stat, parse_status, path_in, root_mount,
};

/// Every parser on the same bytes: what is read, written again as the kernel writes it, is read the same.
pub fn check(bytes: &[u8]) {
    if let Ok(lines) = parse_cgroup(bytes) {
        assert_eq!(parse_cgroup(&lines.iter().flat_map(cgroup_line).collect::<Vec<u8>>()).as_ref(), Ok(&lines));
        let _ = (path_in(&lines, None), path_in(&lines, Some("memory")));
    }
    if let Ok(mounts) = parse_mountinfo(bytes) {
        assert_eq!(parse_mountinfo(&mounts.iter().flat_map(mountinfo_line).collect::<Vec<u8>>()).as_ref(), Ok(&mounts));
        assert!(root_mount(&mounts).is_none_or(|root| root.mount_point == b"/"));
    }
    if let Ok(stat) = parse_stat(bytes) {
        assert_eq!(parse_stat(&stat_file(&stat)).as_ref(), Ok(&stat));
        let _ = (stat.start_ns(), stat.is_dead());
    }
    if let Ok(status) = parse_status(bytes) {
        assert_eq!(parse_status(&status_file(&status)).as_ref(), Ok(&status));
        let _ = status.pid_inside();
    }
    if let Ok(files) = parse_maps(bytes) {
        assert!(files.iter().all(|file| file.inode != 0 && !file.path.contains(&b'\0') || bytes.contains(&0)));
        // A path that is written with the escape of a newline in it is one with a newline.
        let written: Vec<u8> = files.iter().flat_map(maps_line).collect();
        assert_eq!(parse_maps(&written).as_ref(), Ok(&files));
    }
    for table in SocketTable::ALL {
        if let Ok(sockets) = parse_sockets(table, bytes) {
            let written: Vec<u8> = sockets.iter().flat_map(socket_line).collect();
            assert_eq!(parse_sockets(table, &[b"titles\n", written.as_slice()].concat()).as_ref(), Ok(&sockets));
        }
    }
    check_namespace(bytes);
    check_name(bytes);
}

fn maps_line(file: &MappedFile) -> Vec<u8> {
    let permissions = if file.is_executable { "r-xp" } else { "r--p" };
    let (major, minor) = file.device;
    let numbers = format!("1000-2000 {permissions} 00000000 {major:02x}:{minor:02x} {} ", file.inode);
    let path: Vec<u8> =
        file.path.iter().flat_map(|&byte| if byte == b'\n' { b"\\012".to_vec() } else { vec![byte] }).collect();
    let deleted: &[u8] = if file.is_deleted { b" (deleted)" } else { b"" };
    [numbers.as_bytes(), &path, deleted, b"\n"].concat()
}

fn socket_line(socket: &SocketEntry) -> Vec<u8> {
    let end = |end: &SocketAddr| {
        let bytes = match end.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let words = bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        format!("{}:{:04X}", words.map(|word| format!("{word:08X}")).collect::<String>(), end.port())
    };
    let SocketEntry { inode, state, ends } = socket;
    match ends {
        SocketAddresses::Ip { local, remote } => {
            format!("0: {} {} {state:02X} 0:0 0:0 0 0 0 {inode} 1\n", end(local), end(remote)).into_bytes()
        }
        SocketAddresses::Unix(name) => {
            let name = name.as_ref().map(|name| [b" ".as_slice(), name].concat()).unwrap_or_default();
            [format!("0: 2 0 0 1 {state:02X} {inode}").as_bytes(), &name, b"\n"].concat()
        }
    }
}

fn check_namespace(link: &[u8]) {
    for kind in [Namespace::Mount, Namespace::Pid, Namespace::User, Namespace::Net, Namespace::Cgroup] {
        if let Some(number) = parse_namespace(kind, link) {
            // Leading zeros aside, there is one way to write it.
            let digits = &link[kind.name().len() + 2..link.len() - 1];
            assert!(digits.iter().all(u8::is_ascii_digit), "{:?} is {number}", String::from_utf8_lossy(link));
        }
    }
}

/// Whatever a program calls itself, that name is read from both files.
fn check_name(bytes: &[u8]) {
    let name: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != 0).take(15).collect();

    let stat = Stat { pid: 2, comm: name.clone(), state: b'S', ppid: 1, start_ticks: 3, image: Some((4, 5)) };
    assert_eq!(parse_stat(&stat_file(&stat)), Ok(stat));

    let status = Status { name, tgid: 2, ..Status::default() };
    assert_eq!(parse_status(&status_file(&status)), Ok(status));
}

fn cgroup_line(line: &CgroupLine) -> Vec<u8> {
    let named = line.name.iter().map(|name| format!("name={name}"));
    let listed: Vec<String> = line.controllers.iter().cloned().chain(named).collect();
    let deleted = if line.is_deleted { " (deleted)" } else { "" };
    [format!("{}:{}:", line.hierarchy, listed.join(",")).as_bytes(), &line.path, deleted.as_bytes(), b"\n"].concat()
}

fn mountinfo_line(mount: &Mount) -> Vec<u8> {
    let numbers = format!("{} {} {}:{}", mount.id, mount.parent, mount.device.0, mount.device.1);
    let (root, mount_point) = (octal(&mount.root), octal(&mount.mount_point));
    let (fs_type, source) = (octal(&mount.fs_type), octal(&mount.source));
    let fields: [&[u8]; 8] = [
        numbers.as_bytes(),
        &root,
        &mount_point,
        &mount.options,
        b"shared:1 -",
        &fs_type,
        &source,
        &mount.super_options,
    ];
    [&fields.join(&b' '), &b"\n"[..]].concat()
}

/// As `mangle_path` of the kernel does, with `#` for what `seq_file` users add.
fn octal(bytes: &[u8]) -> Vec<u8> {
    let escape = |byte: u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
        _ => vec![byte],
    };
    bytes.iter().flat_map(|&byte| escape(byte)).collect()
}

fn stat_file(stat: &Stat) -> Vec<u8> {
    let between = "0 ".repeat(17);
    let Stat { pid, ppid, start_ticks, image, .. } = stat;
    let (code, stack) = image.unwrap_or_default();
    let tail = format!(" {ppid} {between}{start_ticks} 0 0 0 {code} 0 {stack}\n");
    [format!("{pid} (").as_bytes(), &stat.comm, b") ", &[stat.state], tail.as_bytes()].concat()
}

fn status_file(status: &Status) -> Vec<u8> {
    let name: Vec<u8> = status
        .name
        .iter()
        .flat_map(|byte| match byte {
            b'\n' => b"\\n".to_vec(),
            b'\\' => b"\\\\".to_vec(),
            byte => vec![*byte],
        })
        .collect();
    let words = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("\t");
    let mut rest = format!(
        "\nTgid:\t{}\nPPid:\t{}\nUid:\t{}\nGid:\t{}\nNStgid:\t{}\nNSpid:\t{}\n",
        status.tgid,
        status.ppid,
        words(&status.uid),
        words(&status.gid),
        words(&status.nstgid),
        words(&status.nspid)
    );
    for (key, set) in [
        ("Inh", status.cap_inheritable),
        ("Prm", status.cap_permitted),
        ("Eff", status.cap_effective),
        ("Bnd", status.cap_bounding),
        ("Amb", status.cap_ambient),
    ] {
        rest += &format!("Cap{key}:\t{set:016x}\n");
    }
    let optional = [
        ("NoNewPrivs", status.no_new_privileges.map(u32::from)),
        ("Seccomp", status.seccomp.map(|mode| mode as u32)),
        ("Seccomp_filters", status.seccomp_filters),
    ];
    for (key, value) in optional {
        rest += &value.map(|value| format!("{key}:\t{value}\n")).unwrap_or_default();
    }
    [b"Name:\t", name.as_slice(), rest.as_bytes()].concat()
}
