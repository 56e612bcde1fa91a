use super::bindings::exports::pelton::plugin::batch_handler::{Guest, GuestIndices};
use super::gather::{Gather, Wants};
use super::{Invalid, Targets, scatter};
use crate::message::{Batch, Handled, MessageBuilder};
use crate::wasm::host::HostState;
use wasmtime::Store;
use wasmtime::component::Instance;

/// Calls a handler that takes its messages by columns: one call a batch.
pub(in crate::wasm) struct ByColumns {
    guest: Guest,
    gather: Gather,
    builder: MessageBuilder,
}

impl ByColumns {
    pub(in crate::wasm) fn new(
        store: &mut Store<HostState>,
        instance: &Instance,
        indices: &GuestIndices,
    ) -> wasmtime::Result<ByColumns> {
        Ok(ByColumns {
            guest: indices.load(store, instance)?,
            gather: Gather::default(),
            builder: MessageBuilder::new(),
        })
    }

    pub(in crate::wasm) async fn handle(
        &mut self,
        store: &mut Store<HostState>,
        batch: &Batch,
        wants: Wants,
        targets: &Targets,
        most: u64,
    ) -> wasmtime::Result<Result<Handled, Invalid>> {
        let columns = self.gather.batch(batch, wants);
        let answer = self.guest.call_handle(store, columns).await?;
        Ok(scatter::handled(&answer, batch, targets, most, &mut self.builder))
    }

    /// Gathers once and calls so many times: what the call alone costs.
    pub(in crate::wasm) async fn call_again(
        &mut self,
        store: &mut Store<HostState>,
        batch: &Batch,
        times: usize,
    ) -> wasmtime::Result<()> {
        let columns = self.gather.batch(batch, Wants::new(&[]));
        for _ in 0..times {
            self.guest.call_handle(&mut *store, columns.clone()).await?;
        }
        Ok(())
    }
}
