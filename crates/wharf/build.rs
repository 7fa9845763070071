//! How the binary is linked: at a fixed address.
//!
//! Each container's shim is this program. Placed anywhere, it would begin by writing 2 MiB of addresses
//! into pages of its own, a sixth of the CPU time of a container's start and most of what a shim weighs
//! (docs/decisions). Stack, heap and libraries are where chance puts them as before.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    // A static program is linked otherwise, and is whole without this.
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") && !is_static {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
