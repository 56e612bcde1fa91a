use super::guest::bindings::pelton::plugin::progress;
use super::guest::bindings::wasi::logging::logging::{self, Level};
use crate::config::Limits;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use wasmtime::ResourceLimiter;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// What the host keeps for one instance.
pub(super) struct HostState {
    table: ResourceTable,
    wasi: WasiCtx,
    pub(super) memory: MemoryLimit,
    log: GuestLog,
    /// The place in the batch that the guest said it is at, and what it said before it trapped.
    pub(super) current: Option<u32>,
    pub(super) fault: Option<(u32, String)>,
}

/// Marks [`HostState`] as what the host's own imports work on.
pub(super) struct Host;

impl HasData for Host {
    type Data<'a> = &'a mut HostState;
}

impl HostState {
    pub(super) fn new(handler: &Arc<str>, limits: &Limits) -> HostState {
        let log = GuestLog::new(handler.clone());
        let wasi = WasiCtxBuilder::new().stdout(log.clone()).stderr(log.clone()).build();
        let most = usize::try_from(limits.memory).unwrap_or(usize::MAX);
        let memory = MemoryLimit { most, grown: 0, refused: false };
        let mut table = ResourceTable::new();
        // A guest that leaks what it is given would otherwise have a million entries of the host's memory.
        table.set_max_capacity(10_000);
        HostState { table, wasi, memory, log, current: None, fault: None }
    }

    /// Forgets what the last call said.
    pub(super) fn begin_call(&mut self) {
        self.current = None;
        self.fault = None;
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl progress::Host for HostState {
    fn begin(&mut self, message: u32) {
        self.current = Some(message);
    }

    fn fault(&mut self, message: u32, reason: String) {
        self.fault = Some((message, shorten(reason)));
    }
}

impl logging::Host for HostState {
    fn log(&mut self, level: Level, context: String, message: String) {
        self.log.line(level, &context, self.current, &message);
    }
}

/// A reason or a line of a guest's log, no longer than a person would read.
pub(super) fn shorten(mut text: String) -> String {
    const MOST: usize = 4096;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

/// Refuses memory beyond the handler's limit, all its memories and tables together.
pub(super) struct MemoryLimit {
    most: usize,
    grown: usize,
    /// Whether it has refused any: then a trap that follows is put down to it.
    pub(super) refused: bool,
}

impl MemoryLimit {
    /// What the guest has, in bytes.
    pub(super) fn used(&self) -> usize {
        self.grown
    }

    fn grow(&mut self, more: usize) -> bool {
        let allowed = self.grown.saturating_add(more) <= self.most;
        if allowed {
            self.grown += more;
        } else {
            self.refused = true;
        }
        allowed
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(size_of::<usize>())))
    }
}

/// Where a guest's log lines and its standard output and error go: the host's log, within bounds.
#[derive(Clone)]
struct GuestLog {
    handler: Arc<str>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    window: Instant,
    lines: u32,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl GuestLog {
    /// A guest that logs more than this many lines a second has the rest swallowed.
    const MOST: u32 = 200;

    fn new(handler: Arc<str>) -> GuestLog {
        let shared = Shared { window: Instant::now(), lines: 0, partial: Vec::new() };
        GuestLog { handler, shared: Arc::new(Mutex::new(shared)) }
    }

    fn line(&self, level: Level, context: &str, place: Option<u32>, message: &str) {
        let handler = &*self.handler;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.window.elapsed() >= Duration::from_secs(1) {
            let swallowed = shared.lines.saturating_sub(GuestLog::MOST);
            if swallowed > 0 {
                tracing::warn!(handler, swallowed, "handler logs too much");
            }
            shared.window = Instant::now();
            shared.lines = 0;
        }
        shared.lines = shared.lines.saturating_add(1);
        if shared.lines > GuestLog::MOST {
            return;
        }
        drop(shared);
        let (context, message) = (&*shorten(context.to_owned()), shorten(message.to_owned()));
        match level {
            Level::Trace => tracing::trace!(target: "pelton::guest", handler, context, place, "{message}"),
            Level::Debug => tracing::debug!(target: "pelton::guest", handler, context, place, "{message}"),
            Level::Info => tracing::info!(target: "pelton::guest", handler, context, place, "{message}"),
            Level::Warn => tracing::warn!(target: "pelton::guest", handler, context, place, "{message}"),
            Level::Error | Level::Critical => {
                tracing::error!(target: "pelton::guest", handler, context, place, "{message}");
            }
        }
    }

    fn output(&self, bytes: &[u8]) {
        let mut lines = Vec::new();
        {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            for byte in bytes {
                if *byte == b'\n' || shared.partial.len() >= 8192 {
                    lines.push(std::mem::take(&mut shared.partial));
                }
                if *byte != b'\n' {
                    shared.partial.push(*byte);
                }
            }
        }
        for line in lines {
            self.line(Level::Info, "output", None, &String::from_utf8_lossy(&line));
        }
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn wasmtime_wasi::p2::OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.output(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl wasmtime_wasi::p2::Pollable for GuestLog {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl wasmtime_wasi::p2::OutputStream for GuestLog {
    fn write(&mut self, bytes: bytes::Bytes) -> wasmtime_wasi::p2::StreamResult<()> {
        self.output(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> wasmtime_wasi::p2::StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> wasmtime_wasi::p2::StreamResult<usize> {
        Ok(64 * 1024)
    }
}
