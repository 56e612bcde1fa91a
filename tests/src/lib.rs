//! What the end-to-end tests have in common: directories, the program as a process, guests, and waiting for conditions.
//!
//! The tests need the guests and the program: `cargo xtask test` builds both and runs everything.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests use it, and to fail is what they are for"
)]

mod command;
mod dir;
mod guests;
pub mod killed;
mod modules;
mod wait;

pub use command::{Ended, Pelton, Running, pelton};
pub use dir::Dir;
pub use guests::{cache, feed, guest, root};
pub use modules::{BadModule, bad_modules, component};
pub use wait::{LIMIT, until};
