//! The BPF objects, as `build.rs` compiled and packed them: unpacked they are four times as large.

/// For kernels with `bpf_loop`: 5.17 and later.
pub(crate) const SENSORS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/ringfence.bpf.o.deflate")));
/// For older ones: every call is counted in the totals that all share.
pub(crate) const OLD_SENSORS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/ringfence-old.bpf.o.deflate")));
pub(crate) const GUARDS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/guards.bpf.o.deflate")));
pub(crate) const PROBE: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/probe.bpf.o.deflate")));
pub(crate) const PREEMPTION: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/preemption.bpf.o.deflate")));

/// One object, by DEFLATE (RFC 1951).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed(&'static [u8]);

impl Packed {
    /// As the compiler wrote it. libbpf keeps nothing of it once it is open, so that it need not stay in memory.
    pub(crate) fn unpack(self) -> Vec<u8> {
        // What is here was packed with this program. If it were not whole, libbpf would refuse it.
        miniz_oxide::inflate::decompress_to_vec(self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_an_elf_file_and_packed_it_is_less_than_half_of_it() {
        for object in [SENSORS, OLD_SENSORS, GUARDS, PROBE, PREEMPTION] {
            let unpacked = object.unpack();
            assert!(unpacked.starts_with(b"\x7fELF"));
            assert!(object.0.len() * 2 < unpacked.len(), "{} of {}", object.0.len(), unpacked.len());
        }
    }
}
