use proptest::prelude::*;

use super::{Engine, Identity, Kind, chain, classify};

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const UID: &str = "6f2d0a3b-1c2d-4e5f-8a9b-0c1d2e3f4a5b";
const UID_: &str = "6f2d0a3b_1c2d_4e5f_8a9b_0c1d2e3f4a5b";

fn is(engine: Engine, id: &str) -> Kind {
    Kind::Container(Identity { engine, id: id.into(), pod: None })
}

fn in_pod(engine: Engine, id: &str, pod: &str) -> Kind {
    Kind::Container(Identity { engine, id: id.into(), pod: Some(pod.into()) })
}

fn inside(engine: Engine, id: &str) -> Kind {
    Kind::Inside(Identity { engine, id: id.into(), pod: None })
}

fn pod(pod: Option<&str>) -> Kind {
    Kind::PodParent { pod: pod.map(Into::into) }
}

/// One test per line: its name, the path with `{A}` and so on filled in, and what it is.
macro_rules! table {
    ($($name:ident: $path:literal => $kind:expr;)*) => { $(
        #[test]
        fn $name() {
            let path = $path.replace("{A}", A).replace("{B}", B).replace("{UID}", UID).replace("{UID_}", UID_);
            assert_eq!(classify(path.as_bytes()), $kind, "{path}");
        }
    )* };
}

table! {
    // Docker
    docker_cgroupfs: "/docker/{A}" => is(Engine::Docker, A);
    docker_systemd: "/system.slice/docker-{A}.scope" => is(Engine::Docker, A);
    docker_rootless: "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope" => is(Engine::Docker, A);
    docker_custom_parent: "/my.slice/my-batch.slice/docker-{A}.scope" => is(Engine::Docker, A);
    docker_custom_cgroupfs_parent_is_found_by_its_id: "/batch/{A}" => is(Engine::Unknown, A);
    docker_parent: "/docker" => Kind::EngineParent(Engine::Docker);
    docker_ecs: "/ecs/2f6d3f8cba9a4c1c8f35/{A}" => is(Engine::Docker, A);
    docker_ecs_task: "/ecs/2f6d3f8cba9a4c1c8f35" => Kind::EngineParent(Engine::Docker);
    docker_with_a_cgroup_of_its_workload: "/docker/{A}/init.scope" => inside(Engine::Docker, A);
    docker_relative_to_a_cgroup_namespace: "/../{A}" => is(Engine::Unknown, A);
    docker_short_id_is_nothing: "/docker/0123456789ab" => Kind::Ordinary;
    docker_service_itself: "/system.slice/docker.service" => Kind::Ordinary;
    docker_layer_mount_unit: "/system.slice/var-lib-docker-overlay2-{A}-merged.mount" => Kind::Ordinary;

    // nested
    docker_in_docker: "/docker/{A}/docker/{B}" => is(Engine::Docker, B);
    docker_in_docker_systemd: "/system.slice/docker-{A}.scope/docker/{B}" => is(Engine::Docker, B);
    docker_in_docker_init_leaf: "/docker/{A}/init" => inside(Engine::Docker, A);
    kind_node: "/docker/{A}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{UID_}.slice/cri-containerd-{B}.scope" => in_pod(Engine::Cri, B, UID);
    kind_node_cgroupfs: "/docker/{A}/kubelet/kubepods/besteffort/pod{UID}/{B}" => in_pod(Engine::Cri, B, UID);
    kind_pod_parent: "/docker/{A}/kubelet/kubepods/besteffort/pod{UID}" => pod(Some(UID));
    podman_in_kubernetes: "/kubepods/burstable/pod{UID}/{A}/libpod_parent/libpod-{B}" => is(Engine::Podman, B);

    // containerd
    ctr: "/default/redis" => is(Engine::Containerd, "redis");
    ctr_deeper_is_not_its_shape: "/batch/default/redis" => Kind::Ordinary;
    containerd_k8s_namespace: "/k8s.io/{A}" => is(Engine::Cri, A);
    containerd_k8s_parent: "/k8s.io" => Kind::EngineParent(Engine::Cri);
    containerd_other_namespace_is_found_by_its_id: "/moby/{A}" => is(Engine::Unknown, A);
    nerdctl_cgroupfs: "/default/{A}" => is(Engine::Containerd, A);
    nerdctl_systemd: "/system.slice/nerdctl-{A}.scope" => is(Engine::Containerd, A);
    nerdctl_rootless: "/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-{A}.scope" => is(Engine::Containerd, A);
    containerd_scope: "/system.slice/containerd-{A}.scope" => is(Engine::Containerd, A);

    // Kubernetes
    cri_cgroupfs_guaranteed: "/kubepods/pod{UID}/{A}" => in_pod(Engine::Cri, A, UID);
    cri_cgroupfs_burstable: "/kubepods/burstable/pod{UID}/{A}" => in_pod(Engine::Cri, A, UID);
    cri_cgroupfs_besteffort: "/kubepods/besteffort/pod{UID}/{A}" => in_pod(Engine::Cri, A, UID);
    cri_static_pod: "/kubepods/burstable/pod0f1e2d3c4b5a69788796a5b4c3d2e1f0/{A}" => in_pod(Engine::Cri, A, "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
    cri_systemd_burstable: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{A}.scope" => in_pod(Engine::Cri, A, UID);
    cri_systemd_guaranteed: "/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{A}.scope" => in_pod(Engine::Cri, A, UID);
    cri_systemd_name_under_cgroupfs: "/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{A}" => in_pod(Engine::Cri, A, UID);
    k3s: "/kubepods/burstable/pod{UID}/{A}" => in_pod(Engine::Cri, A, UID);
    k3s_inside_its_service: "/system.slice/k3s.service/kubepods/burstable/pod{UID}/{A}" => in_pod(Engine::Cri, A, UID);
    rke2: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/cri-containerd-{A}.scope" => in_pod(Engine::Cri, A, UID);
    microk8s: "/kubepods/besteffort/pod{UID}/{A}" => in_pod(Engine::Cri, A, UID);
    cri_dockerd: "/kubepods.slice/kubepods-pod{UID_}.slice/docker-{A}.scope" => in_pod(Engine::Docker, A, UID);
    crio_systemd: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/crio-{A}.scope" => in_pod(Engine::CriO, A, UID);
    crio_under_crun_has_a_leaf: "/kubepods.slice/kubepods-pod{UID_}.slice/crio-{A}.scope/container" => Kind::Inside(Identity { engine: Engine::CriO, id: A.into(), pod: Some(UID.into()) });
    crio_cgroupfs: "/kubepods/besteffort/pod{UID}/crio-{A}" => in_pod(Engine::CriO, A, UID);
    crio_conmon: "/kubepods.slice/kubepods-pod{UID_}.slice/crio-conmon-{A}.scope" => Kind::Monitor;
    pods_all: "/kubepods" => pod(None);
    pods_burstable: "/kubepods/burstable" => pod(None);
    pods_slice: "/kubepods.slice/kubepods-besteffort.slice" => pod(None);
    pod_cgroupfs: "/kubepods/burstable/pod{UID}" => pod(Some(UID));
    pod_slice: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice" => pod(Some(UID));
    burstable_elsewhere_is_nothing: "/burstable" => Kind::Ordinary;
    a_slice_that_only_ends_like_it: "/mykubepods.slice" => Kind::Ordinary;
    kata: "/kubepods/burstable/pod{UID}/kata_{A}" => in_pod(Engine::Kata, A, UID);
    kata_overhead: "/kata_overhead/{A}" => Kind::Monitor;

    // Podman
    podman_cgroupfs: "/libpod_parent/libpod-{A}" => is(Engine::Podman, A);
    podman_systemd: "/machine.slice/libpod-{A}.scope" => is(Engine::Podman, A);
    podman_under_crun_has_a_leaf: "/machine.slice/libpod-{A}.scope/container" => inside(Engine::Podman, A);
    podman_rootless: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope" => is(Engine::Podman, A);
    podman_rootless_leaf: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope/container" => inside(Engine::Podman, A);
    podman_split: "/system.slice/web.service/libpod-payload-{A}" => is(Engine::Podman, A);
    podman_pod_systemd: "/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope" => in_pod(Engine::Podman, A, B);
    podman_pod_cgroupfs: "/libpod_parent/{B}/libpod-{A}" => in_pod(Engine::Podman, A, B);
    podman_pod_rootless: "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_{B}.slice/libpod-{A}.scope/container" => Kind::Inside(Identity { engine: Engine::Podman, id: A.into(), pod: Some(B.into()) });
    podman_pod_parent: "/machine.slice/machine-libpod_pod_{A}.slice" => pod(Some(A));
    podman_pod_parent_plain: "/machine.slice/libpod_pod_{A}.slice" => pod(Some(A));
    podman_pod_parent_cgroupfs: "/libpod_parent/{A}" => pod(Some(A));
    podman_conmon: "/machine.slice/libpod-conmon-{A}.scope" => Kind::Monitor;
    podman_conmon_cgroupfs: "/libpod_parent/libpod-conmon-{A}" => Kind::Monitor;
    podman_conmon_shared: "/libpod_parent/conmon" => Kind::Monitor;
    podman_parent: "/libpod_parent" => Kind::EngineParent(Engine::Podman);
    podman_health_check: "/system.slice/{A}.service" => Kind::Ordinary;

    // builds
    buildkit_in_docker: "/docker/buildkit/xk3hxg0c1o2t3w4e5r6t7y8u9" => is(Engine::Buildkit, "xk3hxg0c1o2t3w4e5r6t7y8u9");
    buildkit_in_docker_systemd: "/system.slice/docker-xk3hxg0c1o2t3w4e5r6t7y8u9.scope" => is(Engine::Buildkit, "xk3hxg0c1o2t3w4e5r6t7y8u9");
    buildkit_in_a_container: "/docker/{A}/buildkit/xk3hxg0c1o2t3w4e5r6t7y8u9" => is(Engine::Buildkit, "xk3hxg0c1o2t3w4e5r6t7y8u9");
    buildkit_parent: "/docker/buildkit" => Kind::EngineParent(Engine::Buildkit);
    buildah: "/buildah-buildah2938472" => is(Engine::Buildah, "buildah2938472");
    buildah_crun_systemd: "/user.slice/user-1000.slice/user@1000.service/user.slice/crun-buildah-buildah2938472.scope" => is(Engine::Buildah, "buildah2938472");

    // others
    runc_systemd: "/system.slice/runc-web.scope" => is(Engine::Runc, "web");
    crun_systemd: "/system.slice/crun-web.scope" => is(Engine::Crun, "web");
    youki_systemd: "/system.slice/youki-web.scope" => is(Engine::Youki, "web");
    runc_without_systemd_is_told_by_structure: "/web" => Kind::Ordinary;
    a_directory_that_only_begins_like_runc: "/runc-tests" => Kind::Ordinary;
    nspawn_scope: "/machine.slice/machine-deb.scope" => is(Engine::Nspawn, "deb");
    nspawn_escaped: "/machine.slice/machine-my\\x2ddeb.scope" => is(Engine::Nspawn, "my-deb");
    nspawn_unit: "/machine.slice/systemd-nspawn@deb.service" => is(Engine::Nspawn, "deb");
    nspawn_payload: "/machine.slice/systemd-nspawn@deb.service/payload" => inside(Engine::Nspawn, "deb");
    nspawn_supervisor: "/machine.slice/systemd-nspawn@deb.service/supervisor" => Kind::Monitor;
    virtual_machine: "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope" => Kind::Ordinary;
    libvirt_lxc: "/machine.slice/machine-lxc\\x2d42\\x2dweb.scope" => is(Engine::Lxc, "lxc-42-web");
    lxc: "/lxc.payload.web" => is(Engine::Lxc, "web");
    lxc_old: "/lxc/web" => is(Engine::Lxc, "web");
    lxc_inner_systemd: "/lxc.payload.web/system.slice/ssh.service" => inside(Engine::Lxc, "web");
    lxc_nested_docker: "/lxc.payload.web/docker/{A}" => is(Engine::Docker, A);
    lxc_monitor: "/lxc.monitor.web" => Kind::Monitor;
    lxc_monitor_old: "/lxc.monitor/web" => Kind::Monitor;
    ringfence: "/ringfence/nightly-1" => is(Engine::Ringfence, "nightly-1");
    ringfence_inside_docker: "/docker/{A}/ringfence/nightly-1" => is(Engine::Ringfence, "nightly-1");
    ringfence_parent: "/ringfence" => Kind::EngineParent(Engine::Ringfence);

    // neither
    root: "/" => Kind::Ordinary;
    empty: "" => Kind::Ordinary;
    login: "/user.slice/user-1000.slice/session-3.scope" => Kind::Ordinary;
    init: "/init.scope" => Kind::Ordinary;
    a_32_digit_name: "/process/9dd2c18dc7f1678f06c8491424cf340b" => Kind::Ordinary;
    digits_65: "/docker/{A}0" => Kind::Ordinary;
    upper_case_digits: "/docker/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF" => Kind::Ordinary;
    dots_are_no_name: "/default/.." => Kind::Ordinary;
}

#[test]
fn bytes_that_are_no_text_are_ordinary() {
    assert_eq!(classify(b"/docker/\xff\xfe"), Kind::Ordinary);
}

#[test]
fn a_chain_names_every_container_and_where_its_cgroup_is() {
    let path = format!("/docker/{A}/docker/{B}/init");

    let found = chain(path.as_bytes());

    let shown: Vec<_> = found.iter().map(|found| (found.identity.id.as_str(), &path[..found.length])).collect();
    assert_eq!(shown, [(A, format!("/docker/{A}").as_str()), (B, format!("/docker/{A}/docker/{B}").as_str())]);
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in prop::collection::vec(any::<u8>(), 0..600)) {
        classify(&path);
        chain(&path);
    }

    #[test]
    fn no_path_of_known_words_makes_it_panic(
        parts in prop::collection::vec(prop::sample::select(vec![
            "/", "docker", "-", ".scope", ".slice", "kubepods", "-pod", "libpod", "libpod_pod_", "_parent", "é", "\\x2", "\\x2d",
            "machine-", ":", "cri-containerd", "crio-", "buildah-buildah", "0", A, "lxc.payload.", "systemd-nspawn@", ".service",
        ]), 0..24)
    ) {
        let path = parts.concat();
        for found in chain(path.as_bytes()) {
            prop_assert!(!found.identity.id.is_empty() && found.identity.id.is_ascii());
            prop_assert!(found.length <= path.len());
        }
        if let Some(identity) = classify(path.as_bytes()).container() {
            let chain = chain(path.as_bytes());
            prop_assert_eq!(Some(identity), chain.last().map(|found| &found.identity));
        }
    }

    #[test]
    fn an_id_in_any_component_is_found(before in "[a-z.]{0,8}", under in "(/[a-z]{1,5}){0,3}", id in "[0-9a-f]{64}") {
        let path = format!("{under}/{before}-{id}.scope");
        prop_assert_eq!(classify(path.as_bytes()).container().map(|found| found.id.clone()), Some(id));
    }
}
