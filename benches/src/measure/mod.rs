//! The means of measuring: what is attached, what runs, and how numbers are taken.

pub(crate) mod empty;
pub(crate) mod hooks;
pub(crate) mod looping;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod sandbox;
pub(crate) mod spread;
pub(crate) mod storm;
