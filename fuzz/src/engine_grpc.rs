//! Engine replies that are gRPC messages.

use containers::engine::parse::{
    parse_container_status, parse_containerd_container, parse_message, parse_sandbox_status,
};

use crate::engine_json::check_metadata;

/// containerd's namespaces, of which some belong to another engine.
const NAMESPACES: [&str; 4] = ["default", "moby", "k8s.io", "buildkit"];

/// A framed message is read whole or not at all; what is learnt from a message is plausible.
pub fn check(bytes: &[u8]) {
    check_frame(bytes);
    let message = parse_message(bytes).unwrap_or(bytes);
    let of_namespaces = NAMESPACES.iter().map(|namespace| parse_containerd_container(message, namespace));
    let of_kubernetes = [parse_container_status(message), parse_sandbox_status(message)];
    of_namespaces.chain(of_kubernetes).flatten().for_each(|metadata| check_metadata(&metadata));
}

fn check_frame(message: &[u8]) {
    let Ok(length) = u32::try_from(message.len()) else { return };
    let framed = [&[0][..], &length.to_be_bytes(), message].concat();
    assert_eq!(parse_message(&framed), Ok(message));
    assert!(parse_message(&framed[..framed.len() - 1]).is_err(), "a message cut short was taken for a whole one");
    assert!(parse_message(&[&framed[..], b"\0"].concat()).is_err(), "what follows the message was not noticed");
}
