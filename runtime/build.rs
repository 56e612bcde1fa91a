//! The embedded broker's messages and services out of `proto/`. protox reads it, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    const FILE: &str = "pelton/v1/pelton.proto";
    println!("cargo:rerun-if-changed=../proto");
    let descriptors = protox::compile([FILE], ["../proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
