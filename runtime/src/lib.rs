//! Pelton runs message handlers as sandboxed WebAssembly components, and owns everything around them: connections,
//! buffering, retries, dead letters, reloading.
//!
//! # Layout
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | messages, batches, outcomes: plain data |
//! | [`stream`] | the sequence log that everything which holds messages is, its cursors and budgets |
//! | [`log`] | the sequence log: what keeps its messages, in memory or on disk, and its readers |
//! | [`events`] | what happens, told on one bus |
//! | [`outlet`] | a stream, as those who append to it see it |
//! | [`broker`] | sources and sinks, and the two loops that drive them |
//! | [`handler`] | what handles a batch: the trait, and closures |
//! | [`wasm`] | handlers in WebAssembly; the only place that names wasmtime |
//! | [`slot`] | which generation of a handler's code serves |
//! | [`worker`], [`pool`] | the processing loop, and how many of it run |
//! | [`dead`] | what a dead letter says; finding letters, putting them back, giving them up |
//! | [`replay`] | what a handler would do with past messages |
//! | [`config`] | from YAML to a valid configuration, every mistake reported at once |
//! | [`host`] | wires all of it; start and stop order |
//! | [`serve`] | the embedded broker: streams over gRPC |
//! | [`client`] | clients of it |
//! | [`metrics`] | what is counted |
//! | [`cli`] | the commands |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod dead;
pub mod events;
pub mod handler;
pub mod host;
pub mod log;
pub mod message;
pub mod metrics;
pub mod outlet;
pub mod pool;
pub mod replay;
pub mod serve;
pub mod slot;
pub mod stream;
pub mod wasm;
pub mod worker;
