//! What `proto/pelton/v1/pelton.proto` becomes. Its own comments are the documentation.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

tonic::include_proto!("pelton.v1");

/// The descriptors of all of it, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The service's full name.
pub const SERVICE: &str = "pelton.v1.Broker";
