//! The smallest program that makes chosen system calls: to see that a filter refuses them.
//!
//! It needs no file beside itself and, apart from what it is to try, no call but `execve` and `exit_group`: so it starts under
//! every filter. Each call gets -1 for every argument, which none of those that are tried does anything with: if the filter
//! lets one through, the kernel refuses it (an address, a descriptor and a set of flags that there cannot be).

use event::Arch;

/// Where it is loaded.
const BASE: u64 = 0x40_0000;
/// The ELF header and one program header.
const HEADERS: usize = 64 + 56;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// A static program for this machine that makes these calls, by number, and ends with status 0; none for architectures that
/// nobody has written it for.
pub(crate) fn program(arch: Arch, calls: &[u32]) -> Option<Vec<u8>> {
    let (machine, code) = match arch {
        Arch::X86_64 => (EM_X86_64, x86_64(calls)),
        Arch::Aarch64 => (EM_AARCH64, aarch64(calls)),
        _ => return None,
    };
    Some(elf(machine, &code))
}

fn x86_64(calls: &[u32]) -> Vec<u8> {
    const EXIT_GROUP: u32 = 231;
    let mut code = Vec::new();
    for number in calls {
        code.extend([0x48, 0x83, 0xcf, 0xff]); // or rdi, -1
        code.extend([0x48, 0x83, 0xce, 0xff]); // or rsi, -1
        code.extend([0x48, 0x83, 0xca, 0xff]); // or rdx, -1
        code.extend([0x49, 0x83, 0xca, 0xff]); // or r10, -1
        code.extend([0x49, 0x83, 0xc8, 0xff]); // or r8, -1
        code.extend([0x49, 0x83, 0xc9, 0xff]); // or r9, -1
        code.push(0xb8); // mov eax, number
        code.extend(number.to_le_bytes());
        code.extend([0x0f, 0x05]); // syscall
    }
    code.extend([0x31, 0xff]); // xor edi, edi
    code.push(0xb8);
    code.extend(EXIT_GROUP.to_le_bytes());
    code.extend([0x0f, 0x05]);
    code
}

fn aarch64(calls: &[u32]) -> Vec<u8> {
    const EXIT_GROUP: u32 = 94;
    let mut code = Vec::new();
    let mut emit = |instruction: u32| code.extend(instruction.to_le_bytes());
    // movz w8, number: the numbers of this table fit into 16 bits.
    let number_in_w8 = |number: u32| 0x5280_0008 | (number & 0xffff) << 5;
    for &number in calls {
        (0..6).for_each(|register| emit(0x9280_0000 | register)); // movn xR, 0
        emit(number_in_w8(number));
        emit(0xd400_0001); // svc 0
    }
    emit(0xd280_0000); // movz x0, 0
    emit(number_in_w8(EXIT_GROUP));
    emit(0xd400_0001);
    code
}

/// The layout of the ELF-64 specification: one segment that can be read and executed, which is the whole file.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let length = (HEADERS + code.len()) as u64;
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend(2u16.to_le_bytes()); // an executable
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend((BASE + HEADERS as u64).to_le_bytes()); // where it begins
    file.extend(64u64.to_le_bytes()); // the program header
    file.extend(0u64.to_le_bytes()); // no sections
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes()); // to be loaded
    file.extend(5u32.to_le_bytes()); // read and execute
    for word in [0, BASE, BASE, length, length, 0x1000u64] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_program_runs_on_this_machine_and_ends_with_0() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("probe");
        // close and read of a descriptor that there cannot be.
        let calls = if cfg!(target_arch = "x86_64") { [3, 0] } else { [57, 63] };
        std::fs::write(&path, program(Arch::NATIVE, &calls).expect("it is written for it")).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may be run");

        let status = std::process::Command::new(&path).status().expect("it can be executed");

        assert!(status.success(), "{status}");
    }

    #[test]
    fn each_architecture_has_its_own_instructions() {
        let of = |arch| program(arch, &[165]).expect("it is written for it");

        assert_eq!(of(Arch::X86_64)[18], 62);
        assert_eq!(of(Arch::Aarch64)[18], 183);
        // movz w8, 165; svc 0
        let instructions = [0x5280_0008u32 | 165 << 5, 0xd400_0001].map(u32::to_le_bytes).concat();
        assert!(of(Arch::Aarch64).windows(8).any(|window| window == instructions));
        assert_eq!(program(Arch::X86, &[]), None);
    }
}
