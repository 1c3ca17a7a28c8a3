//! With the feature `duckdb`, the program finds the library where it was linked from: it starts itself again
//! behind a fence, with an empty environment, so that `LD_LIBRARY_PATH` would not do.

#![expect(
    clippy::disallowed_methods,
    reason = "what cargo tells a build script is in the environment"
)]

fn main() {
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo::rerun-if-changed=build.rs");
    let wanted = std::env::var_os("CARGO_FEATURE_DUCKDB").is_some();
    if let Some(folder) = std::env::var_os("DUCKDB_LIB_DIR").filter(|_| wanted) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
