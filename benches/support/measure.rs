//! Medians and what is computed from them.

/// The median; of an even count, the mean of the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The exponent `e` of `cost = c · rows^e`: the least-squares slope in log-log scale.
#[expect(clippy::cast_precision_loss, reason = "row counts are small")]
pub(crate) fn growth_exponent(costs: &[(u64, f64)]) -> f64 {
    let points: Vec<(f64, f64)> = costs.iter().map(|(rows, cost)| ((*rows as f64).ln(), cost.ln())).collect();
    let count = points.len() as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let along = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    along / points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

/// Seconds in the unit that reads best.
pub(crate) fn time_text(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// A count with thousands separated: `1,000,000`.
pub(crate) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
