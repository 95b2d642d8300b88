//! What a count in the bounded tables costs.

use core::hint::black_box;
use core::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pbx_core::table::{Block, Layout, Limit, Ring, heap};
use pbx_core::{Mono, Now, Wall};

const KEYS: u64 = 1_000_000;

/// One recorded event of one of a million keys, in a table with room for all of them.
fn window(c: &mut Criterion) {
    let mut layout = Layout::new(1);
    let id = layout.windows(2_000_000, Ring::R8);
    let start = Now::new(Mono::from_secs(1_000), Wall::UNIX_EPOCH);
    let block = Block::create(heap(layout.words()), &layout, [7; 16], 0, start).expect("the memory fits");
    let limit = Limit { at_most: 8, per: Duration::from_millis(500) };
    let mut i = 0_u64;
    c.bench_function("exact window, R = 8, 1 000 000 keys", |b| {
        b.iter(|| {
            i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = block.key(&((i >> 33) % KEYS).to_be_bytes());
            black_box(block.windows(id).record(key, limit, start.after(Duration::from_micros(i >> 44))))
        });
    });
}

criterion_group!(benches, window);
criterion_main!(benches);
