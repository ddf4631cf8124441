//! Programs that do nothing, on the hooks of the system-call sensor: what it costs at least to be there at all.
//!
//! `empty_programs --hooks sys_enter[,sys_exit]` attaches one empty program to each hook, prints `ready`, and detaches
//! them when its standard input ends.

use std::ffi::CString;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use libbpf_rs::libbpf_sys;
use libbpf_sys::bpf_insn;

const USAGE: &str = "usage: empty_programs --hooks sys_enter[,sys_exit]";

/// `r0 = 0; exit`.
const NOTHING: [bpf_insn; 2] = [
    instruction((libbpf_sys::BPF_ALU64 | libbpf_sys::BPF_MOV | libbpf_sys::BPF_K) as u8),
    instruction((libbpf_sys::BPF_JMP | libbpf_sys::BPF_EXIT) as u8),
];

/// An instruction whose registers, offset and constant are all zero.
const fn instruction(code: u8) -> bpf_insn {
    // SAFETY: integers and bit fields only, for which zero is a value.
    let mut instruction: bpf_insn = unsafe { std::mem::zeroed() };
    instruction.code = code;
    instruction
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, hooks] = arguments.as_slice() else { return fail(USAGE) };
    if flag != "--hooks" {
        return fail(USAGE);
    }
    let mut attached = Vec::new();
    for hook in hooks.split(',') {
        match attach(hook) {
            Ok(program) => attached.push(program),
            Err(error) => return fail(&format!("cannot attach an empty program to {hook}: {error}")),
        }
    }
    let said = std::io::stdout().write_all(b"ready\n").and_then(|()| std::io::stdout().flush());
    let ended = said.and_then(|()| std::io::stdin().read_to_end(&mut Vec::new()));
    match ended {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(2)
}

/// The attachment; it ends when the descriptor is closed.
fn attach(hook: &str) -> std::io::Result<OwnedFd> {
    let name = CString::new(hook)?;
    // SAFETY: the name is a C string that lives through the call.
    let type_id = unsafe { libbpf_sys::libbpf_find_vmlinux_btf_id(name.as_ptr(), libbpf_sys::BPF_TRACE_RAW_TP) };
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        expected_attach_type: libbpf_sys::BPF_TRACE_RAW_TP,
        attach_btf_id: u32::try_from(result(type_id)?).unwrap_or_default(),
        ..Default::default()
    };
    // SAFETY: names, instructions and options live through the call, with the number of instructions that there are.
    let program = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_TRACING,
            c"empty".as_ptr(),
            c"GPL".as_ptr(),
            NOTHING.as_ptr(),
            NOTHING.len() as libbpf_sys::size_t,
            &raw mut options,
        )
    };
    // SAFETY: a descriptor that the kernel just gave to us alone.
    let program = unsafe { OwnedFd::from_raw_fd(result(program)?) };
    // SAFETY: no name is needed, for the program knows its hook.
    let link = unsafe { libbpf_sys::bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) };
    // SAFETY: as above; the kernel holds the program as long as the link.
    Ok(unsafe { OwnedFd::from_raw_fd(result(link)?) })
}

/// libbpf's functions give a negative errno.
fn result(value: i32) -> std::io::Result<i32> {
    if value < 0 { Err(std::io::Error::from_raw_os_error(-value)) } else { Ok(value) }
}
