//! A handler whose output is a log that fails.

use super::*;
use crate::log::tests::faults::open;
use crate::stream::disk::Durability;
use crate::stream::disk::tests::sim::{Fault, Sim};

#[tokio::test(start_paused = true)]
async fn a_log_that_has_failed_under_a_worker_makes_it_wait_and_settles_nothing() {
    let sim = Sim::default();
    let log = open(&sim, Durability::EveryBatch).unwrap();
    let calls = Arc::new(Mutex::new(0));
    let counted = calls.clone();
    let echo = move |batch: &Batch| {
        *counted.lock().unwrap() += 1;
        let entries = batch.entries.iter().enumerate();
        let outputs = entries.map(|(input, e)| Output { input, target: 0, message: e.message.clone() }).collect();
        Handled { outputs, ..all_done(batch) }
    };
    let output = Some(Outlet::Log(log.clone()));
    let rig = Rig::emitting(Box::new(Native(echo)), CursorOptions::default(), output, |_| {}).await;
    rig.pool.resize(1).await;
    rig.input.append(numbered(0..3, 1)).await;
    rig.input.drained().await;
    assert_eq!(log.messages(), 3);
    let next = sim.operations();
    sim.0.lock().unwrap().fault = Some(Fault::Once(next));
    rig.input.append(numbered(3..9, 1)).await;
    log.failed().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = *calls.lock().unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(*calls.lock().unwrap(), before, "it handles the same again and again");
    assert_eq!(rig.input.stats().messages, 6, "settled, though the output is lost");
}
