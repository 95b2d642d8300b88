//! Times that are asked about, as RFC 3339.

use chrono::DateTime;
use pbx_core::{Mono, Now, Wall};

/// Reads a time such as `2026-03-02T10:00:00Z`.
pub(super) fn parse(text: &str) -> Result<Wall, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|t| Wall::from_unix_micros(t.timestamp_micros()))
        .map_err(|_| format!("{text:?} is no time of RFC 3339, e.g. 2026-03-02T10:00:00Z"))
}

/// A day before the first moment: a table knows nothing older than its own beginning.
const HEAD_START_S: u64 = 86_400;

/// Both clocks at `at`, where the timeline began at `start`. The monotonic clock never runs back.
pub(super) fn now(start: Wall, at: Wall) -> Now {
    Now::new(Mono::from_secs(HEAD_START_S) + at.since(start), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for text in ["2026-03-02T10:00:00Z", "1969-12-31T23:59:59.500Z"] {
            assert_eq!(pbx_policy::rfc3339(parse(text).unwrap()), text);
        }
        assert!(parse("2026-03-02").is_err());
    }
}
