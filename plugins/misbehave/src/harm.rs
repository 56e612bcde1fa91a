//! What an instance does not survive.

use core::hint::black_box;
use pelton_sdk::Output;

/// Never comes back. The loop must have an effect, or the optimiser may do as it likes with it.
pub(crate) fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory, and touches it, until there is none; then the allocator aborts.
pub(crate) fn allocate() -> ! {
    const MEBIBYTE: usize = 1 << 20;
    loop {
        std::mem::forget(black_box(vec![1_u8; MEBIBYTE]));
    }
}

/// A trap without a word, as from a guest that has no panics.
pub(crate) fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

#[allow(clippy::panic)] // It is what the command asks for.
pub(crate) fn panic() -> ! {
    panic!("on command");
}

/// Calls itself until the stack ends. The sum after the call keeps it from becoming a loop.
#[allow(unconditional_recursion)]
#[inline(never)]
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 8]);
    recurse(depth + 1) + black_box(&frame).iter().sum::<u64>()
}

/// So many bytes, or as many as can be had: halves from 1 GiB down until memory gives them.
pub(crate) fn gigantic(bytes: Option<usize>) -> Vec<u8> {
    if let Some(bytes) = bytes {
        return vec![b'x'; bytes];
    }
    let mut wanted: usize = 1 << 30;
    let mut body = Vec::new();
    while body.try_reserve_exact(wanted).is_err() {
        wanted /= 2;
    }
    body.resize(wanted, b'x');
    body
}

/// Little for the guest, much for the host.
pub(crate) fn copies(count: u64) -> Vec<Output> {
    (0..count).map(|_| Output::empty().inherit_body()).collect()
}
