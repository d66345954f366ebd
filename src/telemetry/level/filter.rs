//! Which log lines are written: a level, or levels by module of ours, in tracing's syntax. Libraries are heard up to
//! `info` and no further: what they say beyond may hold whole messages, with tokens and positions in them, and that is
//! not to depend on somebody's care.

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Our own lines.
const OWN: &str = "ar_supervisor";

/// A filter of log lines that lets no secret through.
#[derive(Clone, Debug)]
pub struct LogFilter {
    text: String,
    targets: Targets,
    most_verbose: LevelFilter,
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogFilter {
    /// It is none.
    #[error("\"{0}\" is neither a level (off, error, warn, info, debug, trace) nor a module with one, such as ar_supervisor::sync=debug")]
    Unreadable(String),
    /// It asks for more than is safe.
    #[error(
        "\"{0}\" asks a library for more than info, where it may tell tokens and positions; debug and trace are for ar_supervisor and its modules"
    )]
    TooVerbose(String),
}

impl LogFilter {
    /// Longest filter that is asked for at run time, in characters.
    pub(crate) const MAX_CHARS: usize = 200;

    /// Reads a filter: `debug`, or `info,ar_supervisor::sync=trace,hyper=warn`. A level alone is that of all modules of
    /// ours; for libraries it counts up to `info`.
    ///
    /// # Errors
    /// When it is none, or asks a library for more than `info`.
    pub fn read(text: &str) -> Result<Self, BadLogFilter> {
        let (mut general, mut named) = (None, Vec::new());
        for part in text.split(',').map(str::trim) {
            let unreadable = || BadLogFilter::Unreadable(part.to_owned());
            let level = |word: &str| word.parse::<LevelFilter>().ok().filter(|_| !word.is_empty());
            match part.split_once('=') {
                Some((module, word)) => named.push((part, module, level(word).ok_or_else(unreadable)?)),
                None => match level(part) {
                    Some(level) => general = Some(level),
                    None => named.push((part, part, LevelFilter::TRACE)),
                },
            }
        }
        let general = general.unwrap_or(LevelFilter::OFF);
        let mut targets = Targets::new().with_default(general.min(LevelFilter::INFO)).with_target(OWN, general);
        let mut most_verbose = general;
        for (part, module, level) in named {
            if module.is_empty() || !module.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b)) {
                return Err(BadLogFilter::Unreadable(part.to_owned()));
            }
            if level > LevelFilter::INFO && module.split("::").next() != Some(OWN) {
                return Err(BadLogFilter::TooVerbose(part.to_owned()));
            }
            targets = targets.with_target(module, level);
            most_verbose = most_verbose.max(level);
        }
        Ok(Self { text: text.to_owned(), targets, most_verbose })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an event is written.
    pub(super) fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        self.targets.would_enable(metadata.target(), metadata.level())
    }

    /// No event beyond this level is written.
    pub(super) fn most_verbose(&self) -> LevelFilter {
        self.most_verbose
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tracing::Level;

    fn lets_through(filter: &str, target: &str, level: Level) -> bool {
        LogFilter::read(filter).expect("a filter").targets.would_enable(target, &level)
    }

    #[rstest]
    #[case("info", "ar_supervisor::http", Level::INFO, true)]
    #[case("info", "ar_supervisor::http", Level::DEBUG, false)]
    #[case("trace", "ar_supervisor::http", Level::TRACE, true)]
    // A level alone is no leave for libraries.
    #[case("trace", "tungstenite::protocol", Level::INFO, true)]
    #[case("trace", "tungstenite::protocol", Level::DEBUG, false)]
    #[case("trace", "ar_supervisors", Level::INFO, true)]
    #[case("info,ar_supervisor::sync=debug", "ar_supervisor::sync::delivery", Level::DEBUG, true)]
    #[case("info,ar_supervisor::sync=debug", "ar_supervisor::hub", Level::DEBUG, false)]
    #[case("warn,hyper=info", "hyper::proto", Level::INFO, true)]
    #[case("warn,hyper=off", "hyper::proto", Level::ERROR, false)]
    #[case("ar_supervisor=error", "hyper::proto", Level::ERROR, false)]
    #[case("ar_supervisor", "ar_supervisor::hub", Level::TRACE, true)]
    #[case("OFF", "ar_supervisor", Level::ERROR, false)]
    fn modules_of_ours_are_heard_as_far_as_asked_and_libraries_up_to_info(
        #[case] filter: &str,
        #[case] target: &str,
        #[case] level: Level,
        #[case] expected: bool,
    ) {
        assert_eq!(lets_through(filter, target, level), expected, "{filter}: {target} {level}");
    }

    #[rstest]
    #[case("")]
    #[case("info,")]
    #[case("info,,debug")]
    #[case("ar_supervisor=")]
    #[case("=info")]
    #[case("ar_supervisor=loud")]
    #[case("ar_supervisor=debug=info")]
    #[case("ar_supervisor[request]=debug")]
    #[case("[{request_id=x}]=trace")]
    #[case("a b=info")]
    #[case("info\u{0}")]
    fn what_is_no_filter_is_refused(#[case] text: &str) {
        let outcome = LogFilter::read(text);
        assert!(matches!(outcome, Err(BadLogFilter::Unreadable(_))), "{text:?}: {outcome:?}");
    }

    #[rstest]
    #[case("hyper=debug")]
    #[case("info,tungstenite=trace")]
    #[case("rustls")]
    #[case("sqlx::query=debug")]
    // A prefix of ours is a prefix of others', too.
    #[case("ar=trace")]
    #[case("ar_supervisor_extra=debug")]
    fn a_library_is_not_heard_beyond_info(#[case] text: &str) {
        assert!(matches!(LogFilter::read(text), Err(BadLogFilter::TooVerbose(_))), "{text}");
    }
}
