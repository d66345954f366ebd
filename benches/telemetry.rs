//! What counting costs a request: one of a route that was asked for before, as nearly all are. To be seen beside the
//! 300 µs that `nearby` takes in all. Run by `cargo bench --bench telemetry`.

use std::hint::black_box;
use std::time::Duration;

use ar_supervisor::telemetry::prometheus;
use axum::http::Method;
use criterion::{Criterion, criterion_group, criterion_main};

/// Routes that were asked for before.
const ROUTES: usize = 90;

fn counting(criterion: &mut Criterion) {
    prometheus::install();
    for number in 0..ROUTES {
        prometheus::answered(Some(&format!("/api/v1/route-{number}/{{id}}")), &Method::GET, 200, Duration::from_micros(300));
    }
    let route = "/api/v1/decorations/nearby";
    criterion.bench_function("count an answered request", |bencher| {
        bencher.iter(|| prometheus::answered(black_box(Some(route)), &Method::GET, 200, Duration::from_micros(300)));
    });
}

criterion_group!(benches, counting);
criterion_main!(benches);
