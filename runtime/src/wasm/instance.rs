use super::guest::columns::ByColumns;
use super::guest::records::ByRecords;
use super::guest::{Invalid, gather::Wants};
use super::host::{HostState, shorten};
use super::loader::{Calls, Module};
use crate::config::InstancePolicy;
use crate::handler::{BatchLimit, Handler, HandlerError};
use crate::message::{Batch, Handled};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use wasmtime::{Store, Trap};

/// One instance of a module, alive until it traps, and never entered again after that.
pub(super) struct Instance {
    store: Store<HostState>,
    calls: Entry,
    stop: Option<super::guest::bindings::exports::pelton::plugin::lifecycle::Guest>,
    wants: Wants,
    limit: BatchLimit,
    /// The memory it had once it had started, in bytes.
    started_with: usize,
}

enum Entry {
    Columns(Box<ByColumns>),
    Records(Box<ByRecords>),
}

/// Setting up may take longer than a message: a scripting language boots in it.
const START: Duration = Duration::from_secs(10);
/// Taking down may not.
const STOP: Duration = Duration::from_millis(100);

impl Instance {
    /// Makes an instance and starts it with the handler's configuration.
    pub(super) async fn start(module: &Module) -> anyhow::Result<Instance> {
        let options = module.options();
        let deadline = START.max(options.limits.deadline);
        let mut store = Store::new(module.engine(), HostState::new(&options.handler, &options.limits));
        store.limiter(|state| &mut state.memory);
        // The host reads no more out of a guest than its outputs may weigh, with what surrounds them.
        store.set_hostcall_fuel(
            usize::try_from(options.limits.output).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(1 << 20),
        );
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let begun = timeout(deadline, Instance::begin(module, store)).await;
        begun.map_err(|_| anyhow::anyhow!("it did not start within {deadline:?}"))?
    }

    async fn begin(module: &Module, mut store: Store<HostState>) -> anyhow::Result<Instance> {
        let options = module.options();
        let made = module.pre().instantiate_async(&mut store).await;
        let instance = made.map_err(|e| anyhow::anyhow!("it cannot be instantiated: {}", why(e, &store)))?;
        let calls = match module.calls() {
            Calls::Columns(indices) => Entry::Columns(Box::new(ByColumns::new(&mut store, &instance, indices)?)),
            Calls::Records(indices) => Entry::Records(Box::new(ByRecords::new(&mut store, &instance, indices)?)),
        };
        let lifecycle = module.lifecycle().map(|indices| indices.load(&mut store, &instance)).transpose()?;
        // An eighth of the guest's memory for a batch leaves it room for its own copies and for what it makes of them.
        let mut limit = BatchLimit { messages: usize::MAX, bytes: options.limits.memory / 8 };
        let mut wants = Vec::new();
        if let Some(guest) = &lifecycle {
            let config: Vec<(&str, &str)> = options.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let started = guest.call_start(&mut store, &config).await;
            let plan = started.map_err(|e| anyhow::anyhow!("its `start` failed: {}", why(e, &store)))?;
            let plan = plan.map_err(|reason| anyhow::anyhow!("its `start` refused: {}", shorten(reason)))?;
            if plan.max_messages > 0 {
                limit.messages = plan.max_messages as usize;
            }
            if plan.max_bytes > 0 {
                limit.bytes = limit.bytes.min(u64::from(plan.max_bytes));
            }
            wants = plan.wants;
        }
        let started_with = store.data().memory.used();
        Ok(Instance { store, calls, stop: lifecycle, wants: Wants::new(&wants), limit, started_with })
    }

    async fn call(&mut self, module: &Module, batch: &Batch) -> Result<Handled, HandlerError> {
        let options = module.options();
        self.store.data_mut().begin_call();
        let (store, most) = (&mut self.store, options.limits.output);
        let call = async {
            match &mut self.calls {
                Entry::Columns(guest) => guest.handle(store, batch, self.wants, &options.targets, most).await,
                Entry::Records(guest) => guest.handle(store, batch, &options.targets, most).await,
            }
        };
        let reason = match timeout(options.limits.deadline, call).await {
            Ok(Ok(Ok(handled))) => return Ok(handled),
            Ok(Ok(Err(Invalid(what)))) => format!("the handler returned {what}"),
            Ok(Err(error)) => why(error, &self.store),
            Err(_) => format!("the handler took longer than its deadline of {:?}", options.limits.deadline),
        };
        Err(HandlerError::Failed(shorten(reason)))
    }

    /// Whether it holds so much more than it began with that a fresh one is better.
    fn is_bloated(&self, memory: u64) -> bool {
        let used = self.store.data().memory.used();
        used > self.started_with && used as u64 > memory / 4 * 3
    }

    pub(super) async fn stop(mut self) {
        if let Some(guest) = &self.stop {
            // What a retiring instance has to say about its end changes nothing.
            let _ = timeout(STOP, guest.call_stop(&mut self.store)).await;
        }
    }
}

/// A trap, for people.
fn why(error: wasmtime::Error, store: &Store<HostState>) -> String {
    let state = store.data();
    if let Some((_, reason)) = &state.fault {
        return reason.clone();
    }
    if state.memory.refused {
        return format!("wasm trap: no memory beyond its limit ({} bytes used)", state.memory.used());
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return format!("the handler called exit({})", exit.0);
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => shorten(format!("{:#}", error.root_cause())),
    }
}

/// A worker's handler: the instance it has, as long as the policy lets it.
pub struct WasmHandler {
    module: Arc<Module>,
    instance: Option<Instance>,
    limit: BatchLimit,
}

impl WasmHandler {
    /// A handler with an instance that has started.
    ///
    /// # Errors
    /// Where the instance cannot be made, or its `start` refuses.
    pub async fn new(module: Arc<Module>) -> anyhow::Result<WasmHandler> {
        let instance = Instance::start(&module).await?;
        let limit = instance.limit;
        Ok(WasmHandler { module, instance: Some(instance), limit })
    }

    async fn call(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::start(&self.module).await.map_err(|e| HandlerError::Unavailable(format!("{e:#}")))?,
        };
        // An error drops the instance: it is never entered again.
        let handled = instance.call(&self.module, batch).await?;
        let options = self.module.options();
        if options.instance == InstancePolicy::UntilTrap && !instance.is_bloated(options.limits.memory) {
            self.instance = Some(instance);
        } else {
            instance.stop().await;
        }
        Ok(handled)
    }

    /// For the bench: calls a handler by columns again and again with the same columns, and looks at no answer.
    #[doc(hidden)]
    pub async fn call_again(&mut self, batch: &Batch, times: usize) -> anyhow::Result<()> {
        if let Some(Instance { store, calls: Entry::Columns(guest), .. }) = &mut self.instance {
            guest.call_again(store, batch, times).await?;
        }
        Ok(())
    }

    async fn call_singly(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        let mut all = Handled::default();
        for (place, entry) in batch.entries.iter().enumerate() {
            let single = Batch { stream: batch.stream.clone(), entries: vec![entry.clone()] };
            let handled = match self.call(&single).await {
                // Those before it keep their verdicts; the rest comes again.
                Err(HandlerError::Unavailable(_)) if place > 0 => break,
                called => called?,
            };
            all.considered += handled.considered;
            all.failures.extend(handled.failures.into_iter().map(|(_, outcome)| (place, outcome)));
            all.outputs.extend(handled.outputs.into_iter().map(|o| crate::message::Output { input: place, ..o }));
        }
        Ok(all)
    }
}

#[async_trait]
impl Handler for WasmHandler {
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        match self.module.options().instance {
            InstancePolicy::PerMessage if batch.entries.len() > 1 => self.call_singly(batch).await,
            _ => self.call(batch).await,
        }
    }

    fn limit(&self) -> BatchLimit {
        self.limit
    }

    async fn stop(&mut self) {
        if let Some(instance) = self.instance.take() {
            instance.stop().await;
        }
    }
}
