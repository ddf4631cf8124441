//! Compiles the BPF side: every `src/<name>/<name>.bpf.c` is one sensor, all of them one object; every
//! `src/guard_<name>/guard_<name>.bpf.c` is one guard, all of them another.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use libbpf_cargo::SkeletonBuilder;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target");
    let macro_name = match architecture.as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => panic!("there is no vmlinux.h for {other}: crates/sensors/bpf/vmlinux has x86_64 and aarch64"),
    };

    let (guards, sensors): (Vec<String>, Vec<String>) =
        programs(&root.join("src")).into_iter().partition(|name| name.starts_with("guard_"));
    fs::write(out.join("sensors.h"), numbers(&sensors)).expect("OUT_DIR can be written");
    fs::write(out.join("handlers.h"), handlers(&sensors, &root.join("src"))).expect("OUT_DIR can be written");
    let source = out.join("ringfence.bpf.c");
    fs::write(&source, unit(&sensors)).expect("OUT_DIR can be written");
    let guard_source = out.join("guards.bpf.c");
    fs::write(&guard_source, unit(&guards)).expect("OUT_DIR can be written");

    let flags = [
        format!("-I{}", out.display()),
        format!("-I{}", root.join("bpf").display()),
        format!("-I{}", root.join("bpf/vmlinux").join(&architecture).display()),
        format!("-I{}", root.join("src").display()),
        format!("-D__TARGET_ARCH_{macro_name}"),
        "-Wall".into(),
        "-Wextra".into(),
        "-Werror".into(),
        "-Wno-unused-parameter".into(),
        "-Wno-missing-declarations".into(),
    ];
    // Atomic operations that return something came with v3 of the instructions and kernel 5.12.
    let new = ["-DOLD_KERNEL=0", "-mcpu=v3"];
    let old = ["-DOLD_KERNEL=1", "-mcpu=v2"];
    for (object, source, kernel) in [
        ("ringfence", &source, new),
        ("ringfence-old", &source, old),
        // Nothing in them is worth two forms.
        ("guards", &guard_source, old),
        ("probe", &root.join("bpf/probe.bpf.c"), old),
        ("preemption", &root.join("bpf/preemption.bpf.c"), old),
    ] {
        let mut builder = SkeletonBuilder::new();
        let args = flags.iter().map(String::as_str).chain(kernel);
        builder.source(source).obj(out.join(format!("{object}.bpf.o"))).clang(clang()).clang_args(args);
        if let Err(error) = builder.build() {
            panic!("the BPF programs do not compile: {error:#}");
        }
        let compiled = fs::read(out.join(format!("{object}.bpf.o"))).expect("it was compiled");
        let packed = miniz_oxide::deflate::compress_to_vec(&compiled, 9);
        fs::write(out.join(format!("{object}.bpf.o.deflate")), packed).expect("OUT_DIR can be written");
    }
    // The old one of the sensors has the same types.
    for object in ["ringfence", "guards"] {
        let mut builder = SkeletonBuilder::new();
        let skeleton = out.join(format!("{object}.skel.rs"));
        if let Err(error) = builder.obj(out.join(format!("{object}.bpf.o"))).generate(skeleton) {
            panic!("the types of the BPF programs cannot be written in Rust: {error:#}");
        }
    }
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CLANG");
}

/// The names of the folders that hold a program of the same name, in a fixed order.
fn programs(src: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(src)
        .expect("src can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| src.join(name).join(format!("{name}.bpf.c")).is_file())
        .collect();
    names.sort();
    names
}

fn numbers(sensors: &[String]) -> String {
    let mut header = String::from("/* Written by build.rs. */\n#pragma once\n\nenum sensor {\n");
    for name in sensors {
        let _ = writeln!(header, "\tSENSOR_{name},");
    }
    header.push_str("\tSENSORS,\n};\n");
    header
}

/// Has each handler called that a sensor has: a line that begins with `ON_RETURN(its name)` or `ON_ENTRY(its name)`.
fn handlers(sensors: &[String], src: &Path) -> String {
    let mut header = String::from("/* Written by build.rs. */\n#pragma once\n\n");
    for (begin, function, all) in
        [("ON_RETURN", "on_return", "CALL_HANDLERS"), ("ON_ENTRY", "on_entry", "ENTRY_HANDLERS")]
    {
        let has_handler = |name: &&String| {
            let text = fs::read_to_string(src.join(name).join(format!("{name}.bpf.c"))).expect("the file was found");
            text.lines().any(|line| line.starts_with(&format!("{begin}({name})")))
        };
        let mut body = format!("#define {all}(sensors, call) do {{ (void)(sensors); (void)(call);");
        for name in sensors.iter().filter(has_handler) {
            let _ = writeln!(header, "{begin}({name});");
            // Of a function whose result nobody takes the compiler leaves it open, and it may then be a pointer.
            let call = format!("{{ int done = {name}_{function}(call); barrier_var(done); }}");
            let _ = write!(body, " if ((sensors) & 1U << SENSOR_{name}) {call}");
        }
        header += &(body + " } while (0)\n");
    }
    header
}

fn unit(sensors: &[String]) -> String {
    let mut unit = String::from("/* Written by build.rs. */\n");
    for name in sensors {
        let _ = writeln!(unit, "#include \"{name}/{name}.bpf.c\"");
    }
    unit.push_str("\nchar LICENSE[] SEC(\"license\") = \"Dual BSD/GPL\";\n");
    unit
}

/// `$CLANG`, else the newest that is installed under its versioned name, else plain `clang`.
fn clang() -> PathBuf {
    if let Some(chosen) = env::var_os("CLANG") {
        return chosen.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    for version in (16..=24).rev() {
        let name = format!("clang-{version}");
        if env::split_paths(&path).any(|folder| folder.join(&name).is_file()) {
            return name.into();
        }
    }
    "clang".into()
}
