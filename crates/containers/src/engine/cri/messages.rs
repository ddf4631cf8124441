//! The messages of the container runtime interface, with the fields that are read: those of gRPC, and the JSON beside them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VersionRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VersionResponse {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StatusRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(bool, tag = "2")]
    pub(super) verbose: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContainerName {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub(super) image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContainerStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<ContainerStatus>,
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContainerStatus {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) name: Option<ContainerName>,
    #[prost(int64, tag = "4")]
    pub(super) created_ns: i64,
    #[prost(message, optional, tag = "8")]
    pub(super) image: Option<ImageSpec>,
    #[prost(string, tag = "9")]
    pub(super) image_ref: String,
    #[prost(map = "string, string", tag = "12")]
    pub(super) labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodSandboxStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<PodSandboxStatus>,
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodSandboxStatus {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) name: Option<PodName>,
    #[prost(int64, tag = "4")]
    pub(super) created_ns: i64,
    #[prost(map = "string, string", tag = "7")]
    pub(super) labels: HashMap<String, String>,
    #[prost(string, tag = "9")]
    pub(super) runtime_handler: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodName {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) containers: Vec<ListedContainer>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListedContainer {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) name: Option<ContainerName>,
    #[prost(message, optional, tag = "4")]
    pub(super) image: Option<ImageSpec>,
    #[prost(string, tag = "5")]
    pub(super) image_ref: String,
    #[prost(int64, tag = "7")]
    pub(super) created_ns: i64,
    #[prost(map = "string, string", tag = "8")]
    pub(super) labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListPodSandboxResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) sandboxes: Vec<ListedSandbox>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListedSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) name: Option<PodName>,
    #[prost(int64, tag = "4")]
    pub(super) created_ns: i64,
    #[prost(map = "string, string", tag = "5")]
    pub(super) labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "6")]
    pub(super) annotations: HashMap<String, String>,
    #[prost(string, tag = "7")]
    pub(super) runtime_handler: String,
}

/// The JSON that containerd and CRI-O put beside a status when asked for more.
#[derive(Deserialize)]
pub(super) struct Info<'a> {
    pub(super) pid: Option<u32>,
    #[serde(rename = "runtimeType")]
    pub(super) runtime_type: Option<String>,
    pub(super) privileged: Option<bool>,
    #[serde(borrow, rename = "runtimeSpec")]
    pub(super) runtime_spec: Option<&'a RawValue>,
    pub(super) config: Option<InfoConfig>,
}

#[derive(Deserialize)]
pub(super) struct InfoConfig {
    pub(super) linux: Option<InfoLinux>,
}

#[derive(Deserialize)]
pub(super) struct InfoLinux {
    pub(super) security_context: Option<InfoSecurity>,
}

#[derive(Deserialize)]
pub(super) struct InfoSecurity {
    pub(super) privileged: Option<bool>,
    pub(super) capabilities: Option<InfoCapabilities>,
}

#[derive(Deserialize)]
pub(super) struct InfoCapabilities {
    pub(super) add_capabilities: Option<Vec<String>>,
    pub(super) drop_capabilities: Option<Vec<String>>,
}
