//! How plugins are built on this machine.
//!
//! Where rustup has the target wasm32-wasip2, or can fetch it, cargo makes components at once. Where its servers are
//! out of reach (behind many company proxies), Debian's packages build a standard library for wasm32-wasip1 from source; what
//! comes out is a core module with its component type embedded, which the host takes as well.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{cargo, program, succeed};

const DEBIAN_PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19", "wasi-libc"];

/// One file of each package, in their order.
const DEBIAN_FILES: [&str; 5] = [
    "/usr/bin/rustc",
    "/usr/bin/cargo",
    "/usr/lib/rustlib/src/rust/library/std/src/lib.rs",
    "/usr/lib/llvm-19/bin/wasm-ld",
    "/usr/lib/wasm32-wasi/libc.a",
];

/// A proxy may swallow a connection without an answer; nobody should wait for that.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the person asked for.
#[derive(Clone, Copy)]
pub(crate) enum Choice {
    BestThereIs,
    Debian,
}

/// What plugins are built with.
#[derive(Clone, Copy)]
pub(crate) enum Toolchain {
    Rustup,
    Debian,
}

impl Toolchain {
    /// Finds or installs one.
    ///
    /// # Errors
    /// There is none to be had, with what a person can do about it.
    pub(crate) fn find(choice: Choice) -> Result<Toolchain> {
        if matches!(choice, Choice::BestThereIs) && (rustup_has_target() || rustup_fetches_target()) {
            return Ok(Toolchain::Rustup);
        }
        if !debian_is_installed() {
            install_debian()?;
        }
        Ok(Toolchain::Debian)
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Toolchain::Rustup => "rustup's wasm32-wasip2 (components)",
            Toolchain::Debian => "Debian's rustc-web for wasm32-wasip1 (core modules with their component type)",
        }
    }

    /// The target's name, which is also that of its folder.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Toolchain::Rustup => "wasm32-wasip2",
            Toolchain::Debian => "wasm32-wasip1",
        }
    }

    /// The build of all plugins in release mode, in `folder`.
    pub(crate) fn build(self, folder: &Path) -> Command {
        let mut command = match self {
            Toolchain::Rustup => cargo(["build", "--release"]),
            Toolchain::Debian => debian_cargo(),
        };
        command.args(["--manifest-path", "plugins/Cargo.toml", "--target", self.target(), "--target-dir"]).arg(folder);
        // Flags for the host's code do not fit a guest's.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command
    }
}

fn debian_cargo() -> Command {
    let mut command = program("/usr/bin/cargo");
    command
        .args(["build", "--release", "-Z", "build-std=std,panic_abort"])
        .env("RUSTC", "/usr/bin/rustc")
        // `build-std` is unstable; this lets a stable compiler take it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_WASIP1_LINKER", "/usr/lib/llvm-19/bin/wasm-ld")
        .env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", "-Clink-self-contained=no -Lnative=/usr/lib/wasm32-wasi");
    // The rustup toolchain that runs this program must not leak into the other one.
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

fn rustup_has_target() -> bool {
    let listed = program("rustup").args(["target", "list", "--installed"]).stderr(Stdio::null()).output();
    listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "wasm32-wasip2"))
}

fn rustup_fetches_target() -> bool {
    let quiet = program("rustup")
        .args(["target", "add", "wasm32-wasip2"])
        .env("RUSTUP_MAX_RETRIES", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut rustup) = quiet else {
        return false;
    };
    eprintln!("guests: asking rustup for the target wasm32-wasip2");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match rustup.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => sleep(Duration::from_millis(50)),
            Err(_) => break,
        }
    }
    // Whether it can still be killed or has just ended makes no difference: it is waited for.
    let _ = rustup.kill();
    let _ = rustup.wait();
    false
}

fn debian_is_installed() -> bool {
    DEBIAN_FILES.iter().all(|file| Path::new(file).exists())
}

fn install_debian() -> Result<()> {
    let command = format!("apt-get install -y --no-install-recommends {}", DEBIAN_PACKAGES.join(" "));
    let advice = format!(
        "plugins need a Rust for WebAssembly: either `rustup target add wasm32-wasip2`, or on Debian `{command}` as root"
    );
    if !PathBuf::from("/usr/bin/apt-get").exists() {
        bail!("{advice}; here rustup has not got the target, could not fetch it, and there is no apt-get");
    }
    eprintln!("guests: installing {} by apt-get", DEBIAN_PACKAGES.join(", "));
    let apt = |arguments: &[&str]| {
        let root = program("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
        let mut command = if root { program("apt-get") } else { program("sudo") };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        succeed(&mut command)
    };
    let install: Vec<&str> = ["install", "-y", "--no-install-recommends"].into_iter().chain(DEBIAN_PACKAGES).collect();
    let installed = apt(&["update"]).and_then(|()| apt(&install));
    match installed {
        Ok(()) if debian_is_installed() => Ok(()),
        Ok(()) => {
            let missing: Vec<_> = DEBIAN_FILES.iter().filter(|file| !Path::new(file).exists()).copied().collect();
            bail!("{advice}; apt-get succeeded, but there is still no {}", missing.join(", "))
        }
        Err(error) => Err(error.context(advice)),
    }
}
