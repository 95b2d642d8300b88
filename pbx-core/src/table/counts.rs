//! Packets of the last while, counted in units of time: what a word of packet rates says.

/// The largest count.
pub(super) const MOST: u32 = 0xff;
/// The largest unit: 149 days.
const LONGEST: u64 = 126;
/// In place of a unit: nothing is counted any more, since the tick in the other bits.
pub(super) const SEAL: u64 = 0x7f << 41;
/// The index of a unit counts modulo this.
const TURN: u64 = 1 << 17;

/// How many came in the unit `index` and in the two before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// The code of the unit's length.
    unit: u64,
    /// Which unit since tick 0.
    pub(super) index: u64,
    counts: [u32; 3],
}

impl Counts {
    pub(super) const fn none(unit: u64, tick: u64) -> Self {
        Self { unit, index: tick / length(unit), counts: [0; 3] }
    }

    /// What `data` says, whose index is the nearest to that at `floor`.
    pub(super) fn from_data(data: u64, floor: u64) -> Self {
        let unit = data >> 41;
        let here = floor / length(unit);
        let ahead = (data >> 24).wrapping_sub(here) % TURN;
        let index = if ahead < TURN / 2 { here + ahead } else { (here + ahead).saturating_sub(TURN) };
        let [_, _, _, _, _, a, b, c] = data.to_be_bytes();
        Self { unit, index, counts: [a, b, c].map(u32::from) }
    }

    pub(super) fn to_data(self) -> u64 {
        let counts = self.counts.iter().fold(0, |bits, &n| bits << 8 | u64::from(n.min(MOST)));
        self.unit << 41 | (self.index % TURN) << 24 | counts
    }

    /// The same at `tick`; time does not run back.
    pub(super) fn at(self, tick: u64) -> Self {
        self.at_index(tick / length(self.unit))
    }

    pub(super) fn at_index(self, index: u64) -> Self {
        let [a, b, _] = self.counts;
        let counts = match index.saturating_sub(self.index) {
            0 => self.counts,
            1 => [0, a, b],
            2 => [0, 0, a],
            _ => [0; 3],
        };
        Self { index: index.max(self.index), counts, ..self }
    }

    /// The same in units of another length: as if all had come just now.
    pub(super) fn in_units(self, unit: u64, tick: u64) -> Self {
        if unit == self.unit {
            return self;
        }
        let now = tick.max(self.start());
        Self { counts: [self.total().min(MOST), 0, 0], ..Self::none(unit, now) }
    }

    pub(super) fn and_one(self) -> Self {
        let [a, b, c] = self.counts;
        Self { counts: [a + 1, b, c], ..self }
    }

    pub(super) fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// When the unit begins.
    pub(super) const fn start(&self) -> u64 {
        self.index * length(self.unit)
    }
}

/// The length of a unit in ticks: 4, 5, 6 or 7 times a power of two.
const fn length(unit: u64) -> u64 {
    (4 + (unit & 3)) << (unit >> 2 & 31)
}

/// The shortest unit of which two are as long as `window`.
pub(super) fn unit_for(window: u64) -> u64 {
    let half = window.div_ceil(2).max(4);
    let octave = u64::from(half.ilog2() - 2);
    (4 * octave + half.div_ceil(1 << octave) - 4).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_cover_a_window_and_three_at_most_15_eighths_of_it() {
        for window in (1..100_000).chain([1 << 20, (1 << 30) + 1, 298 * 86_400_000]) {
            let unit = length(unit_for(window));
            assert!(2 * unit >= window, "{window}: {unit}");
            assert!(8 * 3 * unit <= 15 * window.max(8) + 8 * 3, "{window}: {unit}");
        }
        assert_eq!((length(0), unit_for(u64::MAX >> 1)), (4, LONGEST));
    }
}
