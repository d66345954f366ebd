//! What people read of a simulation: while it goes on, and at its end.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::Settings;
use super::tally::{Count, Snapshot, Traffic};

/// Who takes part, and where.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Address of the server.
    pub url: String,
    /// Repeats the simulation.
    pub seed: u64,
    /// Edge servers.
    pub edges: usize,
    /// Phones at a time.
    pub devices: usize,
    /// How long it goes on; `None`: until it is stopped.
    pub duration: Option<Duration>,
}

impl Cast {
    pub(super) fn new(settings: &Settings, edges: usize) -> Self {
        Self { url: settings.url.clone(), seed: settings.seed, edges, devices: settings.devices, duration: settings.duration }
    }
}

/// Is told how a simulation goes.
pub trait Reporter: Send {
    /// Something happened once.
    fn tell(&mut self, text: &str);
    /// How it is now; every second.
    fn show(&mut self, cast: &Cast, snapshot: &Snapshot);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Reporter for Silent {
    fn tell(&mut self, _text: &str) {}
    fn show(&mut self, _cast: &Cast, _snapshot: &Snapshot) {}
}

/// How a simulation went.
#[derive(Clone, Debug)]
pub struct Summary {
    cast: Cast,
    snapshot: Snapshot,
    differences: Vec<String>,
    leftovers: Vec<String>,
}

impl Summary {
    pub(super) fn new(cast: Cast, snapshot: Snapshot, differences: Vec<String>, leftovers: Vec<String>) -> Self {
        Self { cast, snapshot, differences, leftovers }
    }

    /// Who took part.
    #[must_use]
    pub fn cast(&self) -> &Cast {
        &self.cast
    }

    /// What was counted.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Where edges held at the end what they should not, or did not hold what they should, in words.
    #[must_use]
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// What was made and could not be taken away, in words.
    #[must_use]
    pub fn leftovers(&self) -> &[String] {
        &self.leftovers
    }

    /// Whether nothing happened that should not have.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.snapshot.unexpected().is_empty() && self.has_converged()
    }

    /// Whether edges held what they should at the end and everything was taken away, whatever happened before.
    #[must_use]
    pub fn has_converged(&self) -> bool {
        self.differences.is_empty() && self.leftovers.is_empty()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cast, snapshot, differences, leftovers } = self;
        writeln!(f, "{}", table(cast, snapshot, None))?;
        for difference in differences {
            writeln!(f, "content: {difference}")?;
        }
        for leftover in leftovers {
            writeln!(f, "not taken away: {leftover}")?;
        }
        let verdict = if self.is_good() { "Nothing unexpected happened." } else { "Not everything was as it should be; see above." };
        write!(f, "{verdict} --seed {} repeats the paths and the troubles.", cast.seed)
    }
}

/// The state of a simulation as a text of some lines; rates and times since `earlier`, or of all the time.
pub(super) fn table(cast: &Cast, snapshot: &Snapshot, earlier: Option<&Snapshot>) -> String {
    let flow = earlier.map_or_else(|| snapshot.overall(), |earlier| snapshot.since(earlier));
    let mut requests = Table::new();
    requests.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    requests.set_header(["request", "answered", "per s", "p50 ms", "p95 ms", "p99 ms"].map(right));
    for (name, count, Traffic { per_s, p50_ms, p95_ms, p99_ms }) in
        [("location", Count::Locations, flow.location), ("nearby", Count::Nearby, flow.nearby)]
    {
        let numbers = [per_s, p50_ms, p95_ms, p99_ms].map(|number| format!("{number:.1}"));
        let cells = [name.to_owned(), snapshot.count(count).to_string()].into_iter().chain(numbers);
        requests.add_row(cells.map(right));
    }
    let mut text = format!("simulation of {}, {}\n{requests}\n", cast.url, clock(cast, snapshot));
    for (name, what) in facts(cast, snapshot) {
        writeln!(text, "{name:10} {what}").expect("a text takes what is written");
    }
    if snapshot.unexpected().is_empty() {
        text.push_str("unexpected nothing");
    } else {
        let kinds =
            snapshot.unexpected().iter().map(|(kind, found)| format!("unexpected {kind}: {} ×, such as {}", found.count, found.example));
        text.push_str(&kinds.collect::<Vec<_>>().join("\n"));
    }
    text
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn clock(cast: &Cast, snapshot: &Snapshot) -> String {
    let elapsed = humantime::format_duration(Duration::from_secs(snapshot.elapsed().as_secs()));
    match cast.duration {
        Some(duration) => format!("{elapsed} of {}", humantime::format_duration(duration)),
        None => format!("since {elapsed}"),
    }
}

fn facts(cast: &Cast, snapshot: &Snapshot) -> [(&'static str, String); 7] {
    let n = |count| snapshot.count(count);
    [
        (
            "edges",
            format!(
                "{} of {} connected; {} beats, {} locations reported, {} other messages",
                snapshot.edges_connected(),
                cast.edges,
                n(Count::Beats),
                n(Count::Reported),
                n(Count::OtherMessages)
            ),
        ),
        (
            "content",
            format!(
                "{} decorations put, {} removed, {} refused in {} batches; {} snapshots; {} checkpoints agreed, {} did not; {} comparisons; \
                 {} MB heard",
                n(Count::Puts),
                n(Count::Removals),
                n(Count::Refusals),
                n(Count::Batches),
                n(Count::Snapshots),
                n(Count::Checkpoints),
                n(Count::SyncRequests),
                n(Count::Comparisons),
                n(Count::BytesHeard).div_ceil(1_000_000)
            ),
        ),
        ("phones", format!("{} of {} assigned{}", snapshot.assigned(), cast.devices, in_brackets(snapshot.unassigned()))),
        (
            "moves",
            format!(
                "{} handovers; edges were told of {} that came and {} that went; {} stale",
                n(Count::Handovers),
                n(Count::Assigned),
                n(Count::Released),
                n(Count::Stale)
            ),
        ),
        (
            "troubles",
            format!(
                "{} edges restarted ({} had lost their content, {} had an old one), {} fell silent, {} read slowly, {} had a full disk, \
                 {} were drained; {} phones left, {} came; {} old fixes kept out",
                n(Count::Reconnects),
                n(Count::Forgettings),
                n(Count::Restorings),
                n(Count::SilentDeaths),
                n(Count::SlowReads),
                n(Count::FullDisks),
                n(Count::Drained),
                n(Count::PhonesLeft),
                n(Count::PhonesCame),
                n(Count::OldFixes)
            ),
        ),
        ("sockets", format!("{} opened, {} sent away, {} lost", n(Count::Connections), n(Count::SentAway), n(Count::SocketsLost))),
        (
            "waits",
            format!(
                "{} for 429, {} for 503; {} updates were late because this process was busy",
                n(Count::Limited),
                n(Count::Unavailable),
                n(Count::Late)
            ),
        ),
    ]
}

fn in_brackets(reasons: impl Iterator<Item = (&'static str, i64)>) -> String {
    let reasons: Vec<String> = reasons.filter(|(_, phones)| *phones != 0).map(|(name, phones)| format!("{phones} {name}")).collect();
    if reasons.is_empty() { String::new() } else { format!(" (not: {})", reasons.join(", ")) }
}

/// The state of a simulation in one line; rates and times since `earlier`.
pub(in crate::commands) fn line(cast: &Cast, snapshot: &Snapshot, earlier: Option<&Snapshot>) -> String {
    let flow = earlier.map_or_else(|| snapshot.overall(), |earlier| snapshot.since(earlier));
    let traffic = |name, Traffic { per_s, p50_ms, p95_ms, p99_ms }: Traffic| {
        format!("{per_s:.1} {name}/s (p50 {p50_ms:.1}, p95 {p95_ms:.1}, p99 {p99_ms:.1} ms)")
    };
    let unexpected: u64 = snapshot.unexpected().values().map(|kind| kind.count).sum();
    format!(
        "{} s: {}, {}, {} of {} edges connected, {} of {} phones assigned{}, {} handovers, {} decorations put, {} refused, {unexpected} unexpected{}",
        snapshot.elapsed().as_secs(),
        traffic("locations", flow.location),
        traffic("nearby", flow.nearby),
        snapshot.edges_connected(),
        cast.edges,
        snapshot.assigned(),
        cast.devices,
        in_brackets(snapshot.unassigned()),
        snapshot.count(Count::Handovers),
        snapshot.count(Count::Puts),
        snapshot.count(Count::Limited) + snapshot.count(Count::Unavailable),
        snapshot.unexpected().iter().next().map(|(kind, found)| format!(" ({kind}: {})", found.example)).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::super::tally::{Placement, Tally};
    use super::*;

    fn cast() -> Cast {
        Cast { url: "http://127.0.0.1:8080".to_owned(), seed: 7, edges: 2, devices: 3, duration: Some(Duration::from_mins(1)) }
    }

    #[test]
    fn a_summary_is_good_only_without_surprises_and_leftovers() {
        let tally = Tally::new();
        tally.add(Count::Limited, 5);
        tally.add(Count::SocketsLost, 2);
        let good = Summary::new(cast(), tally.snapshot(), Vec::new(), Vec::new());
        assert!(good.is_good() && good.to_string().contains("--seed 7"), "{good}");
        let leftover = Summary::new(cast(), tally.snapshot(), Vec::new(), vec!["2 devices are still there: because".to_owned()]);
        assert!(!leftover.is_good() && leftover.to_string().contains("2 devices"), "{leftover}");
        let different = Summary::new(cast(), tally.snapshot(), vec!["sim-7-1 holds 3 decorations".to_owned()], Vec::new());
        assert!(!different.is_good() && different.to_string().contains("sim-7-1 holds 3"), "{different}");
        tally.unexpected("location: 500 internal".to_owned(), "the first one");
        tally.unexpected("location: 500 internal".to_owned(), "the second one");
        let bad = Summary::new(cast(), tally.snapshot(), Vec::new(), Vec::new());
        assert!(!bad.is_good());
        assert!(bad.to_string().contains("location: 500 internal: 2 ×, such as the first one"), "{bad}");
    }

    #[test]
    fn a_line_says_who_is_where() {
        let tally = Tally::new();
        let _one = tally.connected();
        tally.placed(None, Some(Placement::Assigned));
        tally.placed(None, Some(Placement::OutsideServiceAreas));
        tally.location_took(Duration::from_millis(10));
        let line = line(&cast(), &tally.snapshot(), None);
        for part in ["1 of 2 edges connected", "1 of 3 phones assigned (not: 1 outside_service_areas)", "p99 10.0", "0 unexpected"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
