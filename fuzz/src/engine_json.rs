//! Engine replies and files of runtimes that are JSON.

use std::fmt::Debug;

use containers::engine::Metadata;
use containers::engine::parse::{
    Spec, parse_crun_status, parse_image, parse_inspect, parse_list, parse_podman_inspect, parse_podman_list,
    parse_podman_storage, parse_runc_state, parse_spec, parse_version,
};
use serde_json::Value;

use crate::laws::assert_survives_json;

/// Every parser on the same bytes: the layout of the JSON makes no difference, and what is learnt is plausible.
pub fn check(bytes: &[u8]) {
    for parse in [parse_inspect, parse_podman_inspect] {
        if let Ok(metadata) = layout_is_nothing(bytes, parse) {
            check_metadata(&metadata);
        }
    }
    for parse in [parse_list, parse_podman_list, parse_podman_storage] {
        layout_is_nothing(bytes, parse).unwrap_or_default().iter().for_each(check_metadata);
    }
    let _ = (layout_is_nothing(bytes, parse_image), layout_is_nothing(bytes, parse_version));
    for parse in [parse_runc_state, parse_crun_status] {
        if let Ok(state) = layout_is_nothing(bytes, parse) {
            assert_ne!(state.pid, Some(0));
            state.created.iter().for_each(|created| check_time(created));
        }
    }
    if let Ok(spec) = layout_is_nothing(bytes, spec_without_profile) {
        assert!(spec.cgroups_path.is_none_or(|path| !path.is_empty()));
        assert!(spec.command.is_none_or(|command| !command.is_empty()));
    }
}

/// The profile is kept letter by letter; of everything else only the meaning counts.
fn spec_without_profile(bytes: &[u8]) -> Result<Spec, String> {
    let mut spec = parse_spec(bytes)?;
    if let Some(containers::engine::Seccomp::Profile(profile)) = &mut spec.security.seccomp {
        *profile = serde_json::from_str::<Value>(profile).map_or_else(|_| String::new(), |value| value.to_string());
    }
    Ok(spec)
}

/// What is learnt from these bytes, which must be the same from the same JSON without spaces and with its fields sorted.
fn layout_is_nothing<T: Debug + PartialEq>(bytes: &[u8], parse: fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let learnt = parse(bytes)?;
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        assert_eq!(parse(value.to_string().as_bytes()).as_ref(), Ok(&learnt));
    }
    Ok(learnt)
}

pub(crate) fn check_metadata(metadata: &Metadata) {
    assert!(!metadata.id.is_empty());
    assert_ne!(metadata.pid, Some(0));
    let texts = [&metadata.name, &metadata.runtime, &metadata.image, &metadata.image_id, &metadata.image_digest];
    assert!(texts.into_iter().flatten().all(|text| !text.is_empty()), "an empty text is none: {metadata:?}");
    assert!(metadata.command.as_ref().is_none_or(|command| !command.is_empty()));
    metadata.created.iter().for_each(|created| check_time(created));
    assert_survives_json(metadata);
}

/// A time goes into reports as it is.
fn check_time(time: &str) {
    assert!((20..=40).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_graphic()), "{time:?}");
}
