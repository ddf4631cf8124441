//! What the running kernel's own description of its types says of its hooks.

use libbpf_rs::btf::types::{FuncProto, Ptr, Typedef};
use libbpf_rs::btf::{Btf, ReferencesType as _};

/// What a typed tracepoint hands over: `void (*)(void *, ...)`, of which the first is its own. None if it is not there.
pub(crate) fn tracepoint<'btf>(btf: &'btf Btf<'_>, name: &str) -> Option<FuncProto<'btf>> {
    let tracepoint = btf.type_by_name::<Typedef<'_>>(&format!("btf_trace_{name}"))?;
    let pointer = Ptr::try_from(tracepoint.referenced_type()).ok()?;
    FuncProto::try_from(pointer.referenced_type()).ok()
}
