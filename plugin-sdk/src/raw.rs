//! The contract's own types, for a handler that wants the columns themselves.
//!
//! Implement [`Lifecycle`] and [`BatchHandler`] for a type and pass it to [`export!`](export):
//!
//! ```
//! use pelton_sdk::raw;
//!
//! struct Counter;
//!
//! impl raw::Lifecycle for Counter {
//!     fn start(_config: Vec<(String, String)>) -> Result<raw::Plan, String> {
//!         Ok(raw::Plan { wants: vec!["bodies".into()], ..raw::Plan::default() })
//!     }
//!     fn stop() {}
//! }
//!
//! impl raw::BatchHandler for Counter {
//!     fn handle(batch: raw::Batch) -> raw::Handled {
//!         raw::Handled { considered: batch.count, ..raw::Handled::default() }
//!     }
//! }
//!
//! #[cfg(target_family = "wasm")]
//! raw::export!(Counter with_types_in raw::bindings);
//! ```

pub use bindings::exports::pelton::plugin::batch_handler::Guest as BatchHandler;
pub use bindings::exports::pelton::plugin::lifecycle::{Guest as Lifecycle, Plan};
pub use bindings::pelton::plugin::columns::{Batch, Blobs, Column, Failure, Handled, Headers, Outputs};
pub use bindings::pelton::plugin::progress;
pub use bindings::wasi::logging::logging;

#[doc(inline)]
pub use bindings::export;

pub use crate::glue::{messages, run};

/// Sends the lines of the `log` crate and the reasons of panics to the host. For `start`; [`handler!`](crate::handler!)
/// does it by itself. Does nothing in a native build.
pub use crate::report::install as report_to_host;

/// What wit-bindgen made of the contract.
// The generated glue lifts and lowers by raw pointers as the canonical ABI lays down; it is wit-bindgen's to prove.
#[allow(unsafe_code, missing_docs, unreachable_pub)]
#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "batch-plugin",
        path: "../wit/0.1.0",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "pelton_sdk::raw::bindings",
        additional_derives: [Default, PartialEq],
        additional_derives_ignore: ["level"],
    });
}
