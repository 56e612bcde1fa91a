use std::fs;
use std::path::{Path, PathBuf};

/// The root of the project, where the paths in `config/` start.
pub fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
}

/// The file of a guest, by its name under `plugins/`.
///
/// # Panics
/// Where it has not been built.
pub fn guest(name: &str) -> PathBuf {
    let path = root().join(format!("target/guests/{name}.wasm"));
    assert!(path.is_file(), "{} is not there; `cargo xtask test` builds it", path.display());
    path
}

/// Where the tests keep compiled guests, so that each is compiled once and not by every test.
pub fn cache() -> PathBuf {
    root().join("target/tests/pelton")
}

/// The lines of the real feed, a week of earthquakes.
pub fn feed() -> Vec<String> {
    let feed = fs::read_to_string(root().join("config/demo/quakes.ndjson")).unwrap();
    feed.lines().map(str::to_owned).collect()
}
