//! Write message handlers for Pelton.
//!
//! A handler is a plain function from a [`Message`] to what it gives rise to, or to a [`Failure`]:
//!
//! ```
//! use pelton_sdk::{Failure, Message, Output, handler};
//!
//! fn handle(message: Message<'_>) -> Result<Option<Output>, Failure> {
//!     let text = message.text()?;
//!     if !text.contains("urgent") {
//!         return Ok(None);
//!     }
//!     Ok(Some(Output::forward().header("urgent", true)))
//! }
//!
//! handler!(handle);
//!
//! # fn main() {
//! // The same function runs natively, so `cargo test` needs no WebAssembly.
//! let message = pelton_sdk::testing::message().body("an urgent call");
//! assert!(handle(message.message()).unwrap().is_some());
//! # }
//! ```
//!
//! # Layout
//!
//! | module | holds |
//! |---|---|
//! | [`Message`], [`Value`] | what comes in, borrowed from the batch that the host passed |
//! | [`Output`], [`IntoOutputs`] | what goes out |
//! | [`Failure`], [`OrFail`] | why a message is not done |
//! | [`handler!`] | makes the function a component, with settings where wanted |
//! | [`testing`] | messages and settings for native tests |
//! | [`raw`] | the contract's own types, for a handler that wants the columns |
//!
//! Underneath, a whole batch arrives in columns and goes back in columns; a message without outputs costs no
//! allocation. None of that shows in a handler.
//!
//! # Logging and panics
//!
//! Inside a component, lines of the [`log`] crate go to the host with the target as context and the message they
//! belong to. Every level is passed on; the host filters. The features of `log` such as `release_max_level_info` keep
//! lines that nobody wants from being made at all. A panic is reported to the host, with its place, before the
//! instance ends.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod columns;
mod encode;
mod failure;
mod glue;
mod handler;
mod message;
mod output;
pub mod raw;
mod report;
mod settings;
pub mod testing;
mod value;

pub use failure::{Failure, OrFail};
pub use message::{Headers, Message};
pub use output::{Given, IntoOutputs, Output};
pub use value::Value;

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// What the expansion of [`handler!`] calls. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::glue::{not_started, plan, run};
    pub use crate::handler::{check_wants, settle_settings};
    pub use crate::report::install;
}

/// The README's handler compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct ProjectReadme;
