//! End-to-end tests: the program as a process and the library in this one, on real guests, files and signals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod broker;
mod cache;
mod check;
mod crash;
mod dead;
mod follow;
mod inspect;
mod invoke;
mod kinds;
mod log;
mod memory;
mod misbehave;
mod reload;
mod replay;
mod run;
mod signals;
mod stored;
mod twenty;
