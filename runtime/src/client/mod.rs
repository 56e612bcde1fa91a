//! Clients of the embedded broker.
//!
//! # Layout
//! - `connection`: [`Connection`], to one of several addresses, made again when it was lost
//! - `producer`: [`Producer`], which sends in batches; `appender` sends one batch, once
//! - `consumer`: [`Consumer`], which reads; `subscription` its part in a group, as long as one call lasts; `places` its runs
//! - `admin`: [`Admin`], which looks after streams
//! - `error`: [`ClientError`]

mod admin;
mod appender;
mod connection;
mod consumer;
mod error;
mod places;
mod producer;
mod subscription;

pub use admin::{Admin, NewStream};
pub use connection::Connection;
pub use consumer::{Consumer, ConsumerOptions, MessageHandler, Reading};
pub use error::ClientError;
pub use producer::{Producer, ProducerOptions};

pub(crate) use appender::Appender;
pub(crate) use places::add as add_place;
pub(crate) use subscription::{RENEW, Subscription, open};
